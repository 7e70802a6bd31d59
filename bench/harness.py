"""What the benchmarks share: a server of our own, and tables of figures."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "clients"))

from lakehouse import Lakehouse  # noqa: E402


class Server:
    """A `lakehouse serve` on a free port of loopback, with a data folder of its own."""

    def __init__(self, binary, plugins, configuration="", data=None):
        self.folder = tempfile.TemporaryDirectory()
        self.data = pathlib.Path(data or pathlib.Path(self.folder.name) / "data")
        config = pathlib.Path(self.folder.name) / "lakehouse.toml"
        config.write_text(configuration)
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+b")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "serve", "--config", config, "--bind", "127.0.0.1:0", "--data", self.data, "--plugins", plugins],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )
        self.base = None
        while self.base is None:
            time.sleep(0.005)
            text = pathlib.Path(self.log.name).read_text()
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{text}")
            found = re.search(r"http://127\.0\.0\.1:\d+", text)
            self.base = found and found[0]
        self.client = Lakehouse(self.base)
        while True:
            try:
                self.client.request("GET", "/readyz")
                break
            except RuntimeError as error:
                if time.monotonic() - self.started > 600:
                    raise RuntimeError(f"never ready: {error}") from None
                time.sleep(0.005)
        self.ready_after = time.monotonic() - self.started

    def status(self, field):
        """A figure of /proc/<pid>/status in MB: VmRSS now, VmHWM at its peak."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) / 1000

    def stop(self):
        """Ends the server."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def tpch(folder, form, scale, tables=None):
    """TPC-H files of one format, made once."""
    folder = pathlib.Path(folder) / f"tpch-{scale:g}"
    folder.mkdir(parents=True, exist_ok=True)
    tool = pathlib.Path(sys.executable).parent / "tpchgen-cli"
    tables = tables or ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
    for table in tables:
        if not (folder / f"{table}.{form}").exists():
            subprocess.run([tool, form, "-s", f"{scale:g}", "-T", table, "--output-dir", folder], check=True)
    return {table: folder / f"{table}.{form}" for table in tables}


def post_file(base, path, file, content_type="application/octet-stream"):
    """Streams a file as the body of a POST with curl; the parsed answer."""
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-X", "POST", "-H", f"content-type: {content_type}", "-T", str(file), base + path],
        stdout=subprocess.PIPE,
    )
    if done.returncode:
        raise RuntimeError(f"POST {path}: {done.stdout.decode()}")
    return json.loads(done.stdout)


def table(heads, rows):
    """Prints rows as a Markdown table."""
    print("| " + " | ".join(heads) + " |")
    print("|" + "|".join(" --- " if number == 0 else " ---: " for number in range(len(heads))) + "|")
    for row in rows:
        print("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def verdict(what, figure, bar, least=True):
    """Prints a figure beside its bar."""
    met = figure >= bar if least else figure <= bar
    print(f"- {what}: {figure:.2f}, bar {bar}: {'met' if met else '**not met**'}")


def geometric_mean(values):
    """The geometric mean."""
    product = 1.0
    for value in values:
        product *= value
    return product ** (1 / len(values))
