"""pyarrow fills a vector index and searches it, by Arrow streams.

usage: vectors_arrow.py BASE_URL WORK_FOLDER

What comes back is compared with the nearest that Python finds by itself.
"""

import json
import random
import sys

import pyarrow as pa

from lakehouse import Lakehouse

STREAM = "application/vnd.apache.arrow.stream"
DIMENSION = 8


def stream(table, compression=None):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=150)
    return sink.getvalue().to_pybytes()


def fixed(rows):
    return pa.array(rows, pa.list_(pa.float32(), DIMENSION))


def main():
    server = Lakehouse(sys.argv[1])
    index = "/v1/vectors/index"
    spec = {"name": "arrow", "dimension": DIMENSION, "distance": "l2"}
    server.request("POST", index, json.dumps(spec).encode(), {"content-type": "application/json"})
    numbers = random.Random(1)
    vectors = [[numbers.uniform(-1, 1) for _ in range(DIMENSION)] for _ in range(500)]
    for kind, part in [(pa.string(), slice(0, 250)), (pa.large_string(), slice(250, 500))]:
        rows = range(500)[part]
        table = pa.table(
            {
                "id": pa.array([f"v{row}" for row in rows], kind),
                "vector": fixed(vectors[part]),
                "metadata": pa.array([json.dumps({"even": row % 2 == 0}) if row % 5 else None for row in rows]),
            }
        )
        answer = server.request("POST", f"{index}/arrow/add", stream(table), {"content-type": STREAM})
        assert json.loads(answer) == {"added": 250, "updated": 0}, answer

    compressed = stream(pa.table({"id": ["z"] * 100, "vector": fixed(vectors[:100])}), compression="zstd")
    try:
        server.request("POST", f"{index}/arrow/add", compressed, {"content-type": STREAM})
        raise AssertionError("compressed buffers are taken")
    except RuntimeError as error:
        assert "message 1 is compressed" in str(error), error

    queries = pa.table({"vector": fixed([vectors[17], vectors[300]])})
    path = f"{index}/arrow/search?k=7&filter=%7B%22even%22%3Atrue%7D"
    answer = server.request("POST", path, stream(queries), {"content-type": STREAM})
    found = pa.ipc.open_stream(answer).read_all().to_pylist()
    single = lambda row: pa.array(row, pa.float32()).to_pylist()
    distance = lambda a, b: sum((x - y) ** 2 for x, y in zip(single(a), single(b)))
    wanted = []
    for number, query in enumerate([vectors[17], vectors[300]]):
        rows = [row for row in range(500) if row % 2 == 0 and row % 5]
        rows.sort(key=lambda row: distance(query, vectors[row]))
        wanted += [(number, rank, f"v{row}", {"even": True}) for rank, row in enumerate(rows[:7])]
    got = [(hit["query"], hit["rank"], hit["id"], json.loads(hit["metadata"])) for hit in found]
    assert got == wanted, f"pyarrow gets\n{got}\nnot\n{wanted}"
    print(f"pyarrow gets {len(got)} hits, the nearest")


if __name__ == "__main__":
    main()
