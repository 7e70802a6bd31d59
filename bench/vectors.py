"""The vector service's library beside hnswlib, usearch and faiss.

usage: vectors.py MEASURE CACHE PLOTS RUNS ONLY FILTERED FORM:ROWSxDIMENSION:DISTANCE...

All build an HNSW graph of the same vectors with M 16 and efConstruction 200 on all
processors, and search the 10 nearest of 1,000 queries; recall is against exact search.
Ours goes through the whole service: building includes the log, flushed at each call, and
the files. ONLY names contestants with commas between them: `lakehouse`, `lakehouse f16`,
`lakehouse int8`, `hnsw_rs` (our service with that engine), `hnswlib`, `usearch`, `faiss`.
FILTERED (yes or no) says whether searches among 1%, 10% and 50% of the vectors are
measured too.

The contestants search in turns, and what one thread does is measured by the processor's
time, so that what else the machine does matters less; the best of RUNS counts.
The bars: at recall 0.95 and 0.99, one thread, at least 1.2 times hnswlib's queries/s
without quantisation and 2 times with it, and 0.9 a core on all; building at most
hnswlib's time; filtered, recall 0.95 at hnswlib's queries/s; 1,000,000 vectors opened
again within 2 s.
"""

import os
import pathlib
import sys

import faiss
import numpy

import harness
from curves import at_recall, plot
from peers import NEAREST, OURS, PEERS, THREADS, Ours

QUERIES = 1000
EFS = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280]
# Of vectors without any order hardly one is nearer than the others: finding those takes
# a look at a good part of them all.
WIDE_EFS = [1792, 2560, 3584, 5120, 7168, 10_000, 14_336, 20_480, 28_672, 40_960]
# Wide enough: what comes after tells nothing new.
ENOUGH = 0.998
PERCENTS = [1, 10, 50]
FILTERED_EFS = [10, 20, 40, 80, 160, 320]
RECALLS = [0.95, 0.99]


class Data:
    """Vectors, queries and the rows that are truly nearest to them, made once as files."""

    def __init__(self, cache, form, rows, dimension, distance):
        self.dimension, self.distance = dimension, distance
        stem = pathlib.Path(cache) / f"vectors-1-{form}-{rows}x{dimension}-{distance}"
        self.base, self.asked = stem.with_suffix(".base"), stem.with_suffix(".queries")
        if not (self.base.exists() and self.asked.exists()):
            stem.parent.mkdir(parents=True, exist_ok=True)
            vectors = generate(cache, form, rows + QUERIES, dimension)
            if distance == "cosine":
                vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[:rows].tofile(self.base)
            vectors[rows:].tofile(self.asked)
        read = lambda file: numpy.fromfile(file, numpy.float32).reshape(-1, dimension)
        self.vectors, self.queries = read(self.base), read(self.asked)
        self.stem, self.truths = stem, {}

    def truth(self, percent=100):
        """The nearest among the rows of which `row % 100` is less than the percentage."""
        file = self.stem.with_suffix(f".truth-{percent}")
        if not file.exists():
            rows = numpy.flatnonzero(numpy.arange(len(self.vectors)) % 100 < percent)
            exact = faiss.IndexFlatL2(self.dimension)
            exact.add(self.vectors[rows])
            rows[exact.search(self.queries, NEAREST)[1]].astype(numpy.uint32).tofile(file)
        self.truths[percent] = file
        return numpy.fromfile(file, numpy.uint32).reshape(-1, NEAREST)


def generate(cache, form, count, dimension):
    random = numpy.random.default_rng(1)
    if form == "real":
        import embed

        return embed.sentences(cache, count)
    if form == "uniform":
        return random.random((count, dimension), dtype=numpy.float32)
    centres = random.standard_normal((100, dimension), dtype=numpy.float32)
    vectors = centres[random.integers(0, len(centres), count)]
    vectors += 0.7 * random.standard_normal((count, dimension), dtype=numpy.float32)
    return vectors


def race(contestants, efs, runs, percent=100):
    """The curve of each, measured in turns."""
    curves = {name: [] for name in contestants}
    for ef in efs:
        # These take long: no more of them than the bars want, and no more than once.
        wide = ef in WIDE_EFS
        enough, turns = (max(RECALLS), 1) if wide else (ENOUGH, runs)
        running = [name for name, curve in curves.items() if not curve or curve[-1]["recall"] < enough]
        points = {name: {"ef": ef, "rate": 0, "all": 0, "scaling": 0} for name in running}
        for turn in range(turns):
            for name in running:
                answer = contestants[name].search(ef, 1, percent)
                # A peer may start threads although one is asked for.
                seconds = max(answer["processors"], 1e-9)
                point = points[name]
                point["recall"] = answer["recall"]
                point["rate"] = max(point["rate"], answer["queries"] / seconds)
                if percent == 100 and THREADS > 1 and not wide:
                    answer = contestants[name].search(ef, THREADS, percent)
                    every = answer["queries"] / answer["seconds"]
                    # Beside one thread by the clock, of the same turn.
                    alone = contestants[name].search(ef, 1, percent)
                    share = every / (alone["queries"] / alone["seconds"]) / THREADS
                    point["all"] = max(point["all"], every)
                    point["scaling"] = max(point["scaling"], share)
        for name, point in points.items():
            curves[name].append(point)
            # What is measured should not be lost with what is not yet.
            print(f"{name}, ef {ef}: recall {point['recall']:.4f}, {point['rate']:,.0f} queries/s", file=sys.stderr)
    return curves


