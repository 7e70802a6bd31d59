"""What SQL functions of plugins cost, for each call and for each row.

usage: calls.py BINARY PLUGINS ROWS

Each statement runs with batches of 8192 rows and of 256, and once without the function.
What the function adds is `calls * c + rows * r`, and two sizes of batch give both.
"""

import pathlib
import sys
import tempfile
import time

import harness

SIZES = (8192, 256)
RUNS = 5
STATEMENTS = {
    "a scalar that returns its argument, BIGINT": (
        "select sum(v) from generate_series(1, {rows}) s (v)",
        "select sum(same(v)) from generate_series(1, {rows}) s (v)",
    ),
    "a scalar of text, `words(VARCHAR)`": (
        "select count(concat('some words ', v)) from generate_series(1, {rows}) s (v)",
        "select count(words(concat('some words ', v))) from generate_series(1, {rows}) s (v)",
    ),
    "an aggregate, `longest(VARCHAR)`": (
        "select max(concat('n', v)) from generate_series(1, {rows}) s (v)",
        "select longest(concat('n', v)) from generate_series(1, {rows}) s (v)",
    ),
}


def best(server, statement):
    """The shortest of some runs, in seconds."""
    taken = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        server.client.request("POST", "/v1/sql", statement.encode(), {"content-type": "text/plain"})
        taken.append(time.perf_counter() - begun)
    return min(taken)


def main():
    binary, plugins, rows = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    added = {name: {} for name in STATEMENTS}
    with tempfile.TemporaryDirectory() as folder:
        files = [plugins / f"{name}.wasm" for name in ("storage", "catalog", "ingest", "query")]
        files += [plugins / "examples/text.wasm", plugins / "examples/liar.wasm"]
        for file in files:
            (pathlib.Path(folder) / file.name).symlink_to(file.resolve())
        for size in SIZES:
            settings = f'[plugins.query.config]\nbatch_size = "{size}"\n'
            with harness.Server(binary, folder, settings) as server:
                for name, (without, using) in STATEMENTS.items():
                    base = best(server, without.format(rows=rows))
                    added[name][size] = best(server, using.format(rows=rows)) - base
    lines = []
    for name, seconds in added.items():
        large, small = SIZES
        call = (seconds[small] - seconds[large]) / (rows / small - rows / large)
        row = (seconds[large] - rows / large * call) / rows
        lines.append((name, call * 1e6, row * 1e9, seconds[large]))
    heads = ["SQL function of a plugin", "microseconds a call", "nanoseconds a row", f"s for {rows:,} rows"]
    harness.table(heads, lines)


if __name__ == "__main__":
    main()
