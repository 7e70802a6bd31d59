"""Libraries that index vectors, with one face: ours, hnswlib, usearch and faiss.

Each is built from the same file of vectors with M 16 and efConstruction 200, says how
long that took, and then answers `search`: all queries once, timed.
"""

import json
import os
import subprocess
import time

import faiss
import hnswlib
import numpy
import usearch.index

NEAREST = 10
M = 16
EF_CONSTRUCTION = 200
# Processors that this may run on.
THREADS = len(os.sched_getaffinity(0))
# How ours is built.
OURS = {
    "lakehouse": ("none", "own"),
    "lakehouse f16": ("f16", "own"),
    "lakehouse int8": ("int8", "own"),
    "hnsw_rs": ("none", "hnsw-rs"),
}


def timed(run):
    """What it returns, the seconds it took, and those of all processors together."""
    clock, processors = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - clock, time.process_time() - processors


class Ours:
    """The vector service's library, in a process of its own."""

    def __init__(self, measure, data, name):
        quantization, engine = OURS[name]
        job = {
            "vectors": str(data.base),
            "queries": str(data.asked),
            "truths": {percent: str(file) for percent, file in data.truths.items()},
            "dimension": data.dimension,
            "distance": data.distance,
            "quantization": quantization,
            "engine": engine,
            "threads": THREADS,
        }
        self.queries = len(data.queries)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([measure, json.dumps(job)], stdin=pipe, stdout=pipe, text=True)
        self.built = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"measure ended with {self.process.wait()}")
        return json.loads(line)

    def search(self, ef, threads, percent=100):
        print(json.dumps({"ef": ef, "threads": threads, "percent": percent}), file=self.process.stdin, flush=True)
        # Each of the threads asks all of them; a peer's threads share them.
        return self.answer() | {"queries": threads * self.queries}

    def close(self):
        self.process.stdin.close()
        self.built |= self.answer()
        self.process.wait()


class Peer:
    """A library with a face in Python, in this process."""

    filters = False

    def __init__(self, data):
        self.data = data
        _, built, processors = timed(lambda: self.build(data.vectors, data.distance))
        self.built = {"built": built, "processors": processors}

    def search(self, ef, threads, percent=100):
        found, seconds, processors = timed(lambda: self.find(self.data.queries, ef, threads, percent))
        truth = self.data.truth(percent)
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist()))
        return {"recall": hits / truth.size, "queries": len(found), "seconds": seconds, "processors": processors}

    def close(self):
        pass


class Hnswlib(Peer):
    filters = True

    def build(self, vectors, distance):
        self.index = hnswlib.Index(space=distance, dim=vectors.shape[1])
        self.index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.add_items(vectors, num_threads=THREADS)

    def find(self, queries, ef, threads, percent):
        self.index.set_ef(ef)
        takes = None if percent == 100 else lambda row: row % 100 < percent
        return self.index.knn_query(queries, k=NEAREST, num_threads=threads, filter=takes)[0]


class Usearch(Peer):
    def build(self, vectors, distance):
        metric = {"cosine": "cos", "l2": "l2sq"}[distance]
        self.index = usearch.index.Index(
            ndim=vectors.shape[1], metric=metric, dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION
        )
        self.index.add(numpy.arange(len(vectors)), vectors, threads=THREADS)

    def find(self, queries, ef, threads, percent):
        self.index.expansion_search = ef
        return self.index.search(queries, NEAREST, threads=threads).keys


class Faiss(Peer):
    def build(self, vectors, distance):
        # The vectors have length one under cosine, so that both order alike.
        faiss.omp_set_num_threads(THREADS)
        self.index = faiss.IndexHNSWFlat(vectors.shape[1], M)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.add(vectors)

    def find(self, queries, ef, threads, percent):
        faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, NEAREST)[1]


PEERS = {"hnswlib": Hnswlib, "usearch": Usearch, "faiss": Faiss}
