"""What each terminal status means: the exception that says what happened and what to do."""

from clew.toolkit.errors import RunCancelled, RunError, RunExpired, RunFailed, RunIncomplete
from clew.toolkit.records import Run, RunStatus

_ADVICE = {
    "rate_limit_exceeded": "The model's provider limits requests: wait, then start a new run.",
    "invalid_prompt": "The model refuses this input: change the message or the instructions.",
    "server_error": "Start a new run; if it fails again, look at the server's log for the run's id.",
}
_OTHERWISE = "Look at the code and message, then start a new run."

_REASONS = {
    "max_completion_tokens": "its answer reached the limit of completion tokens",
    "max_prompt_tokens": "the thread no longer fits the limit of prompt tokens",
    "content_filter": "a content filter stopped the answer",
}


def problem_of(run: Run) -> RunError | None:
    """Return why a run didn't complete, or None if it did or is still going on."""
    if run.status == RunStatus.FAILED:
        return _failed(run)
    if run.status == RunStatus.EXPIRED:
        return RunExpired(f"The run {run.id} expired before it was done.", run)
    if run.status == RunStatus.CANCELLED:
        return RunCancelled(f"The run {run.id} was cancelled.", run)
    if run.status == RunStatus.INCOMPLETE:
        reason = run.incomplete_details.reason if run.incomplete_details is not None else "unknown"
        why = _REASONS.get(reason, f"the service says {reason!r}")
        return RunIncomplete(f"The run {run.id} is incomplete: {why}.", run, code=reason)
    return None


def _failed(run: Run) -> RunFailed:
    if run.last_error is None:
        return RunFailed(f"The run {run.id} failed without saying why.", run, advice=_OTHERWISE)
    code, message = run.last_error.code, run.last_error.message
    advice = _ADVICE.get(code, _OTHERWISE)
    return RunFailed(f"The run {run.id} failed ({code}): {message}", run, code=code, advice=advice)
