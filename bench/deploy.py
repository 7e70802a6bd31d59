"""Swaps under load, and how long a dropped file takes to answer.

usage: deploy.py BINARY PLUGINS SWAPS

Versions of hello world that answer with their number take each other's place, half of
them sent and half dropped into the folder, while 16 connections ask all the time. The
bars: no failed request; no answer of a version whose successor served before the
request began; resident memory after the last swap within 10% of that after the 50th;
200 ms from file drop to first answer for a plugin of about 1 MB that was never compiled,
50 ms for one of about 50 MB that was.
"""

import http.client
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

import harness

CONNECTIONS = 16
VERSIONS = 10
RUNS = 7


def version(hello, number):
    """Hello world that greets with its number."""
    changed = hello.replace(b"hello, ", b"%07d" % number)
    assert changed != hello, "hello.wasm greets otherwise"
    return changed


def drop(folder, name, component):
    """Puts a file into the folder, whole."""
    part = pathlib.Path(folder) / f"{name}.part"
    part.write_bytes(component)
    part.rename(pathlib.Path(folder) / f"{name}.wasm")


def plugin(server, name):
    """What the host says of a plugin."""
    return json.loads(server.client.request("GET", f"/v1/plugins/{name}"))


class Load:
    """Connections that ask without a pause and judge the answers."""

    def __init__(self, base):
        self.address = base.removeprefix("http://")
        # Swaps that began, and swaps that were over.
        self.begun = self.over = 0
        self.answers, self.failed, self.stale = 0, [], []
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        answers = 0
        while not self.stop.is_set():
            over = self.over
            try:
                connection.request("GET", "/v1/hello")
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            if answer.status != 200:
                self.failed.append(f"{answer.status} {text}")
                continue
            answers += 1
            number = int(text.removesuffix("world"))
            if number not in {swap % VERSIONS for swap in range(over, self.begun + 1)}:
                self.stale.append((number, over, self.begun))
        with self.lock:
            self.answers += answers

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def swaps(binary, hello, count):
    """Swaps under load: answers, failures, answers of the past, memory, seconds a swap."""
    hello = renewed(hello)
    with tempfile.TemporaryDirectory() as folder:
        drop(folder, "hello", version(hello, 0))
        with harness.Server(binary, folder, f"[plugins]\nrequired = ['hello']\nkeep = {VERSIONS}\n") as server:
            load = Load(server.base)
            memory = {}
            started = time.monotonic()
            for swap in range(1, count + 1):
                component = version(hello, swap % VERSIONS)
                load.begun = swap
                if swap % 2:
                    server.client.request("PUT", "/v1/plugins/hello", component, {"content-type": "application/wasm"})
                else:
                    drop(folder, "hello", component)
                    while plugin(server, "hello")["generation"] != swap + 1:
                        time.sleep(0.002)
                load.over = swap
                if swap in (50, count):
                    time.sleep(1)
                    memory[swap] = server.status("VmRSS")
            seconds = time.monotonic() - started
            load.end()
            return load, memory[50], memory[count], seconds / count


def sections(component):
    """Ids and bytes of a component's sections, each with its head."""
    at = 8
    while at < len(component):
        start, size, shift = at, 0, 0
        at += 1
        while True:
            size |= (component[at] & 0x7F) << shift
            shift += 7
            at += 1
            if component[at - 1] < 0x80:
                break
        at += size
        yield component[start], component[start:at]


def enlarged(component, size):
    """A component with the largest of its core modules added until it has about `size` bytes.

    Nothing runs those, but they are compiled.
    """
    module = max((section for kind, section in sections(component) if kind == 1), key=len)
    return component + module * round((size - len(component)) / len(module))


def renewed(component):
    """The same with a custom section that makes it another component, never compiled."""
    nonce = b"%020d" % time.time_ns()
    return component + b"\x00" + bytes([2 + len(nonce)]) + b"\x01x" + nonce


def until_answer(server, request):
    """Asks until there is an answer of 200."""
    while True:
        try:
            return request(server.client)
        except RuntimeError:
            time.sleep(0.001)


def cold(binary, name, component, path):
    """Milliseconds from file drop to first answer of a component that is new."""
    times = []
    for run in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            with harness.Server(binary, folder, "[plugins]\nrequired = []\n") as server:
                new = renewed(component)
                started = time.monotonic()
                drop(folder, name, new)
                until_answer(server, lambda client: client.request("GET", path))
                times.append((time.monotonic() - started) * 1000)
    return times


def cached(binary, query):
    """The same for a component that was compiled before."""
    times = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as aside:
        file = pathlib.Path(aside) / "query.wasm"
        shutil.copy(query, file)
        with harness.Server(binary, folder, "[plugins]\nrequired = []\n") as server:
            ask = lambda client: client.request("POST", "/v1/sql", b"select 1", {"content-type": "text/plain"})
            for run in range(RUNS + 1):
                # On the same file system, as a rename.
                part = pathlib.Path(folder) / "query.part"
                shutil.copy(file, part)
                started = time.monotonic()
                part.rename(pathlib.Path(folder) / "query.wasm")
                until_answer(server, ask)
                if run:
                    times.append((time.monotonic() - started) * 1000)
                else:
                    # What is kept is not the draft that it begins on.
                    while plugin(server, "query")["draft"]:
                        time.sleep(0.1)
                (pathlib.Path(folder) / "query.wasm").unlink()
                while plugin(server, "query")["state"] == "serving":
                    time.sleep(0.01)
    return times


def drops(what, times, bar):
    """Rows for the milliseconds from drop to answer."""
    return [
        [f"{what}: drop to answer, median ms", f"{statistics.median(times):.0f}", bar],
        ["best, worst", f"{min(times):.0f}, {max(times):.0f}", ""],
    ]


def main():
    binary, plugins, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    hello = (plugins / "examples/hello.wasm").read_bytes()
    storage = (plugins / "storage.wasm").read_bytes()
    load, early, late, each = swaps(binary, hello, count)
    for line in (load.failed + load.stale)[:10]:
        print(line, file=sys.stderr)
    catalog = (plugins / "catalog.wasm").read_bytes()
    fresh = cold(binary, "storage", storage, "/v1/storage/list")
    megabyte = enlarged(hello, 1_000_000)
    middling = cold(binary, "hello", megabyte, "/v1/hello")
    larger = cold(binary, "catalog", catalog, "/v1/catalog/namespaces")
    known = cached(binary, plugins / "query.wasm")
    size = (plugins / "query.wasm").stat().st_size / 1e6
    harness.table(
        ["", "measured", "bar"],
        [
            [f"swaps, with {load.answers} answers meanwhile", count, ""],
            [f"milliseconds a swap; the first {VERSIONS} compile", f"{each * 1000:.0f}", ""],
            ["failed requests", len(load.failed), 0],
            ["answers of a version of the past", len(load.stale), 0],
            ["resident memory after the 50th swap, MB", f"{early:.1f}", ""],
            ["resident memory after the last, MB", f"{late:.1f}", f"{early * 1.1:.1f}"],
            *drops(f"{len(storage) / 1e6:.1f} MB, never compiled", fresh, ""),
            *drops(f"{len(megabyte) / 1e6:.1f} MB, never compiled", middling, 200),
            *drops(f"{len(catalog) / 1e6:.1f} MB, never compiled", larger, ""),
            *drops(f"{size:.1f} MB, compiled before", known, 50),
        ],
    )


if __name__ == "__main__":
    main()
