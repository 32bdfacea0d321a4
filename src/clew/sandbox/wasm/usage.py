"""What a process takes: memory and computing time, as far as the system tells easily."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """What a process has taken."""

    memory: int
    """Bytes of memory that it holds."""
    computed: float
    """Seconds that its threads have computed, all together."""


def usage_of(pid: int) -> Usage | None:
    """Return what a process takes, or None if it is gone, or the system isn't asked (Windows). May block."""
    try:
        if sys.platform == "linux":
            return _from_proc(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
        if sys.platform == "darwin":
            return _from_ps(pid)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        pass
    return None


def _from_proc(text: str) -> Usage | None:
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    if fields[0] == "Z":  # nobody has taken notice of its end
        return None
    ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


def _from_ps(pid: int) -> Usage:
    command = ["/bin/ps", "-o", "rss=,time=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, timeout=5, check=True, text=True).stdout.split()
    seconds = 0.0
    for part in told[1].split(":"):
        seconds = seconds * 60 + float(part)
    return Usage(int(told[0]) * 1024, seconds)
