"""What a model is told of a cell that ended its session."""

from clew.sandbox.sandbox import Ended

_SAID: dict[Ended, str] = {
    "time": "The cell did not stop when its time was up.",
    "memory": "The cell took too much memory, or left too much on disk.",
    "output": "The cell printed without end.",
    "cancelled": "The cell was called off and did not stop.",
    "died": "Python ended.",
}
_LOST = "It had to be ended: all variables are gone, and files that were not saved."


def with_ending(logs: str, ended: Ended) -> str:
    """Return what a cell printed, and after it why its session is over."""
    between = "" if logs.endswith("\n") or not logs else "\n"
    return f"{logs}{between}{_SAID[ended]} {_LOST}\n"


def with_stop(logs: str, seconds: float) -> str:
    """Return what a cell printed, and after it that it took too long and could be stopped."""
    between = "" if logs.endswith("\n") or not logs else "\n"
    return f"{logs}{between}The cell was stopped after {seconds:g} seconds; variables are kept.\n"
