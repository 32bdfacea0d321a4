"""Looks at processes from outside."""

import os
from pathlib import Path


def descendants(process: int) -> list[int]:
    """Return all that descend from a process."""
    found: list[int] = []
    try:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(each) for each in children.read_text("ascii").split()]
    except OSError:
        return []
    return found + [below for each in found for below in descendants(each)]


def alive(process: int) -> bool:
    """Whether a process is there, and no mere remembrance of one."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[
            0
        ] not in {"Z", "X"}
    except OSError:
        return False


def used(process: int) -> float:
    """Return the seconds of processor time that a process has used; 0 if it has gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
