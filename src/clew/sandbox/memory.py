"""How much memory a session takes, counted from outside, where no control group does."""

import asyncio
import contextlib
import os
from pathlib import Path

from clew.sandbox.group import MOST_MEMORY, Group
from clew.sandbox.sandbox import MOST_DISK
from clew.sandbox.session import KernelSession

_PAUSE = 0.2
_MOST_PROCESSES = 256
_BLOCK = 4096
_PAGE = os.sysconf("SC_PAGE_SIZE")


async def watch(session: KernelSession, group: Group, folder: Path | None) -> None:
    """End a session that takes too much, until it is over.

    ``folder`` is where its files lie, if that is none in memory, which is bounded by itself.
    """

    def too_much() -> bool:
        if folder is not None and disk(folder) > MOST_DISK:
            return True
        return group.full() if group.exists else taken(session.pid) > MOST_MEMORY

    while not session.over:
        await asyncio.sleep(_PAUSE)
        if await asyncio.to_thread(too_much):
            session.kill("memory")
    await session.end()


def disk(folder: Path) -> int:
    """Return the bytes that a folder takes, with what lies below; each file as a block at least."""
    total, waiting = 0, [str(folder)]
    while waiting and total <= MOST_DISK:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    about = entry.stat(follow_symlinks=False)
                    total += max(_BLOCK, about.st_blocks * 512)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total


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
