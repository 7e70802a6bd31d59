"""All 22 TPC-H queries through `/v1/sql`, row by row against DuckDB.

usage: tpch.py BASE_URL WORK_FOLDER csv|parquet [SCALE]

The data (scale factor 0.05 unless told, by tpchgen) is posted through `/v1/ingest` in the
format named; DuckDB reads the generated Parquet files themselves. From CSV the
prices are inferred as doubles, so numbers are compared with a relative
tolerance of 1e-9. An average of decimals is a decimal here and a double in
DuckDB: these may differ by less than one in the decimal's last place.
Everything else must be equal.
"""

import datetime
import decimal
import io
import math
import pathlib
import subprocess
import sys

import duckdb
import pyarrow.ipc

from lakehouse import Lakehouse

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
QUERIES = pathlib.Path(__file__).parent.parent / "tpch"
SCALE = "0.05"


def generate(form, folder, scale):
    """The eight tables as files of one format."""
    tool = pathlib.Path(sys.executable).parent / "tpchgen-cli"
    subprocess.run([tool, form, "-s", scale, "--output-dir", folder, "--overwrite"], check=True)


def plain(value):
    """A value without what only one of the two systems distinguishes."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value


def same(ours, theirs):
    """Whether two values are equal, numbers within the tolerance."""
    tolerance = 1e-9
    if isinstance(ours, decimal.Decimal) and isinstance(theirs, float):
        tolerance = 10.0 ** ours.as_tuple().exponent
    left, right = plain(ours), plain(theirs)
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=tolerance)
    return left == right


def compare(name, ours, theirs):
    """Fails on the first row that differs."""
    assert len(ours) == len(theirs), f"{name}: {len(ours)} rows, DuckDB has {len(theirs)}"
    for number, (our_row, their_row) in enumerate(zip(ours, theirs), 1):
        assert len(our_row) == len(their_row), f"{name}: {len(our_row)} columns"
        for our_value, their_value in zip(our_row, their_row):
            assert same(our_value, their_value), (
                f"{name}, row {number}:\n  ours   {our_row}\n  DuckDB {their_row}"
            )


def main():
    base, folder, form = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    scale = sys.argv[4] if len(sys.argv) > 4 else SCALE
    server = Lakehouse(base)
    generate("parquet", folder, scale)
    if form != "parquet":
        generate(form, folder, scale)
    database = duckdb.connect()
    for table in TABLES:
        source = folder / f"{table}.parquet"
        database.execute(f"create view {table} as select * from '{source}'")
        expected = database.execute(f"select count(*) from {table}").fetchone()[0]
        answer = server.ingest(table, folder / f"{table}.{form}", form)
        assert answer["rows"] == expected, f"{table}: {answer['rows']} rows, not {expected}"
    queries = sorted(QUERIES.glob("q*.sql"))
    assert len(queries) == 22, f"{len(queries)} queries in {QUERIES}"
    for file in queries:
        statement = file.read_text()
        stream = server.sql(statement, "application/vnd.apache.arrow.stream")
        table = pyarrow.ipc.open_stream(io.BytesIO(stream)).read_all()
        ours = list(zip(*(column.to_pylist() for column in table.columns)))
        theirs = database.execute(statement).fetchall()
        compare(file.stem, ours, theirs)
        print(f"{file.stem}: {len(theirs)} rows equal")


if __name__ == "__main__":
    main()
