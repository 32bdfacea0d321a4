"""What travels together through a process: its time, its ids, and those who watch it."""

from dataclasses import dataclass

from clew.clock import Clock, SystemClock
from clew.hooks import NOBODY, Hooks
from clew.ids import Ids, RandomIds


@dataclass(frozen=True, slots=True)
class Process:
    """Given to every service; tests give one with a clock that they move and ids that count."""

    clock: Clock
    ids: Ids
    hooks: Hooks = NOBODY


def system_process(hooks: Hooks = NOBODY) -> Process:
    """Return the value of a real process: the machine's clock, and the system's randomness."""
    return Process(SystemClock(), RandomIds(), hooks)
