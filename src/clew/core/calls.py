"""The life of a call: who answers it, when it may run, how it ends. Pure.

A call is answered by the client (kind ``function``), by a server-side tool, or at once with an error if
nothing of its name was offered. Those that a person must approve wait for that first. At most
:data:`AT_ONCE` calls of a run are at work at one time; the others wait as proposed, so that a call whose
row says that it is at work may have begun, and no other.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from clew.core.records import FUNCTION, Call, Outcome, RunConfig, Step
from clew.core.states import CallResult, CallState, StepStatus

AT_ONCE = 8
"""Calls of one run that are at work at one time."""

DECLINED = "The user declined this tool call."

OUTCOME_UNKNOWN = (
    "The server stopped while this call was at work: it may or may not have taken effect. "
    "Look before you make it again."
)

_RESULTS = {
    StepStatus.CANCELLED: CallResult.CANCELLED,
    StepStatus.EXPIRED: CallResult.EXPIRED,
    StepStatus.FAILED: CallResult.BROKEN_OFF,
}


def error(message: str) -> str:
    """Return an output that tells a model of an error."""
    return msgspec.json.encode({"error": message}).decode()


def proposed(call: Call, config: RunConfig, now: int) -> Call:
    """Return a call of the model's as it begins its life in a run."""
    if (offer := config.offers.get(call.name)) is not None:
        state = CallState.WAITS_FOR_APPROVAL if offer.approval else CallState.PROPOSED
        return replace(
            call, kind=offer.kind, state=state, approval=offer.approval, repeatable=offer.repeatable
        )
    functions = config.function_names()
    if call.name in functions:
        return replace(call, state=CallState.WAITS_FOR_CLIENT)
    known = [*functions, *config.offers]
    message = f"There is no function named {call.name!r}. Known: {known}"
    return replace(
        call,
        state=CallState.DONE,
        result=CallResult.NOT_OFFERED,
        output=error(message),
        begun_at=now,
        ended_at=now,
    )


def begun(calls: Iterable[Call], now: int) -> list[Call]:
    """Return a step's calls with as many at work as may be."""
    calls = list(calls)
    room = AT_ONCE - sum(call.state == CallState.AT_WORK for call in calls)
    for index, call in enumerate(calls):
        if call.state == CallState.PROPOSED and room > 0:
            calls[index] = replace(call, state=CallState.AT_WORK, attempts=1, begun_at=now)
            room -= 1
    return calls


def ended(call: Call, outcome: Outcome, now: int) -> Call:
    """Return a call with its outcome."""
    return replace(
        call,
        state=CallState.DONE,
        result=outcome.result,
        output=outcome.output,
        detail=outcome.detail,
        ended_at=now,
    )


def answered(call: Call, output: str, now: int) -> Call:
    """Return a call with the client's output. One that begins by telling of an error counts as failed."""
    failed = output.lstrip().startswith('{"error"')
    result = CallResult.FAILED if failed else CallResult.OK
    return ended(call, Outcome(output=output, result=result), now)


def decided(call: Call, approved: bool, now: int) -> Call:
    """Return a call that a person has approved, or denied."""
    if approved:
        return replace(call, state=CallState.PROPOSED)
    return replace(
        call, state=CallState.DENIED, result=CallResult.DENIED, output=DECLINED, begun_at=now, ended_at=now
    )


def taken_over(call: Call, now: int) -> Call:
    """Return a call that was at work when its worker went: it is made again, or its outcome is unknown."""
    if call.state != CallState.AT_WORK:
        return call
    if call.repeatable:
        return replace(call, attempts=call.attempts + 1)
    return ended(call, Outcome(output=error(OUTCOME_UNKNOWN), result=CallResult.UNKNOWN), now)


def closed(call: Call, status: StepStatus, now: int) -> Call:
    """Return a call whose step has ended so; one that had no outcome yet gets none any more."""
    if not call.state.open:
        return call
    return replace(call, state=CallState.DONE, result=_RESULTS[status], ended_at=now)


def those(step: Step, state: CallState) -> list[Call]:
    """Return a step's calls in a state."""
    return [call for call in step.calls if call.state == state]


def is_client_s(call: Call) -> bool:
    """Whether the client answers it."""
    return call.kind == FUNCTION and call.result != CallResult.NOT_OFFERED
