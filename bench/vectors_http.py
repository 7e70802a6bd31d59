"""Vectors through HTTP, beside the vector service's own library.

usage: vectors_http.py BINARY PLUGINS MEASURE CACHE ROWS DIMENSION SECONDS

An index of clustered vectors is filled by Arrow, 10,000 in a request, and searched for
the 10 nearest at the default width: one query a request in JSON (wrk, one connection for
the latency and 8 for the rate), 500 a request in Arrow and in JSON, and one a request
while 10,000 vectors a second are being added. The library searches the same on all
processors. Recall is against exact search. All that in several rounds, each with a server
of its own, whose medians count: what the machine gives is not the same from one minute to
the next, so the library is measured in each, too. wrk counts the requests too that it could
not send while it waited for an answer: what is over its 99th percentile is one hundredth of
the time.
The bars: a median of less than 1 ms; at least half the library's queries/s; 50,000
vectors/s added and searchable at once; a 99th percentile that at most doubles while
vectors are added, and recall that stays.
"""

import http.client
import io
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy
import pyarrow

import harness
from harness import verdict
from peers import NEAREST, THREADS, Ours
from vectors import Data

STREAM = "application/vnd.apache.arrow.stream"
INDEX = "/v1/vectors/index"
ADDED = 10_000
ASKED = 500
EF = 64
ROUNDS = 5


class Client:
    """One connection that is kept."""

    def __init__(self, base):
        self.connection = http.client.HTTPConnection(base.removeprefix("http://"))

    def post(self, path, body, media="application/json"):
        self.connection.request("POST", INDEX + path, body, {"content-type": media})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {content.decode()}")
        return content


def stream(columns):
    """Columns as an Arrow stream."""
    sink = io.BytesIO()
    table = pyarrow.table(columns)
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow_vectors(matrix):
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(matrix.ravel(), pyarrow.float32()), matrix.shape[1])


def item_bodies(matrix, name):
    bodies = []
    for start in range(0, len(matrix), ADDED):
        part = matrix[start : start + ADDED]
        ids = pyarrow.array([f"{name}{row}" for row in range(start, start + len(part))])
        bodies.append(stream({"id": ids, "vector": arrow_vectors(part)}))
    return bodies


