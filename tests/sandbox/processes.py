"""Looks at processes from outside."""

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
