"""What is to be known of a run that is over. Pure."""

from collections.abc import Iterator

from clew.core.calls import is_client_s
from clew.core.records import Call
from clew.core.states import CallResult, RunStatus, WaitsFor
from clew.service.explaining.failures import failure
from clew.service.explaining.situation import Finding, Situation, listed, several, span


def findings(situation: Situation) -> Iterator[Finding]:
    """Yield what is to be known of a run that is over: first how it ended."""
    match situation.run.status:
        case RunStatus.FAILED:
            yield _failed(situation)
        case RunStatus.EXPIRED:
            yield _expired(situation)
        case RunStatus.INCOMPLETE:
            yield _incomplete(situation)
        case RunStatus.CANCELLED:
            yield _cancelled(situation)
        case RunStatus.COMPLETED:
            yield _completed(situation)
    yield from _of_calls(situation)


def _failed(situation: Situation) -> Finding:
    error = situation.run.last_error
    if error is None:
        return Finding("server_error", "It failed, and nobody noted why.")
    found = failure(error)
    return Finding(found.code, f"It failed. {found.says} Its error: {error.message}", found.advice)


def _expired(situation: Situation) -> Finding:
    """Say what it was doing when its time was over."""
    run = situation.run
    span_of = span(run.expires_at - run.created_at)
    ending = "Give such runs more time: `expires_in` of the run, in seconds, or CLEW_RUN_EXPIRY for all."
    if run.begun_at is None:
        return Finding(
            "expired_in_queue",
            f"It expired after {span_of} without having been begun: no worker took it.",
            "Were workers running, and had they room? `clew doctor` says what there is now. " + ending,
        )
    last = run.waits[-1] if run.waits else None
    if last is not None and last.resumed_at is None:
        names = listed(
            [f"{call.id} ({call.name})" for call in _calls_without_outcome(situation, last.step_id)], most=4
        )
        wanted = "somebody's approval" if last.reason == WaitsFor.APPROVAL else "the outputs"
        return Finding(
            "expired_waiting",
            f"It expired after {span_of} while it waited for {wanted} of {names or 'its calls'}, for "
            f"{span(situation.until - last.at)}. Time in which a run waits for its client counts.",
            f"Submit sooner: `clew runs submit` or your program. {ending}",
        )
    if run.retrying_since is not None:
        return Finding(
            "expired_model_away",
            f"It expired after {span_of} while it waited for its model, which did not answer.",
            "Is the model's endpoint running? `clew models try` asks it. " + ending,
        )
    return Finding(
        "expired_working",
        f"It expired after {span_of} in the middle of its work, in turn {run.turns + 1}.",
        "See below where the time went. " + ending,
    )


def _calls_without_outcome(situation: Situation, step_id: str) -> list[Call]:
    return [
        call
        for step in situation.steps
        if step.id == step_id
        for call in step.calls
        if call.result == CallResult.EXPIRED
    ]


def _incomplete(situation: Situation) -> Finding:
    run, config = situation.run, situation.run.config
    used = run.usage
    match run.incomplete_reason:
        case "content_filter":
            return Finding(
                "content_filter",
                "The provider's content filter cut the answer.",
                "Change what is said in the thread or in the instructions, or the filter's settings at the "
                "provider. What came before the cut is in the thread, as an incomplete message.",
            )
        case "max_prompt_tokens":
            return Finding(
                "prompt_budget",
                f"Its prompts may use {config.max_prompt_tokens} tokens in all and have used "
                f"{used.prompt_tokens}; the next one does not fit.",
                "Raise max_prompt_tokens, or make prompts shorter: truncation_strategy, a new thread, fewer "
                "turns with tools. Each turn sends the conversation anew.",
            )
    if config.max_completion_tokens is not None and used.completion_tokens >= config.max_completion_tokens:
        return Finding(
            "completion_budget",
            f"Its answers may use {config.max_completion_tokens} tokens in all and have used "
            f"{used.completion_tokens}.",
            "Raise max_completion_tokens of the run; tokens of reasoning count too"
            + (f", here {used.reasoning_tokens}." if used.reasoning_tokens else "."),
        )
    if config.token_allowance is not None and used.total_tokens >= config.token_allowance:
        return Finding(
            "token_budget",
            f"What was left of the budget of its thread or its project, {config.token_allowance} tokens, is "
            "used up.",
            "Raise token_budget of the thread, or CLEW_DAILY_TOKEN_BUDGET; the project's begins anew at "
            "midnight UTC.",
        )
    return Finding(
        "cut_by_length",
        "The model's own limit cut the answer: it was as long as one answer may be, or the context was full.",
        "Ask it to go on in another run, raise the endpoint's limit, or use a model with a longer context.",
    )


def _cancelled(situation: Situation) -> Finding:
    run = situation.run
    kept = "" if not situation.messages else " What it had said is in the thread, as far as it got."
    if run.begun_at is None:
        return Finding("cancelled", "A client cancelled it before it had begun.")
    waited = run.waits[-1].resumed_at is None if run.waits else False
    doing = "while it waited for its client" if waited else "while it was at work"
    if run.retrying_since is not None:
        doing = "while it waited for its model, which did not answer"
    return Finding("cancelled", f"A client cancelled it {doing}.{kept}")


def _completed(situation: Situation) -> Finding:
    usage = situation.run.usage
    tokens = f"{usage.prompt_tokens} tokens of prompts and {usage.completion_tokens} of answers"
    return Finding(
        "completed",
        f"It completed after {several(situation.run.turns, 'turn')}, {tokens}, and left "
        f"{several(len(situation.messages), 'message')}.",
    )


def _of_calls(situation: Situation) -> Iterator[Finding]:
    """Yield what is to be known of calls that went wrong."""
    calls = [call for step in situation.steps for call in step.calls]
    unknown = [call.name for call in calls if call.result == CallResult.UNKNOWN]
    made_up = [call.name for call in calls if call.result == CallResult.NOT_OFFERED]
    failed = [call.name for call in calls if call.result == CallResult.FAILED]
    if unknown:
        yield Finding(
            "outcome_unknown",
            f"A worker died while the server ran {listed(unknown)}, which may or may not have taken effect; "
            "the model was told so.",
            "Look whether it has happened before you do it again.",
        )
    if made_up:
        yield Finding(
            "functions_made_up",
            f"The model called {listed(list(dict.fromkeys(made_up)))}, which it was not offered; it was "
            "told so.",
            "Name the tools in the instructions, or use a stronger model.",
        )
    if failed:
        theirs = all(is_client_s(call) for call in calls if call.result == CallResult.FAILED)
        where = "as the client's outputs say" if theirs else "as their outputs say"
        yield Finding(
            "calls_failed",
            f"{several(len(failed), 'call')} ended with an error, {where}: "
            f"{listed(list(dict.fromkeys(failed)))}.",
            "`clew steps list <run>` shows what they answered.",
        )
