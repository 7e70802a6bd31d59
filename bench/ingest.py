"""lineitem as CSV to a table, beside DuckDB's COPY from CSV to zstd Parquet with one thread.

usage: ingest.py BINARY PLUGINS CACHE SCALE RUNS

The bar: at most twice DuckDB's time, the host at most 1 GiB resident.
"""

import pathlib
import sys
import tempfile
import time

import duckdb

import harness


def main():
    binary, plugins, cache, scale, runs = sys.argv[1:]
    file = harness.tpch(cache, "csv", float(scale), ["lineitem"])["lineitem"]
    size = file.stat().st_size / 1e6
    ours, theirs = [], []
    with harness.Server(binary, plugins) as server, tempfile.TemporaryDirectory() as folder:
        for number in range(int(runs)):
            start = time.perf_counter()
            answer = harness.post_file(server.base, f"/v1/ingest?table=run{number}&format=csv", file, "text/csv")
            ours.append(time.perf_counter() - start)

            database = duckdb.connect()
            database.execute("set threads to 1")
            target = pathlib.Path(folder) / "lineitem.parquet"
            start = time.perf_counter()
            database.execute(f"copy (from read_csv('{file}')) to '{target}' (format parquet, compression zstd)")
            theirs.append(time.perf_counter() - start)
            counted = database.execute(f"select count(*) from '{target}'").fetchone()[0]
            if counted != answer["rows"]:
                raise RuntimeError(f"{answer['rows']} rows, DuckDB has {counted}")
            written = target.stat().st_size / 1e6
        peak = server.status("VmHWM")
    harness.table(
        ["", "s (best)", "MB of CSV a second", "MB of Parquet"],
        [
            ["lakehouse", min(ours), size / min(ours), answer["bytes"] / 1e6],
            ["DuckDB, 1 thread", min(theirs), size / min(theirs), written],
        ],
    )
    print()
    print(f"ratio: {min(ours) / min(theirs):.2f} (bar 2); {size:.0f} MB of CSV, {answer['rows']} rows")
    print(f"host's peak resident memory: {peak:.0f} MB (bar 1074)")


if __name__ == "__main__":
    main()
