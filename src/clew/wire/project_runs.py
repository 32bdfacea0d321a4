"""A project's runs as clients see them: their list, and the events of its feed. Pure. Clew's own."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from clew.core.states import RunStatus
from clew.wire.objects import RunObject


class ProjectRuns(Struct, frozen=True, kw_only=True):
    """One page of a project's runs.

    ``next`` is the cursor to go on from: as ``after``, or as ``before`` where that was given alone. It is
    null when there is nothing more. Where few runs are among those wanted, a page may hold less than its
    limit, or nothing, and still have a ``next``.
    """

    object: Literal["list"] = "list"
    data: Sequence[RunObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next: str | None


class RunChange(Struct, frozen=True):
    """What a run has become. Of two events of one run, the one with the greater ``version`` is the newer."""

    run: str
    thread: str
    agent: str
    status: RunStatus
    version: int
    at: int


class FeedNote(Struct, frozen=True):
    """Nothing: the event's name says it all."""


def listed(found: Sequence[RunObject], following: str | None) -> ProjectRuns:
    """Return the list's envelope."""
    return ProjectRuns(
        data=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=following is not None,
        next=following,
    )
