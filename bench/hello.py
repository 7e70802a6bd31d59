"""Requests a second of a hello-world plugin, beside a native route and `wasmtime serve`.

usage: hello.py BINARY HELLO WASMTIME SECONDS

The same component, the same load (wrk, 1 thread, 16 connections) on the same
machine, in turns and in several rounds, whose medians count: what else the processors
do is not the same from one second to the next. The bars: 1.2 times the peer's requests
a second, with fresh instances and with reuse, and with reuse half of the native route's.
"""

import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import harness

ROUNDS = 7


def load(url, seconds):
    """Requests a second, and the 99th percentile in milliseconds."""
    done = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", url], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(f"{url}:\n{done}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", done).groups()
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wasmtime_serve(wasmtime, component, options, seconds):
    """The peer: `wasmtime serve` with some options."""
    port = 39817
    peer = subprocess.Popen(
        [wasmtime, "serve", "-Scli", "--addr", f"127.0.0.1:{port}", *options, component],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/hello"
        for _ in range(400):
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        load(url, 1)
        return load(url, seconds)
    finally:
        peer.kill()
        peer.wait()


def lakehouse(binary, hello, reuse, path, seconds):
    """Ours, with instances that serve `reuse` requests each."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(hello, pathlib.Path(folder) / "hello.wasm")
        configuration = f'[plugins]\nrequired = ["hello"]\n[plugins.hello]\nreuse = {reuse}\n'
        with harness.Server(binary, folder, configuration) as server:
            load(server.base + path, 1)
            return load(server.base + path, seconds)


def main():
    binary, hello, wasmtime, seconds = sys.argv[1:]
    seconds = int(seconds)
    contestants = {
        "native route": lambda: lakehouse(binary, hello, 1, "/healthz", seconds),
        "plugin, fresh instances": lambda: lakehouse(binary, hello, 1, "/v1/hello", seconds),
        "wasmtime serve, fresh instances": lambda: wasmtime_serve(
            wasmtime, hello, ["--max-instance-reuse-count=1"], seconds
        ),
        "plugin, with reuse": lambda: lakehouse(binary, hello, 128, "/v1/hello", seconds),
        "wasmtime serve, with reuse": lambda: wasmtime_serve(
            wasmtime, hello, ["--max-instance-reuse-count=128"], seconds
        ),
    }
    rounds = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, measure in contestants.items():
            rounds[name].append(measure())
    rates = {name: statistics.median(rate for rate, _ in seen) for name, seen in rounds.items()}
    rows = []
    for name, seen in rounds.items():
        worst, best = min(seen)[0], max(seen)[0]
        late = statistics.median(late for _, late in seen)
        rows.append([name, f"{rates[name]:.0f}", f"{worst:.0f} to {best:.0f}", f"{late:.2f}"])
    harness.table(["", "requests/s", "of the rounds", "p99 ms"], rows)
    print()
    for mode in ("fresh instances", "with reuse"):
        print(f"{mode}: {rates[f'plugin, {mode}'] / rates[f'wasmtime serve, {mode}']:.2f} times wasmtime serve (bar 1.2)")
    print(f"with reuse: {rates['plugin, with reuse'] / rates['native route']:.2f} of the native route (bar 0.5)")


if __name__ == "__main__":
    main()