def ratio(figure, base):
    return f"{figure / base:.2f}" if figure and base else "-"


def count(figure):
    return f"{figure:,.0f}" if figure else "-"


def searching(built, curves):
    """Prints what building and searching took, and beside hnswlib."""
    base = {"built": None, "processors": None} | built.get("hnswlib", {})
    rows = []
    for name, curve in curves.items():
        took = built[name]
        row = [name, f"{took['built']:.1f}", f"{took['processors']:.1f}", ratio(took["processors"], base["processors"])]
        for recall in RECALLS:
            rate = at_recall(curve, recall)
            row += [count(rate), ratio(rate, "hnswlib" in curves and at_recall(curves["hnswlib"], recall))]
        if THREADS > 1:
            narrow = [point for point in curve if point["all"]]
            every = at_recall(narrow, RECALLS[0], "all")
            row += [count(every), f"{max(point['scaling'] for point in curve):.2f}"]
        rows.append(row)
    heads = ["", "build s", "of processor time", "ratio"]
    for recall in RECALLS:
        heads += [f"queries/s at {recall}", "ratio"]
    if THREADS > 1:
        heads += [f"{THREADS} threads at {RECALLS[0]}", "scaling a core"]
    harness.table(heads, rows)


def filtered(contestants, runs):
    """Prints what filtered searches did at recall 0.95."""
    rows = []
    for percent in PERCENTS:
        curves = race(contestants, FILTERED_EFS, runs, percent)
        base = "hnswlib" in curves and at_recall(curves["hnswlib"], RECALLS[0])
        for name, curve in curves.items():
            rate = at_recall(curve, RECALLS[0])
            best = max(point["recall"] for point in curve)
            rows.append([name, f"{percent}%", count(rate), ratio(rate, base), f"{best:.4f}"])
    harness.table(["", "of the vectors", f"queries/s at {RECALLS[0]}", "ratio", "best recall"], rows)


def measure(program, cache, plots, case, runs, only, among):
    form, size, distance = case.split(":")
    rows, dimension = map(int, size.split("x"))
    data = Data(cache, form, rows, dimension, distance)
    for percent in [100, *(PERCENTS if among else [])]:
        data.truth(percent)
    title = f"{rows:,} x {dimension}, {form}, {distance}"
    print(f"\n### {title}\n")
    print(f"{THREADS} processors; load {os.getloadavg()[0]:.1f} before, ", end="", flush=True)
    contestants = {name: Ours(program, data, name) for name in OURS if name in only}
    contestants |= {name: kind(data) for name, kind in PEERS.items() if name in only}
    curves = race(contestants, EFS + WIDE_EFS, runs)
    print(f"{os.getloadavg()[0]:.1f} after.\n")
    searching({name: one.built for name, one in contestants.items()}, curves)
    if among:
        print()
        filtered({name: one for name, one in contestants.items() if name in OURS or one.filters}, runs)
    for one in contestants.values():
        one.close()
    if "lakehouse" in contestants:
        ours, million = contestants["lakehouse"].built, 1e6 / rows
        print(
            f"\nOurs: the log took {ours['added']:.1f} s of the build; opened again in {ours['opened']:.2f} s; "
            f"{ours['segments']} segment(s); a million vectors: {ours['bytes'] * million / 1e6:,.0f} MB mapped, "
            f"{ours['memory'] * million / 1e6:,.0f} MB in memory alone."
        )
    print()
    points = [(name, point) for name, curve in curves.items() for point in curve]
    cells = [[name, point["ef"], f"{point['recall']:.4f}", count(point["rate"])] for name, point in points]
    harness.table(["", "ef", "recall", "queries/s, 1 thread"], cells)
    pathlib.Path(plots).mkdir(parents=True, exist_ok=True)
    plot(pathlib.Path(plots) / f"vectors-{form}-{rows}x{dimension}-{distance}.svg", title, curves)


def main():
    program, cache, plots, runs, only, among, *cases = sys.argv[1:]
    only = [name.strip() for name in only.split(",")]
    for name in only:
        if name not in OURS and name not in PEERS:
            raise SystemExit(f"{name!r} is none of {', '.join([*OURS, *PEERS])}")
    for case in cases:
        measure(program, cache, plots, case, int(runs), only, among == "yes")


if __name__ == "__main__":
    main()
