"""The vector service's library beside hnswlib, usearch and faiss.

usage: vectors.py MEASURE CACHE PLOT ROWS DIMENSION DISTANCE FORM RUNS FILTERED

All build an HNSW graph of the same vectors with M 16 and efConstruction 200 on all
processors, and search the 10 nearest of 1,000 queries; recall is against exact search.
Ours goes through the whole service: building includes the log, flushed at each call, and
the files; without quantisation, with it, and with hnsw_rs in the place of our own engine.
FILTERED (yes or no) says whether searches among 1%, 10% and 50% of the vectors are
measured too, beside hnswlib's filter.
The bars: at recall 0.95 and 0.99, one thread, at least 1.2 times hnswlib's queries/s
without quantisation and 2 times with it, and 0.9 a core on all; building at most
hnswlib's time; filtered, recall 0.95 at hnswlib's queries/s; 1,000,000 vectors opened
again within 2 s.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import time

import faiss
import hnswlib
import numpy
import usearch.index

import harness

QUERIES = 1000
NEAREST = 10
M = 16
EF_CONSTRUCTION = 200
PERCENTS = [1, 10, 50]
FILTERED_EFS = [10, 20, 40, 80, 160, 320]
EFS = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280]
RECALLS = [0.95, 0.99]
THREADS = os.cpu_count()


def generate(cache, rows, dimension, distance, form):
    """Files of vectors, queries and true neighbours, made once."""
    stem = pathlib.Path(cache) / f"vectors-1-{form}-{rows}x{dimension}-{distance}"
    files = [stem.with_suffix(end) for end in (".base", ".queries", ".truth")]
    if not all(file.exists() for file in files):
        stem.parent.mkdir(parents=True, exist_ok=True)
        random = numpy.random.default_rng(1)
        count = rows + QUERIES
        if form == "real":
            import embed

            vectors = embed.sentences(cache, count)
        elif form == "clustered":
            centres = random.standard_normal((100, dimension), dtype=numpy.float32)
            vectors = centres[random.integers(0, len(centres), count)]
            vectors += 0.7 * random.standard_normal((count, dimension), dtype=numpy.float32)
        else:
            vectors = random.random((count, dimension), dtype=numpy.float32)
        if distance == "cosine":
            vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        exact = faiss.IndexFlatL2(dimension)
        exact.add(vectors[:rows])
        truth = exact.search(vectors[rows:], NEAREST)[1].astype(numpy.uint32)
        for file, values in zip(files, (vectors[:rows], vectors[rows:], truth)):
            values.tofile(file)
    return files


def filtered_truth(files, vectors, queries, percent):
    """The file of the true neighbours among the rows of which `row % 100` is less."""
    file = files[2].with_suffix(f".truth-{percent}")
    if not file.exists():
        rows = numpy.flatnonzero(numpy.arange(len(vectors)) % 100 < percent)
        exact = faiss.IndexFlatL2(vectors.shape[1])
        exact.add(vectors[rows])
        rows[exact.search(queries, NEAREST)[1]].astype(numpy.uint32).tofile(file)
    return file


class Hnswlib:
    def __init__(self, vectors, distance):
        self.index = hnswlib.Index(space=distance, dim=vectors.shape[1])
        self.index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.add_items(vectors, num_threads=THREADS)

    def search(self, queries, ef, threads, takes=None):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=NEAREST, num_threads=threads, filter=takes)[0]


class Usearch:
    def __init__(self, vectors, distance):
        metric = {"cosine": "cos", "l2": "l2sq"}[distance]
        self.index = usearch.index.Index(
            ndim=vectors.shape[1], metric=metric, dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION
        )
        self.index.add(numpy.arange(len(vectors)), vectors, threads=THREADS)

    def search(self, queries, ef, threads):
        self.index.expansion_search = ef
        return self.index.search(queries, NEAREST, threads=threads).keys


class Faiss:
    def __init__(self, vectors, distance):
        # The vectors have length one under cosine, so that both order alike.
        faiss.omp_set_num_threads(THREADS)
        self.index = faiss.IndexHNSWFlat(vectors.shape[1], M)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.add(vectors)

    def search(self, queries, ef, threads):
        faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, NEAREST)[1]


def recall_of(found, truth):
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist()))
    return hits / truth.size


def filtered_peer(index, queries, files, runs):
    """Searches with hnswlib's filter; what `measure` gives of ours."""
    results = []
    for percent in PERCENTS:
        truth = numpy.fromfile(files[2].with_suffix(f".truth-{percent}"), numpy.uint32).reshape(-1, NEAREST)
        curve = []
        for ef in FILTERED_EFS:
            best = 0
            for _ in range(runs):
                started = time.perf_counter()
                found = index.search(queries, ef, 1, takes=lambda row: row % 100 < percent)
                best = max(best, len(queries) / (time.perf_counter() - started))
            curve.append({"ef": ef, "recall": recall_of(found, truth), "rate": best})
        results.append({"percent": percent, "curve": curve})
    return results


