"""Start to ready with compiled code cached, and resident memory at rest.

usage: start.py BINARY PLUGINS RUNS

The bar: ready in under 500 ms, under 150 MB resident.
"""

import sys
import time

import harness


def main():
    binary, plugins, runs = sys.argv[1:]
    harness.Server(binary, plugins).stop()
    times, memory = [], []
    for _ in range(int(runs)):
        with harness.Server(binary, plugins) as server:
            times.append(server.ready_after * 1000)
            time.sleep(1)
            memory.append(server.status("VmRSS"))
    print(f"start to ready: best {min(times):.0f} ms, worst {max(times):.0f} ms of {len(times)} (bar 500)")
    print(f"resident at rest: {max(memory):.0f} MB (bar 150)")


if __name__ == "__main__":
    main()
