"""Explanations of runs as clients see them. Pure. Clew's own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from clew.core.records import Run
from clew.core.states import RunStatus

if TYPE_CHECKING:  # a room that is imported when it is used
    from clew.service.explaining.situation import Explanation


class RunFinding(Struct, frozen=True):
    """One thing that is to be known of a run, and what can be done; null where there is nothing to do."""

    code: str
    says: str
    advice: str | None


class RunTime(Struct, frozen=True):
    """What some of a run's time was spent on."""

    code: str
    ms: int
    says: str


class RunExplanation(Struct, frozen=True, kw_only=True):
    """Why a run is where it is. ``times`` together are ``total_ms``, from its creation to its end or now."""

    object: Literal["thread.run.explanation"] = "thread.run.explanation"
    run_id: str
    thread_id: str
    status: RunStatus
    findings: Sequence[RunFinding]
    total_ms: int
    times: Sequence[RunTime]


def explanation(run: Run, told: "Explanation") -> RunExplanation:
    """Return an explanation as clients see it."""
    return RunExplanation(
        run_id=run.id,
        thread_id=run.thread_id,
        status=run.status,
        findings=[RunFinding(each.code, each.says, each.advice) for each in told.findings],
        total_ms=told.total_ms,
        times=[RunTime(each.code, each.ms, each.says) for each in told.spells],
    )
