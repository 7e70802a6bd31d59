"""PyIceberg and DuckDB open a table that ingest wrote, from its metadata file.

usage: pyiceberg_reads.py BASE_URL WORK_FOLDER

Rows of every Iceberg type that CSV and Parquet bodies give, in two appends with
a column that only the second one has, are read back and compared with what was
posted.
"""

import datetime
import decimal
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import StaticTable

from lakehouse import Lakehouse

FIRST = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "small": pa.array([7, None, -7], pa.int32()),
        "price": pa.array([decimal.Decimal("1.50"), decimal.Decimal("-2.25"), None], pa.decimal128(9, 2)),
        "ratio": pa.array([0.5, None, -1e300], pa.float64()),
        "name": pa.array(["ä", "", None], pa.string()),
        "flag": pa.array([True, False, None], pa.bool_()),
        "day": pa.array([datetime.date(1970, 1, 1), datetime.date(2026, 2, 28), None], pa.date32()),
        "at": pa.array([datetime.datetime(2026, 1, 2, 3, 4, 5, 678901), None, datetime.datetime(1969, 7, 20)], pa.timestamp("us")),
        "utc": pa.array([datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), None, None], pa.timestamp("us", "UTC")),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
        "tags": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        "place": pa.array([{"x": 1, "y": 2.5}, None, {"x": None, "y": 0.0}], pa.struct([("x", pa.int64()), ("y", pa.float64())])),
    }
)
SECOND = FIRST.slice(0, 1).append_column("added", pa.array(["new"], pa.string()))


def main():
    server, folder = Lakehouse(sys.argv[1]), pathlib.Path(sys.argv[2])
    for number, rows in enumerate([FIRST, SECOND]):
        file = folder / f"{number}.parquet"
        pq.write_table(rows, file)
        server.ingest("default.everything", file, "parquet", evolve="true")
    detail = server.table("default", "everything")
    metadata = detail["metadata_location"]

    table = StaticTable.from_metadata(metadata)
    read = table.scan().to_arrow()
    expected = pa.concat_tables([FIRST, SECOND], promote_options="default").to_pylist()
    order = lambda row: (row["id"], row["added"] or "")
    got, wanted = sorted(read.to_pylist(), key=order), sorted(expected, key=order)
    assert got == wanted, f"PyIceberg reads\n{got}\nnot\n{wanted}"
    assert len(list(table.snapshots())) == 2, table.snapshots()

    filtered = table.scan(row_filter="id >= 3", selected_fields=("id",)).to_arrow()
    assert filtered.to_pylist() == [{"id": 3}], filtered

    first = table.snapshots()[0].snapshot_id
    then = table.scan(snapshot_id=first).to_arrow()
    assert then.num_rows == FIRST.num_rows, then
    print(f"PyIceberg reads {len(got)} rows of {len(read.schema)} columns, as posted")


if __name__ == "__main__":
    main()