def peer(kind, vectors, queries, truth, distance, runs, filtered=None):
    """Builds and searches with a library; what `measure` gives of ours."""
    started = time.perf_counter()
    index = kind(vectors, distance)
    built = time.perf_counter() - started
    curve = []
    for ef in EFS:
        rates = {}
        for threads in (1, THREADS):
            for _ in range(runs):
                started = time.perf_counter()
                found = index.search(queries, ef, threads)
                rate = len(queries) / (time.perf_counter() - started)
                rates[threads] = max(rate, rates.get(threads, 0))
        curve.append({"ef": ef, "recall": recall_of(found, truth), "rate": rates[1], "all": rates[THREADS]})
    result = {"built": built, "curve": curve}
    if filtered:
        result["filtered"] = filtered_peer(index, queries, filtered, runs)
    return result


def at_recall(curve, recall, field="rate"):
    """Queries/s where the curve, its rates on a logarithmic scale, reaches a recall."""
    best = None
    for low, high in zip(curve, curve[1:]):
        if low["recall"] <= recall <= high["recall"] and high["recall"] > low["recall"]:
            share = (recall - low["recall"]) / (high["recall"] - low["recall"])
            rate = math.exp(math.log(low[field]) * (1 - share) + math.log(high[field]) * share)
            best = max(rate, best or 0)
    if best is None and curve[0]["recall"] >= recall:
        best = curve[0][field]
    return best


def plot(file, title, results):
    """Draws queries/s of one thread over recall as SVG."""
    left, top, width, height = 70, 40, 560, 340
    points = [point for result in results.values() for point in result["curve"] if point["recall"] >= 0.8]
    low, high = (math.log10(end([point["rate"] for point in points])) for end in (min, max))
    # Recall as the number of nines, so that 0.9, 0.99 and 0.999 are as far apart.
    across = lambda recall: left + width * (-math.log10(max(1 - recall, 2e-4)) - 0.69) / (3.7 - 0.69)
    down = lambda rate: top + height * (high - math.log10(rate)) / max(high - low, 1e-9)
    colours = ["#d62728", "#ff7f0e", "#9467bd", "#1f77b4", "#2ca02c", "#7f7f7f"]
    parts = [f'<text x="{left}" y="24" font-size="15">{title}</text>']
    for recall in (0.8, 0.9, 0.95, 0.99, 0.995, 0.999):
        x = across(recall)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{recall}</text>')
    for power in range(math.floor(low), math.ceil(high) + 1):
        for step in (1, 2, 5):
            rate = step * 10**power
            if low <= math.log10(rate) <= high:
                y = down(rate)
                parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#ddd"/>')
                parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{rate:,}</text>')
    for number, (name, result) in enumerate(results.items()):
        colour = colours[number % len(colours)]
        line = " ".join(
            f"{across(point['recall']):.1f},{down(point['rate']):.1f}" for point in result["curve"] if point["recall"] >= 0.8
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + 18 * number + 10
        parts.append(f'<line x1="{left + width + 14}" y1="{y}" x2="{left + width + 34}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + width + 40}" y="{y + 4}">{name}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">recall of the 10 nearest</text>')
    parts.append(f'<text x="16" y="{top + height / 2}" text-anchor="middle" transform="rotate(-90 16 {top + height / 2})">queries/s, one thread</text>')
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 190}" height="{top + height + 56}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def curves(results):
    """Prints every point of every curve."""
    cells = []
    for name, result in results.items():
        for point in result["curve"]:
            cells.append([name, point["ef"], f"{point['recall']:.4f}", f"{point['rate']:,.0f}", f"{point['all']:,.0f}"])
    harness.table(["", "ef", "recall", "queries/s, 1 thread", f"{THREADS} threads"], cells)


def filters(results):
    """Prints what filtered searches did at recall 0.95."""
    cells = []
    for number, percent in enumerate(PERCENTS):
        base = at_recall(results["hnswlib"]["filtered"][number]["curve"], RECALLS[0])
        for name, result in results.items():
            if "filtered" in result:
                curve = result["filtered"][number]["curve"]
                rate = at_recall(curve, RECALLS[0])
                best = max(point["recall"] for point in curve)
                ratio = f"{rate / base:.2f}" if rate and base else "-"
                cells.append([name, f"{percent}%", f"{rate:,.0f}" if rate else "-", ratio, f"{best:.4f}"])
    harness.table(["", "of the vectors", f"queries/s at {RECALLS[0]}", "ratio", "best recall"], cells)


def verdict(what, figure, bar, least=True):
    """Prints a figure beside its bar."""
    if figure is None:
        print(f"- {what}: not reached at any width")
        return
    met = figure >= bar if least else figure <= bar
    print(f"- {what}: {figure:.2f}, bar {bar}: {'met' if met else '**not met**'}")


