"""What a hostile plugin does to the one beside it.

usage: hostile.py BINARY HELLO HOSTILE SECONDS

hello world under load (wrk, 1 thread, 16 connections) alone, and while two clients
commit one crime of `plugins/hostile` after the other, at most 20 a second each. Each crime
has a server of its own: one that traps is left alone for a while, and then the next one is
not committed either. All that in turns, since what the machine does besides changes; medians
count. The bar: the 99th percentile of hello world at most doubles.
"""

import collections
import http.client
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

import harness
from harness import verdict
from hello import load

CRIMES = [
    "spin", "spin-late", "recurse", "allocate", "trap", "panic", "exit", "silent", "log", "log-forever",
    "files", "environment", "sockets", "fetch", "ignore", "stall",
    "endless", "announced", "short", "long", "headers", "header", "hold", "hand-over",
]  # fmt: skip

ROUNDS = 3

CONFIGURATION = """
[plugins]
required = ["hello", "hostile"]
[plugins.hostile]
memory = "64MiB"
cpu = "1s"
deadline = "3s"
max_response = "16MiB"
concurrency = 8
[log]
# Where it listens must be told; what the crimes have it say is not what is measured.
filter = "off,lakehouse=info,lakehouse::gateway=off,lakehouse_runtime=off,lakehouse_capabilities=off"
"""


def commit(address, crime, stop, statuses):
    """Commits a crime again and again, and notes what is answered."""
    while not stop.is_set():
        begun = time.monotonic()
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.request("GET", f"/v1/hostile/{crime}")
            answer = connection.getresponse()
            statuses.append(answer.status)
            answer.read()
        except (OSError, http.client.HTTPException):
            pass  # An answer that breaks off is what some of them are about.
        finally:
            connection.close()
        time.sleep(max(0.0, 0.05 - (time.monotonic() - begun)))


def quietly(server, seconds):
    """hello world's figures alone."""
    return load(server.base + "/v1/hello", seconds)


def beside(server, crime, seconds, statuses):
    """hello world's figures while a crime is committed."""
    stop = threading.Event()
    address = server.base.removeprefix("http://")
    criminals = [threading.Thread(target=commit, args=(address, crime, stop, statuses)) for _ in range(2)]
    for criminal in criminals:
        criminal.start()
    try:
        return quietly(server, seconds)
    finally:
        stop.set()
        for criminal in criminals:
            criminal.join()


def main():
    binary, hello, hostile, seconds = sys.argv[1:]
    seconds = int(seconds)
    alone, beside_it = [], {crime: [] for crime in CRIMES}
    statuses = {crime: [] for crime in CRIMES}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(hello, pathlib.Path(folder) / "hello.wasm")
        shutil.copy(hostile, pathlib.Path(folder) / "hostile.wasm")

        def measure(what, *rest):
            with harness.Server(binary, folder, CONFIGURATION) as server:
                load(server.base + "/v1/hello", 1)
                return what(server, *rest)

        for number in range(ROUNDS):
            alone.append(measure(quietly, seconds))
            for crime in CRIMES:
                figures = measure(beside, crime, seconds, statuses[crime])
                beside_it[crime].append(figures)
                late, quiet = figures[1], alone[-1][1]
                print(f"{number + 1}/{ROUNDS} {crime}: p99 {late:.2f} ms beside it, {quiet:.2f} alone", file=sys.stderr)
    quiet = statistics.median(late for _, late in alone)
    rows = []
    for name, figures in [("alone", alone), *beside_it.items()]:
        rates, lates = zip(*figures)
        late = statistics.median(lates)
        span = f"{min(lates):.2f} to {max(lates):.2f}"
        counts = sorted(collections.Counter(statuses.get(name, [])).items())
        answers = ", ".join(f"{count} of {status}" for status, count in counts)
        rows.append([name, answers, f"{statistics.median(rates):.0f}", late, span, late / quiet])
    harness.table(["crime", "its answers", "requests/s", "p99 ms", "of the rounds", "times alone"], rows)
    print()
    verdict("the worst p99, times the one alone", max(row[-1] for row in rows), 2, least=False)


if __name__ == "__main__":
    main()
