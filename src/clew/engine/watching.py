"""What hooks are told of runs: records made from core's."""

from clew.core.records import Run, Turn
from clew.core.states import RunStatus
from clew.hooks import ModelCalled, RunChanged


def run_changed(run: Run, now: int) -> RunChanged:
    """Return what is told of a run that a commit has moved to another status."""
    failure = run.last_error
    reason: str | None = None if failure is None else failure.code
    over = not run.status.live
    if over and run.status != RunStatus.COMPLETED:
        reason = reason or run.incomplete_reason or run.status.value
    return RunChanged(
        project=run.project,
        thread_id=run.thread_id,
        run_id=run.id,
        agent_id=run.assistant_id,
        model=run.config.model,
        status=run.status.value,
        attempts=run.attempts,
        code=reason,
        message=None if failure is None else failure.message,
        total_ms=max(0, now - run.created_at) if over else None,
        tokens=run.usage.total_tokens,
    )


def model_called(
    run: Run, turn: Turn, now: int, *, code: str | None = None, message: str | None = None
) -> ModelCalled:
    """Return what is told of a call of a model that has ended."""
    first = turn.first_token_at
    return ModelCalled(
        project=run.project,
        run_id=run.id,
        turn=turn.number,
        model=run.config.model,
        ms=max(0, now - turn.started_at),
        first_token_ms=None if first is None else max(0, first - turn.started_at),
        prompt_tokens=turn.usage.prompt_tokens,
        completion_tokens=turn.usage.completion_tokens,
        code=code,
        message=message,
    )
