"""Dispatch: "advance run X". At least once, to somebody; the database decides what is to do."""

from collections.abc import Callable
from typing import Protocol

from clew.core.decisions import RunState


class RunWorker(Protocol):
    """A worker, as a dispatch sees it."""

    async def advance(
        self,
        run_id: str,
        claimed: RunState | None = None,
        acknowledge: Callable[[], None] | None = None,
    ) -> None:
        """Claim a run, unless it is ``claimed`` already, and work on it until it is over or waits.

        ``acknowledge`` is called as soon as the rows say who works on the run, or that nobody need to.
        """
        ...

    def interrupt(self, run_id: str) -> bool:
        """Have the run's row looked at again; return whether this worker works on the run."""
        ...


class Dispatch(Protocol):
    """Wakes workers. Losing a message costs time only: a sweep finds what it was about."""

    @property
    def claimant(self) -> str | None:
        """The worker of this process that would work on a new run at once; None if none would.

        A run that such a worker could take is born claimed by it: one commit instead of two.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether so many runs wait for a worker with room that no more should be accepted."""
        ...

    @property
    def works(self) -> bool:
        """Whether this process works on runs."""
        ...

    @property
    def waiting(self) -> int:
        """How many runs wait for a worker with room, as far as this process knows."""
        ...

    def full_for(self, project: str) -> bool:
        """Whether it is full for a project: others may have a part of the line that is theirs."""
        ...

    def advance(self, run_id: str, claimed: RunState | None = None, *, project: str = "") -> None:
        """Have somebody advance the run. ``claimed`` is its state if this process owns it already.

        Runs that wait for a place are let in by turns of their projects, where those are named.
        """
        ...

    def interrupt(self, run_id: str) -> None:
        """Have whoever works on the run look at its row again, or somebody advance it."""
        ...

    def wake_at(self, due: int) -> None:
        """Have what is due at ``due`` (milliseconds since the epoch) found in time."""
        ...

    def at_work(self) -> set[str]:
        """Return the runs that this process works on now."""
        ...

    def works_on(self, run_id: str) -> bool:
        """Whether this process works on the run now, or is about to."""
        ...
