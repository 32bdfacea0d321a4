"""What sandboxes cost: python -m bench.sandbox [--python PROGRAM] [--jupyter PROGRAM] [DRIVER ...]

Starts, cells and memory of sessions, beside a bare subprocess of the same Python in the same run. PROGRAM is
a Python whose packages sessions see; with pandas and matplotlib among them, their memory is told too. One
with ipykernel and jupyter_client has a Jupyter kernel measured beside.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clew.sandbox.choosing import DRIVERS
from clew.sandbox.sandbox import SandboxTrouble
from clew.sandbox.session import KernelSession

STARTS, CELLS, AT_ONCE = 10, 300, 8
_HEAVY = "import numpy, pandas, matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
_ECHO = "import sys\nfor line in sys.stdin: print(eval(line), flush=True)"


async def _took(work: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds of some work."""
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) * 1000


def _told(name: str, times: list[float]) -> None:
    print(f"{name:44} {statistics.median(times):8.2f} ms p50 {max(times):8.2f} ms at most")


def _memory(process: int) -> float:
    """Megabytes of a process and all below it, what is shared counted by share."""
    found = [process]
    for each in found:
        for file in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in file.read_text("ascii").split()]
    lines = [
        line
        for each in found
        for line in Path(f"/proc/{each}/smaps_rollup").read_text("ascii").splitlines()
        if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


async def _bare(program: str) -> None:
    """A subprocess that answers lines, without a wall."""
    pipe = asyncio.subprocess.PIPE

    async def started() -> asyncio.subprocess.Process:
        made = await asyncio.create_subprocess_exec(program, "-I", "-S", "-c", _ECHO, stdin=pipe, stdout=pipe)
        await asked(made)
        return made

    async def asked(made: asyncio.subprocess.Process) -> None:
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdin.write(b"1+1\n")
        await made.stdout.readline()

    processes: list[asyncio.subprocess.Process] = []

    async def start() -> None:
        processes.append(await started())

    _told("subprocess: start to first answer", [await _took(start) for _ in range(STARTS)])
    _told("subprocess: an answer", [await _took(lambda: asked(processes[0])) for _ in range(CELLS)])
    print(f"{'subprocess: memory':44} {_memory(processes[0].pid):8.1f} MB")
    for each in processes:
        each.kill()
        await each.wait()


async def _jupyter(program: str) -> None:
    """A Jupyter kernel, without a wall: it is asked by a process of its own, over its own sockets."""
    pipe = asyncio.subprocess.PIPE
    script = str(Path(__file__).with_name("jupyter_kernel.py"))
    asking = await asyncio.create_subprocess_exec(
        program, script, str(STARTS), str(CELLS), stdin=pipe, stdout=pipe, limit=1024 * 1024
    )
    assert asking.stdin is not None
    assert asking.stdout is not None
    found = json.loads(await asking.stdout.readline())
    _told("jupyter: start to first answer", found["starts"])
    _told("jupyter: a cell", found["cells"])
    print(f"{'jupyter: memory':44} {_memory(found['pid']):8.1f} MB")
    asking.stdin.write(b"\n")
    await asking.wait()


async def _walled(name: str, program: str | None) -> None:
    driver = DRIVERS[name](program, Path())
    sessions: list[KernelSession] = []

    async def start() -> None:
        session = await driver.start("measured")
        assert isinstance(session, KernelSession)
        sessions.append(session)
        await session.run("1+1")

    try:
        await start()
        await sessions.pop().end()
        _told(f"{name}: start to first answer", [await _took(start) for _ in range(STARTS)])
        one = sessions[0]
        _told(f"{name}: a cell", [await _took(lambda: one.run("1+1")) for _ in range(CELLS)])
        print(f"{name + ': memory':44} {_memory(one.pid):8.1f} MB")
        if not (await one.run(_HEAVY)).raised:
            print(f"{name + ': memory with pandas and matplotlib':44} {_memory(one.pid):8.1f} MB")
        await driver.close()
        sessions.clear()
        _told(
            f"{name}: {AT_ONCE} starts at once",
            [await _took(lambda: asyncio.gather(*(start() for _ in range(AT_ONCE))))],
        )
        cells = [
            await _took(lambda: asyncio.gather(*(each.run("1+1") for each in sessions))) for _ in range(50)
        ]
        _told(f"{name}: a cell in each of {AT_ONCE}", cells)
        print(
            f"{f'{name}: memory of all {AT_ONCE}':44} {sum(_memory(each.pid) for each in sessions):8.1f} MB"
        )
    except SandboxTrouble as trouble:
        print(f"{name}: {trouble.message}")
    finally:
        await driver.close()


async def _main(names: list[str], program: str | None, jupyter: str | None) -> None:
    await _bare(program or sys.executable)
    if jupyter is not None:
        await _jupyter(jupyter)
    for name in names:
        await _walled(name, program)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python")
    parser.add_argument("--jupyter")
    parser.add_argument("drivers", nargs="*", default=["bwrap", "landlock"])
    chosen = parser.parse_args()
    asyncio.run(_main(chosen.drivers, chosen.python, chosen.jupyter))
