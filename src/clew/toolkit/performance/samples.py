"""One run as numbers: from a run that was followed, or from the records it left behind."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from clew.toolkit.monitor.endings import problem_of
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.records import Run, Step, Usage

Source: TypeAlias = Literal["live", "records"]


class ToolUse(Struct, frozen=True, kw_only=True):
    """One tool call.

    Attributes:
        seconds: how long the function took (live), or how long its step was open (from records;
            calls of one step share it). None if it isn't known.
        outcome: ``ok``, or what went wrong.
    """

    name: str
    seconds: float | None = None
    outcome: str = "ok"


class Sample(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        source: ``live`` times come from this program's clock; those from ``records`` are differences
            of whole seconds.
        code: why it didn't complete, such as ``rate_limit_exceeded``; None if it did or still goes on.
        queue, first_token, total: seconds since it was created; None if unknown.
    """

    source: Source
    run_id: str
    thread_id: str
    agent_id: str | None
    model: str
    created_at: int
    status: str
    code: str | None = None
    queue: float | None = None
    first_token: float | None = None
    total: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    steps: int = 0
    calls: tuple[ToolUse, ...] = ()

    @property
    def last_known(self) -> float:
        """Return when it ended, or when it was created where that isn't known; seconds since the epoch."""
        return self.created_at + (self.total or 0.0)

    @property
    def tokens(self) -> int:
        """Return all the tokens it took."""
        return self.prompt_tokens + self.completion_tokens


def live_sample(result: RunResult) -> Sample:
    """Return a followed run as a sample."""
    problem, timings = result.problem, result.timings
    return _sample(
        "live",
        result.run,
        result.steps,
        code=problem.code if problem is not None else None,
        queue=timings.queue,
        first_token=timings.first_token,
        total=timings.total,
        calls=tuple(
            ToolUse(name=each.name, seconds=each.seconds, outcome=each.outcome) for each in result.calls
        ),
    )


def past_sample(run: Run, steps: Sequence[Step]) -> Sample:
    """Return a run and its steps, as a service keeps them, as a sample."""
    problem = problem_of(run)
    wrote = [step.created_at for step in steps if step.type == "message_creation"]
    return _sample(
        "records",
        run,
        steps,
        code=problem.code if problem is not None else None,
        queue=_queue(run, steps),
        first_token=_since(run, min(wrote, default=None)),
        total=_since(run, run.ended_at),
        calls=tuple(use for step in steps for use in _uses(step)),
    )


def _sample(
    source: Source,
    run: Run,
    steps: Sequence[Step],
    *,
    code: str | None,
    queue: float | None,
    first_token: float | None,
    total: float | None,
    calls: tuple[ToolUse, ...],
) -> Sample:
    usage = run.usage or Usage()
    details = usage.prompt_token_details
    return Sample(
        source=source,
        run_id=run.id,
        thread_id=run.thread_id,
        agent_id=run.agent_id,
        model=run.model,
        created_at=run.created_at,
        status=run.status,
        code=code,
        queue=queue,
        first_token=first_token,
        total=total,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=details.cached_tokens if details is not None else 0,
        steps=len(steps),
        calls=calls,
    )


def _since(run: Run, moment: int | None) -> float | None:
    return None if moment is None else float(max(0, moment - run.created_at))


def _queue(run: Run, steps: Sequence[Step]) -> float | None:
    """Return how long a run was queued; unknown if ``started_at`` was set anew after tool outputs."""
    if run.started_at is None or any(step.created_at < run.started_at for step in steps):
        return None
    return _since(run, run.started_at)


def _uses(step: Step) -> list[ToolUse]:
    ended = step.completed_at or step.failed_at or step.cancelled_at or step.expired_at
    seconds = None if ended is None else float(max(0, ended - step.created_at))
    return [
        ToolUse(
            name=call.name,
            seconds=seconds,
            outcome=_outcome(step, call.function.output if call.function else None),
        )
        for call in step.calls
    ]


def _outcome(step: Step, output: str | None) -> str:
    """Return whether a call worked: the step's status, and the convention for errors in outputs."""
    if step.status != "completed":
        return step.status
    return "failed" if output is not None and output.lstrip().startswith('{"error"') else "ok"
