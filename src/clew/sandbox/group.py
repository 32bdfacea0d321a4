"""A control group for each session, where we may make one: it bounds memory exactly, and for all processes.

Version 2 if the group that we are in may have such below it, else version 1. Without one, memory.py counts.
"""

import contextlib
import itertools
import os
import time
from pathlib import Path

from clew.sandbox.sandbox import MOST_DISK

MOST_MEMORY = 512 * 1024 * 1024
"""Bytes that the processes of a session may have together."""

MOST_PROCESSES = 96
"""Processes and threads of a session, with those that begin it."""

_ROOT = Path("/sys/fs/cgroup")
_NUMBERS = itertools.count(1)
_TRIES, _PAUSE = 100, 0.02
_PREFIX = "clew-sandbox-"


class Group:
    """A control group; without a folder, none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def made(cls) -> "Group":
        """Make one, if we may. Its memory covers the files too, which lie in memory."""
        name = f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}"
        for parent, limits in _parents():
            folder = parent / name
            try:
                folder.mkdir()
            except OSError:
                continue
            if all(_set(folder / file, value) for file, value in limits.items()):
                return cls(folder)
            cls(folder).remove()
        return cls(None)

    @property
    def door(self) -> str:
        """The file through which a process enters; empty if there is no group."""
        return str(self._folder / "cgroup.procs") if self._folder else ""

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self._folder is not None

    def full(self) -> bool:
        """Whether memory ran out in it, so that the kernel of the system killed something."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError, ValueError):
                said = (self._folder or Path("/nowhere")) / name
                for line in said.read_text("ascii").splitlines():
                    key, _, count = line.partition(" ")
                    if key == "oom_kill" and int(count) > 0:
                        return True
        return False

    def remove(self) -> None:
        """Remove it, once all that is in it, which was killed before, has ended. Not for the event loop."""
        for _ in range(_TRIES if self._folder else 0):
            try:
                (self._folder or _ROOT).rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(_PAUSE)
            else:
                return


def sweep() -> None:
    """Remove what servers left that were killed: groups in which nothing is."""
    for parent, _ in _parents():
        for folder in parent.glob(f"{_PREFIX}*-*"):
            owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path(f"/proc/{owner}").exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _parents() -> list[tuple[Path, dict[str, str]]]:
    """The groups that one of ours may be made in, with the limits as that version has them."""
    both = str(MOST_MEMORY + MOST_DISK)
    second = {"memory.max": both, "memory.swap.max": "0", "pids.max": str(MOST_PROCESSES)}
    first = {"memory.limit_in_bytes": both}
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            below = path.lstrip("/")
            if not kinds and (_ROOT / "cgroup.controllers").exists():
                found.append((_ROOT / below, second))
            elif "memory" in kinds.split(","):
                found.append((_ROOT / "memory" / below, first))
    return found


def _set(file: Path, value: str) -> bool:
    try:
        file.write_text(value, "ascii")
    except OSError:
        return False
    return True