def bars(results, rows):
    base, ours, int8 = (results[name] for name in ("hnswlib", "lakehouse", "lakehouse int8"))
    for recall in RECALLS:
        other = at_recall(base["curve"], recall)
        for name, result, bar in [("unquantised", ours, 1.2), ("int8", int8, 2)]:
            rate = at_recall(result["curve"], recall)
            verdict(f"{name} at recall {recall}, times hnswlib", rate / other if rate and other else None, bar)
    rate, every = (at_recall(ours["curve"], RECALLS[0], field) for field in ("rate", "all"))
    verdict("all cores, a core, times one thread", every / rate / THREADS if rate and every else None, 0.9)
    verdict("build, times hnswlib", ours["built"] / base["built"], 1, least=False)
    if "filtered" in ours:
        for mine, other in zip(ours["filtered"], base["filtered"]):
            rate, peer = (at_recall(result["curve"], RECALLS[0]) for result in (mine, other))
            verdict(f"filtered to {mine['percent']}% at recall 0.95, times hnswlib", rate / peer if rate and peer else None, 1)
    if rows >= 1_000_000:
        verdict("seconds to open again", ours["opened"], 2, least=False)


def main():
    measure, cache, folder, rows, dimension, distance, form, runs, filtered = sys.argv[1:]
    rows, dimension, runs, filtered = int(rows), int(dimension), int(runs), filtered == "yes"
    if form == "real":
        import embed

        dimension = embed.DIMENSION
    files = generate(cache, rows, dimension, distance, form)
    vectors = numpy.fromfile(files[0], numpy.float32).reshape(-1, dimension)
    queries = numpy.fromfile(files[1], numpy.float32).reshape(-1, dimension)
    truth = numpy.fromfile(files[2], numpy.uint32).reshape(-1, NEAREST)
    truths = {percent: filtered_truth(files, vectors, queries, percent) for percent in PERCENTS} if filtered else {}

    results = {}
    for name, quantization, engine in [
        ("lakehouse", "none", "own"),
        ("lakehouse int8", "int8", "own"),
        ("lakehouse, hnsw_rs", "none", "hnsw-rs"),
    ]:
        job = {
            "vectors": str(files[0]),
            "queries": str(files[1]),
            "truth": str(files[2]),
            "dimension": dimension,
            "distance": distance,
            "quantization": quantization,
            "engine": engine,
            "threads": THREADS,
            "runs": runs,
            "efs": EFS,
        }
        if engine == "own":
            job["filters"] = [{"percent": percent, "truth": str(file)} for percent, file in truths.items()]
        done = subprocess.run([measure, json.dumps(job)], check=True, stdout=subprocess.PIPE)
        results[name] = json.loads(done.stdout)
        if not results[name]["filtered"]:
            del results[name]["filtered"]
    for name, kind in [("hnswlib", Hnswlib), ("usearch", Usearch), ("faiss", Faiss)]:
        among = files if filtered and kind is Hnswlib else None
        results[name] = peer(kind, vectors, queries, truth, distance, runs, among)

    title = f"{rows:,} x {dimension}, {form}, {distance}"
    print(f"{title}; {THREADS} threads\n")
    base = results["hnswlib"]
    cells = []
    for name, result in results.items():
        row = [name, f"{result['built']:.1f}", f"{result['built'] / base['built']:.2f}"]
        for recall in RECALLS:
            rate, other = at_recall(result["curve"], recall), at_recall(base["curve"], recall)
            row.append(f"{rate:,.0f}" if rate else "-")
            row.append(f"{rate / other:.2f}" if rate and other else "-")
        rate, every = (at_recall(result["curve"], RECALLS[0], field) for field in ("rate", "all"))
        row.append(f"{every / rate / THREADS:.2f}" if rate and every else "-")
        cells.append(row)
    heads = ["", "build s", "ratio"]
    for recall in RECALLS:
        heads += [f"queries/s at {recall}", "ratio"]
    harness.table(heads + ["scaling a core"], cells)
    if filtered:
        print()
        filters(results)
    ours = results["lakehouse"]
    million = 1e6 / rows
    print(
        f"\nof the build, the log took {ours['added']:.1f} s; opened again in {ours['opened']:.2f} s; "
        f"{ours['segments']} segment(s); a million vectors: {ours['built'] * million:.0f} s to build, "
        f"{ours['bytes'] * million / 1e6:,.0f} MB mapped, {ours['memory'] * million / 1e6:,.0f} MB in memory alone\n"
    )
    bars(results, rows)
    print()
    curves(results)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    plot(pathlib.Path(folder) / f"vectors-{form}-{rows}x{dimension}-{distance}.svg", title, results)


if __name__ == "__main__":
    main()
