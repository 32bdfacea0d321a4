"""How much memory a session takes, counted from outside, where no control group does."""

import asyncio
import contextlib
import os

from clew.sandbox.group import MOST_MEMORY, Group
from clew.sandbox.session import KernelSession

_PAUSE = 0.2
_MOST_PROCESSES = 256
_PAGE = os.sysconf("SC_PAGE_SIZE")


async def watch(session: KernelSession, group: Group) -> None:
    """End a session that takes too much, until it is over."""
    while not session.over:
        await asyncio.sleep(_PAUSE)
        if group.exists:
            if group.full():
                session.kill("memory")
        elif await asyncio.to_thread(taken, session.pid) > MOST_MEMORY:
            session.kill("memory")


def taken(root: int) -> int:
    """Return the bytes that a process and all that descend from it take.

    What they share counts once, but that is only looked into if it may matter: it costs more.
    """
    found = [root]
    for each in found:
        if len(found) >= _MOST_PROCESSES:
            break
        found += _children(each)
    resident = sum(_resident(each) for each in found)
    return resident if resident <= MOST_MEMORY else sum(_share(each) for each in found)


def _children(process: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            found += [int(each) for each in _read(f"/proc/{process}/task/{thread}/children").split()]
    return found


def _resident(process: int) -> int:
    said = _read(f"/proc/{process}/statm").split()
    return int(said[1]) * _PAGE if len(said) > 1 else 0


def _share(process: int) -> int:
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(process)


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as opened:
            return opened.read(64 * 1024)
    except OSError:
        return ""
