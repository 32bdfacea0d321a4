"""Measures a Jupyter kernel: PROGRAM bench/jupyter_kernel.py STARTS CELLS, with jupyter_client and ipykernel.

Stands alone, so that a Python without Clew can run it. Prints JSON: milliseconds of starts and of cells, and
the kernel's process, which ends when a line comes in.
"""

import json
import sys
import time

from jupyter_client.manager import start_new_kernel  # type: ignore[import-not-found, unused-ignore]


def _asked(client: object) -> None:
    reply = client.execute_interactive("1+1", timeout=60, output_hook=lambda _: None)  # type: ignore[attr-defined]
    assert reply["content"]["status"] == "ok"


def main(starts: int, cells: int) -> None:
    """Measure, print, and wait."""
    begun, answers = [], []
    for number in range(starts):
        at = time.perf_counter()
        manager, client = start_new_kernel()
        _asked(client)
        begun.append((time.perf_counter() - at) * 1000)
        if number < starts - 1:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    for _ in range(cells):
        at = time.perf_counter()
        _asked(client)
        answers.append((time.perf_counter() - at) * 1000)
    print(json.dumps({"starts": begun, "cells": answers, "pid": manager.provisioner.process.pid}), flush=True)
    sys.stdin.readline()
    client.stop_channels()
    manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