def wrk(base, queries, connections, seconds, folder):
    """Queries a second, and the median and 99th percentile in milliseconds."""
    bodies = pathlib.Path(folder) / "bodies"
    bodies.write_text("".join(json.dumps({"vector": q.tolist(), "k": NEAREST, "include": []}) + "\n" for q in queries))
    script = pathlib.Path(folder) / "search.lua"
    script.write_text(
        f"""
local requests, at = {{}}, 0
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
function init()
  -- Made before the clock runs: the processors are shared with what is measured.
  for line in io.lines("{bodies}") do requests[#requests + 1] = wrk.format(nil, nil, nil, line) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local bad = summary.errors.status + summary.errors.read + summary.errors.timeout
  print(string.format("figures %f %f %f %d", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, bad))
end
"""
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"{base}{INDEX}/x/search"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rate, median, last, bad = map(float, re.search(r"figures (\S+) (\S+) (\S+) (\S+)", done.stdout).groups())
    if bad:
        raise RuntimeError(f"{bad:.0f} searches failed:\n{done.stdout}")
    return rate, median, last


def many(client, bodies, path, media, seconds):
    """Queries a second of requests with many."""
    until, asked, started = time.perf_counter() + seconds, 0, time.perf_counter()
    while time.perf_counter() < until:
        client.post(path, bodies[asked // ASKED % len(bodies)], media)
        asked += ASKED
    return asked / (time.perf_counter() - started)


def sustained(library, threads, seconds):
    """Queries a second of the library, for as long as wrk asks the server."""
    asked, took = 0, 0
    while took < seconds:
        answer = library.search(EF, threads)
        asked, took = asked + answer["queries"], took + answer["seconds"]
    return asked / took


def recall(client, queries, truth):
    """Of the items that stood there at first."""
    body = stream({"vector": arrow_vectors(queries)})
    answer = client.post(f"/x/search?k={NEAREST}&include=&ef={EF}", body, STREAM)
    hits = pyarrow.ipc.open_stream(answer).read_all()
    found = [set() for _ in queries]
    for query, id in zip(hits["query"].to_pylist(), hits["id"].to_pylist()):
        found[query].add(id)
    wanted = [{f"v{row}" for row in rows} for rows in truth.tolist()]
    return sum(len(a & b) for a, b in zip(found, wanted)) / truth.size


def settled(client):
    """Waits until no graph is being built."""
    before = None
    while True:
        time.sleep(2)
        client.connection.request("GET", f"{INDEX}/x")
        info = json.loads(client.connection.getresponse().read())
        now = (info["built_rows"], info["segments"])
        if now == before and info["segments"] == 1:
            return info
        before = now


class Adding(threading.Thread):
    """Adds 10,000 vectors a second until told to stop; far ones, that are nobody's nearest."""

    def __init__(self, base, dimension):
        super().__init__()
        self.client = Client(base)
        random = numpy.random.default_rng(7)
        # A circle of batches, whose ids are replaced when it comes round.
        self.bodies = [
            stream(
                {
                    "id": pyarrow.array([f"new{turn}-{row}" for row in range(1000)]),
                    "vector": arrow_vectors(50 + random.standard_normal((1000, dimension), dtype=numpy.float32)),
                }
            )
            for turn in range(300)
        ]
        self.ended = threading.Event()
        self.added = 0

    def run(self):
        started = time.perf_counter()
        while not self.ended.is_set():
            self.client.post("/x/add", self.bodies[self.added // 1000 % len(self.bodies)], STREAM)
            self.added += 1000
            ahead = self.added / 10_000 - (time.perf_counter() - started)
            if ahead > 0:
                time.sleep(ahead)
        self.rate = self.added / (time.perf_counter() - started)


def served(binary, plugins, data, seconds, library):
    """The figures of one server, filled and searched, and of the library beside it."""
    base, queries, truth = data.vectors, data.queries, data.truth()
    configuration = "[plugins]\nrequired = []\n[vectors]\nmax_body = \"256MiB\"\n"
    figures = {}
    with tempfile.TemporaryDirectory() as folder, harness.Server(binary, plugins, configuration) as server:
        client = Client(server.base)
        spec = {"name": "x", "dimension": data.dimension, "distance": "l2"}
        client.post("", json.dumps(spec))
        bodies = item_bodies(base, "v")
        started = time.perf_counter()
        for body in bodies:
            client.post("/x/add", body, STREAM)
        figures["added"] = len(base) / (time.perf_counter() - started)
        last = stream({"vector": arrow_vectors(base[-1:])})
        hits = pyarrow.ipc.open_stream(client.post("/x/search?k=1", last, STREAM)).read_all()
        if hits["id"].to_pylist() != [f"v{len(base) - 1}"]:
            raise RuntimeError("the last vector added is not found at once")
        settled(client)
        quiet = recall(client, queries, truth)
        for threads in (1, THREADS):
            figures[threads] = sustained(library, threads, seconds)
        figures["one"] = wrk(server.base, queries, 1, seconds, folder)
        figures["eight"] = wrk(server.base, queries, 8, seconds, folder)
        parts = [queries[start : start + ASKED] for start in range(0, len(queries), ASKED)]
        streams = [stream({"vector": arrow_vectors(part)}) for part in parts]
        figures["arrow"] = many(client, streams, f"/x/search?k={NEAREST}&include=", STREAM, seconds)
        texts = [json.dumps({"vectors": part.tolist(), "k": NEAREST, "include": []}) for part in parts]
        figures["json"] = many(client, texts, "/x/search", "application/json", seconds)
        adding = Adding(server.base, data.dimension)
        adding.start()
        figures["busy"] = wrk(server.base, queries, 1, seconds, folder)
        figures["recall lost"] = quiet - recall(client, queries, truth)
        adding.ended.set()
        adding.join()
        figures["adding"] = adding.rate
        figures["late"] = figures["busy"][2] / figures["one"][2]
        figures["share of one"] = figures["eight"][0] / figures[THREADS]
        figures["share of many"] = figures["arrow"] / figures[THREADS]
        figures["resident"] = server.status("VmRSS")
    return figures


def main():
    binary, plugins, measure, cache, rows, dimension, seconds = sys.argv[1:]
    rows, dimension, seconds = int(rows), int(dimension), int(seconds)
    data = Data(cache, "clustered", rows, dimension, "l2")
    data.truth()
    library = Ours(measure, data, "lakehouse")
    rounds = [served(binary, plugins, data, seconds, library) for _ in range(ROUNDS)]
    library.close()
    for number, figures in enumerate(rounds, 1):
        one, busy = figures["one"][2], figures["busy"][2]
        shares = f"{figures['share of one']:.2f} and {figures['share of many']:.2f} of the library"
        print(f"{number}/{ROUNDS}: {shares}; p99 {one:.3f} ms, {busy:.3f} while adding", file=sys.stderr)

    def median(name, place=None):
        return statistics.median(figures[name] if place is None else figures[name][place] for figures in rounds)

    load = os.getloadavg()[0]
    print(f"{rows:,} x {dimension}, clustered, l2, {THREADS} processors, ef {EF}; load {load:.1f} at the end\n")
    cells = [
        ["library, one thread", f"{median(1):,.0f}", "", ""],
        ["library, all", f"{median(THREADS):,.0f}", "", ""],
    ]
    for name, what in [
        ("one", "one a request, 1 connection"),
        ("eight", "one a request, 8 connections"),
        ("json", f"{ASKED} a request, JSON"),
        ("arrow", f"{ASKED} a request, Arrow"),
        ("busy", "one a request, 1 connection, while adding"),
    ]:
        if name in ("json", "arrow"):
            cells.append([what, f"{median(name):,.0f}", "", ""])
        else:
            times = [f"{median(name, place):.3f}" for place in (1, 2)]
            cells.append([what, f"{median(name, 0):,.0f}", *times])
    harness.table(["", "queries/s", "median ms", "p99 ms"], cells)
    lates = ", ".join(f"{figures['late']:.2f}" for figures in rounds)
    print(
        f"\n{median('adding'):,.0f} vectors/s were being added; {median('resident'):,.0f} MB resident at the end; "
        f"p99 while adding, times quiet: {lates}\n"
    )
    verdict("median ms", median("one", 1), 1, least=False)
    verdict("one a request, times the library on all processors", median("share of one"), 0.5)
    verdict("many a request, times the library on all processors", median("share of many"), 0.5)
    verdict("vectors/s added by Arrow", median("added"), 50_000)
    verdict("p99 while adding, times quiet", median("late"), 2, least=False)
    verdict("recall while adding, less than quiet by", median("recall lost"), 0.01, least=False)


if __name__ == "__main__":
    main()
