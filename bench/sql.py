"""TPC-H through HTTP, beside native DataFusion and DuckDB on the same Parquet files.

usage: sql.py BINARY PLUGINS PEER CACHE SCALE RUNS

Every engine runs every query RUNS times; its best run counts. Ours is timed at
the HTTP client, to the last byte of the Arrow stream. The bar: a geometric mean
of at most 1.4 times native DataFusion with one partition, no query above 3.
"""

import json
import pathlib
import subprocess
import sys
import time

import duckdb

import harness

QUERIES = sorted((pathlib.Path(__file__).parent.parent / "tests" / "tpch").glob("q*.sql"))


def best(run, runs):
    """Seconds of the fastest of some runs."""
    fastest = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def main():
    binary, plugins, peer, cache, scale, runs = sys.argv[1:]
    runs = int(runs)
    files = harness.tpch(cache, "parquet", float(scale))
    with harness.Server(binary, plugins) as server:
        folders = {}
        for name, file in files.items():
            harness.post_file(server.base, f"/v1/ingest?table={name}&format=parquet", file)
            folders[name] = server.data / "store" / "warehouse" / "default" / name / "data"
        ours = {}
        for file in QUERIES:
            statement = file.read_text()
            ours[file.stem] = best(lambda: server.client.sql(statement, "application/vnd.apache.arrow.stream"), runs)
        memory = server.status("VmHWM")

        done = subprocess.run(
            [peer, str(runs), *(f"{name}={folder}/" for name, folder in folders.items()), "--", *QUERIES],
            check=True,
            stdout=subprocess.PIPE,
        )
        native = {pathlib.Path(file).stem: seconds for file, seconds in json.loads(done.stdout).items()}

        duck = {}
        for threads in (1, None):
            database = duckdb.connect()
            if threads:
                database.execute(f"set threads to {threads}")
            for name, folder in folders.items():
                database.execute(f"create view {name} as select * from read_parquet('{folder}/*.parquet')")
            for file in QUERIES:
                statement = file.read_text()
                duck[file.stem, threads] = best(lambda: database.execute(statement).to_arrow_table(), runs)

    ratios = {name: ours[name] / native[name] for name in ours}
    harness.table(
        ["query", "lakehouse s", "DataFusion, 1 partition s", "ratio", "DuckDB, 1 thread s", "DuckDB, all threads s"],
        [[name, ours[name], native[name], ratios[name], duck[name, 1], duck[name, None]] for name in ours],
    )
    print()
    print(f"geometric mean: {harness.geometric_mean(list(ratios.values())):.3f} times DataFusion with one partition (bar 1.4)")
    worst = max(ratios, key=ratios.get)
    print(f"worst: {worst} at {ratios[worst]:.2f} (bar 3)")
    against_duck = harness.geometric_mean([ours[name] / duck[name, 1] for name in ours])
    print(f"against DuckDB with one thread: {against_duck:.3f}; server's peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
