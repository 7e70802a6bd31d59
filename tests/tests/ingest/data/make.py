"""Makes the binary bodies of these tests. Needs pyarrow."""

import decimal
import gzip
import pathlib
from datetime import date, datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent

WIDE = pa.table(
    {
        "i8": pa.array([1, None, -128], pa.int8()),
        "u32": pa.array([0, 4294967295, None], pa.uint32()),
        "u64": pa.array([18446744073709551615, 0, None], pa.uint64()),
        "f32": pa.array([1.5, None, float("nan")], pa.float32()),
        "dec": pa.array([decimal.Decimal("12.34"), None, decimal.Decimal("-0.01")], pa.decimal128(10, 2)),
        "text": pa.array(["grüße", None, ""], pa.large_string()),
        "word": pa.array(["a", "b", None], pa.string()).dictionary_encode(),
        "bin": pa.array([b"\x00\xff", None, b""], pa.binary()),
        "day": pa.array([date(2024, 2, 29), None, date(1969, 12, 31)], pa.date32()),
        "at": pa.array([datetime(2024, 2, 29, 12, 30, 0, 123456), None, datetime(1969, 12, 31)], pa.timestamp("ms")),
        "utc": pa.array([datetime(2024, 2, 29, 12, tzinfo=timezone.utc), None, None], pa.timestamp("us", "Europe/Paris")),
        "list": pa.array([[1, None], [], None], pa.list_(pa.int16())),
        "point": pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": "b"}], pa.struct([("x", pa.int64()), ("y", pa.string())])),
        "tags": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "none": pa.nulls(3),
    },
    metadata=None,
)


def write(name: str, content: bytes) -> None:
    (HERE / name).write_bytes(content)


def parquet(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def arrow(table: pa.Table, make, **options) -> bytes:
    sink = pa.BufferOutputStream()
    with make(sink, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


write("wide.parquet", parquet(WIDE, compression="snappy"))
write("wide.arrows", arrow(WIDE, pa.ipc.new_stream))
write("wide.arrow", arrow(WIDE, pa.ipc.new_file))
write("wide-zstd.arrows", arrow(WIDE, pa.ipc.new_stream, options=pa.ipc.IpcWriteOptions(compression="zstd")))
write("span.arrows", arrow(pa.table({"ok": [1], "span": pa.array([1], pa.duration("s"))}), pa.ipc.new_stream))
CSV = b"a,b\n1,x\n2,y\n"
write("rows.csv.gz", gzip.compress(CSV, mtime=0))
write("rows.csv.zst", pa.compress(CSV, codec="zstd", asbytes=True))
