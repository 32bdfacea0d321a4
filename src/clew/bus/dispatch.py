"""Dispatch: "advance run X". At least once, to somebody; the database decides what is to do."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from clew.core.decisions import RunState

Advance: TypeAlias = Callable[[str, RunState | None], Awaitable[None]]
"""What a worker does with a delivery: the run's id, and its state if it is already claimed."""


class Dispatch(Protocol):
    """Wakes workers. Losing a message costs time only: a sweep finds what it was about."""

    @property
    def ready(self) -> bool:
        """Whether this process would work on a new run at once, so that it may be born claimed."""
        ...

    def advance(self, run_id: str, claimed: RunState | None = None) -> None:
        """Have somebody advance the run. ``claimed`` is its state if this process owns it already."""
        ...

    def interrupt(self, run_id: str) -> None:
        """Have whoever works on the run look at its row again, or somebody advance it."""
        ...

    def wake_at(self, due: int) -> None:
        """Have what is due at ``due`` (milliseconds since the epoch) found in time."""
        ...

    def works_on(self, run_id: str) -> bool:
        """Whether this process works on the run now."""
        ...
