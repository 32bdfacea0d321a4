"""What happens to a run: one pure function from a state and an event to writes and effects.

No clock, no I/O, no asyncio: time and ids come in with the event. The loop around it, in
:mod:`clew.engine`, performs effects, turns each result into an event, asks :func:`decide`, commits
the writes in one transaction, and publishes.

Where a run goes while calls of its turn are open: any call at work on the server, and it is in progress;
else any call that a person must approve, and it requires that; else any call for the client, and it
requires outputs; else the model is asked again.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from clew.core import calls, turns
from clew.core.decisions import (
    AddFile,
    AddMessage,
    AddStep,
    Decision,
    RunState,
    SaveCall,
    SaveStep,
    Write,
    tokens_left,
)
from clew.core.entries import OF_RUN, OF_STEP, EventKind, Publish
from clew.core.errors import ApprovalsMismatch, NotCancellable, OutputsMismatch, OutputsNotAccepted
from clew.core.events import (
    CallEnded,
    CallsStopped,
    CancelRequested,
    Event,
    ModelAway,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    PromptTooLong,
    Started,
    Submitted,
    Unstorable,
)
from clew.core.journal import JUMP, entered, output_of
from clew.core.records import Call, CallsItem, Failure, Run, Step, TextItem, Turn, Wait
from clew.core.states import CallState, MessageStatus, RunStatus, StepStatus, WaitsFor, move

MAX_TURNS = 100
"""Model calls one run may make. Bounds a model that calls tools for ever."""

MOST_LOST_TURNS = 3
"""Turns in a row that may bring nothing but calls of functions that were not offered."""

MOST_ATTEMPTS = 5
"""Claims without a commit after which a run fails: whatever breaks its workers would go on to."""


def decide(state: RunState, event: Event, now: int) -> Decision:
    """Return what follows from ``event`` at ``now``.

    A terminal run answers every event with an empty decision, except those of clients.

    Raises:
        Refused: a client asked for what the run's status does not allow.
    """
    handler: Callable[[RunState, Any, int], Decision] = _HANDLERS[type(event)]
    return entered(state.run.position, handler(state, event, now))


# --- starting, and starting again --------------------------------------------------------------------


def _started(state: RunState, _: Started, now: int) -> Decision:
    run = state.run
    if not run.status.live:
        return Decision(state)
    if over := _over(state, None, now):
        return over
    if run.status == RunStatus.REQUIRES_ACTION:
        return Decision(state)
    if run.status == RunStatus.IN_PROGRESS:
        return _taken_over(state, now)
    started = replace(
        run,
        status=move(run.status, RunStatus.IN_PROGRESS),
        started_at=now,
        begun_at=now if run.begun_at is None else run.begun_at,
        waits=_last_wait(run, started_at=now) if run.waits else run.waits,
    )
    begun = Decision(
        RunState(started, state.open_step), publish=(Publish(EventKind.RUN_IN_PROGRESS, started),)
    )
    return begun.then(_go_on(begun.state, now))


def _taken_over(state: RunState, now: int) -> Decision:
    """Go on where a worker has died or given up."""
    run, step = state.run, state.open_step
    if run.attempts >= MOST_ATTEMPTS:
        message = f"The server gave up after {MOST_ATTEMPTS} attempts that broke off. Its log says more."
        return _failed(state, None, Failure("server_error", message), now)
    if step is None:
        return _next_turn(state, now)
    return _with_calls(state, [calls.taken_over(call, now) for call in step.calls], now)


def _last_wait(run: Run, **changes: int) -> list[Wait]:
    return [*run.waits[:-1], replace(run.waits[-1], **changes)]


# --- the model's turns -------------------------------------------------------------------------------


def _next_turn(state: RunState, now: int) -> Decision:
    """Ask the model again, unless a budget for the whole run is used up."""
    left_prompt, left_completion = tokens_left(state.run)
    if left_completion == 0:
        return _incomplete(state, "max_completion_tokens", now)
    if left_prompt == 0:
        return _incomplete(state, "max_prompt_tokens", now)
    if state.run.turns >= MAX_TURNS:
        failure = Failure("server_error", f"The run stopped after {MAX_TURNS} calls of the model.")
        return _failed(state, None, failure, now)
    return Decision(state)


def _model_replied(state: RunState, event: ModelReplied, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    turn = event.turn
    if over := _over(state, turn, now):
        return over
    if turn.finish_reason in ("length", "content_filter"):
        return _cut_short(state, turn, now)
    turn = _whole(turn)
    run = turns.counted(_progressed(state.run), turn)
    lost = turns.calls_nothing_known(turn, run.config)
    if lost or run.lost_turns:
        run = replace(run, lost_turns=run.lost_turns + 1 if lost else 0)
    told = Decision(RunState(run))
    for item in turns.in_order(turn):
        match item:
            case TextItem():
                told = told.then(_message(told.state, turn, item, now))
            case CallsItem():
                told = told.then(_step_of_calls(told.state, turn, item, now))
    if run.lost_turns >= MOST_LOST_TURNS:
        failure = Failure(
            "server_error",
            f"The model called only functions that it was not offered, {MOST_LOST_TURNS} turns in a row.",
        )
        return told.then(_failed(told.state, None, failure, now))
    if told.state.open_step is not None:
        return told.then(_go_on(told.state, now))
    done = replace(run, status=move(run.status, RunStatus.COMPLETED), completed_at=now)
    return told.then(Decision(RunState(done), publish=(Publish(EventKind.RUN_COMPLETED, done),)))


def _progressed(run: Run) -> Run:
    """Return the run after its owner has got something done."""
    if not run.attempts and run.retrying_since is None:
        return run
    return replace(run, attempts=0, retrying_since=None)


def _whole(turn: Turn) -> Turn:
    """Return the turn with an empty message if it has brought nothing."""
    return turn if turn.items else replace(turn, items=(turn.blank,))


def _message(state: RunState, turn: Turn, said: TextItem, now: int) -> Decision:
    message = turns.message(state.run, turn, said, now)
    step = turns.message_step(state.run, turn, said, now)
    return Decision(
        state,
        (AddMessage(message), AddStep(step)),
        (Publish(EventKind.MESSAGE_COMPLETED, message), Publish(EventKind.STEP_COMPLETED, step)),
    )


def _step_of_calls(state: RunState, turn: Turn, called: CallsItem, now: int) -> Decision:
    """The model called tools: those that the server runs begin, unless a person must approve them."""
    config = state.run.config
    begun = calls.begun([calls.proposed(call, config, now) for call in called.calls], now)
    step = turns.tools_step(state.run, turn, called, begun)
    return Decision(RunState(state.run, step), (AddStep(step),))


def _cut_short(state: RunState, turn: Turn, now: int) -> Decision:
    """The answer was cut by its length or by a content filter: keep what there is."""
    filtered = turn.finish_reason == "content_filter"
    reason = "content_filter" if filtered else "max_tokens"
    closed = _close_turn(state.run, turn, now, reason=reason, status=StepStatus.COMPLETED, failure=None)
    run = turns.counted(state.run, turn)
    ended = _incomplete(RunState(run), "content_filter" if filtered else "max_completion_tokens", now)
    return closed.then(ended)


def _model_failed(state: RunState, event: ModelFailed, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    return _over(state, event.turn, now) or _failed(state, event.turn, event.failure, now)


def _model_away(state: RunState, event: ModelAway, now: int) -> Decision:
    """Park the run until the model is asked again: it shows the status that it has, and holds no place."""
    if not state.run.status.live:
        return Decision(state)
    if over := _over(state, None, now):
        return over
    parked = replace(
        state.run,
        waits_for=WaitsFor.RETRY,
        due=event.due,
        worker=None,
        attempts=0,
        retrying_since=event.since,
    )
    return Decision(RunState(parked))


def _model_stopped(state: RunState, event: ModelStopped, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    if over := _over(state, event.turn, now):
        return over
    # Stopped for nothing: the turn is made again, beyond what readers have heard of it.
    again = replace(state.run, position=state.run.position + JUMP)
    return _next_turn(RunState(again), now)


def _prompt_too_long(state: RunState, _: PromptTooLong, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    return _over(state, None, now) or _incomplete(state, "max_prompt_tokens", now)


# --- calls --------------------------------------------------------------------------------------------


def _go_on(state: RunState, now: int) -> Decision:
    """Let calls begin that may; go where the open calls lead, or to the next turn if there are none."""
    if state.open_step is None:
        return _next_turn(state, now)
    return _with_calls(state, state.open_step.calls, now)


def _with_calls(state: RunState, changed: list[Call], now: int) -> Decision:
    """Save the calls of the open step that have changed, and go on."""
    run, before = state.run, state.open_step
    assert before is not None
    now_open = calls.begun(changed, now)
    step = replace(before, calls=now_open)
    different = [new for old, new in zip(before.calls, now_open, strict=True) if new is not old]
    saved = Decision(
        RunState(run, step),
        tuple(SaveCall(call) for call in different),
        tuple(
            Publish(EventKind.STEP_DELTA, output_of(call)) for call in different if _is_told_by_itself(call)
        ),
    )
    return saved.then(_where_calls_lead(saved.state, now))


def _is_told_by_itself(call: Call) -> bool:
    """Whether readers hear of a call's outcome before its step completes: the client's they know already."""
    return not call.state.open and not calls.is_client_s(call)


def _where_calls_lead(state: RunState, now: int) -> Decision:
    step = state.open_step
    assert step is not None
    open_in = {call.state for call in step.calls}
    if CallState.AT_WORK in open_in:
        return Decision(state)
    if CallState.WAITS_FOR_APPROVAL in open_in:
        return _park(state, step, WaitsFor.APPROVAL, now)
    if CallState.WAITS_FOR_CLIENT in open_in:
        return _park(state, step, WaitsFor.CLIENT, now)
    completed = _step_completed(state, step, now)
    return completed.then(_next_turn(completed.state, now))


def _park(state: RunState, step: Step, reason: WaitsFor, now: int) -> Decision:
    run = state.run
    parked = replace(
        run,
        status=move(run.status, RunStatus.REQUIRES_ACTION),
        worker=None,
        waits_for=reason,
        waits=[*run.waits, Wait(reason, step.id, now)],
    )
    return Decision(RunState(parked, step), publish=(Publish(EventKind.RUN_REQUIRES_ACTION, parked, step),))


def _step_completed(state: RunState, step: Step, now: int) -> Decision:
    done = replace(step, status=StepStatus.COMPLETED, completed_at=now)
    return Decision(RunState(state.run), (SaveStep(done),), (Publish(EventKind.STEP_COMPLETED, done),))


def _call_ended(state: RunState, event: CallEnded, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    if over := _over(state, None, now):
        return over
    step = state.open_step
    if step is None or event.call_id not in [call.id for call in calls.those(step, CallState.AT_WORK)]:
        return Decision(state)
    changed = [
        calls.ended(call, event.outcome, now) if call.id == event.call_id else call for call in step.calls
    ]
    made = tuple(AddFile(each, state.run.thread_id) for each in event.outcome.made)
    return Decision(state, made).then(_with_calls(RunState(_progressed(state.run), step), changed, now))


def _calls_stopped(state: RunState, _: CallsStopped, now: int) -> Decision:
    return (_over(state, None, now) if state.run.status.live else None) or Decision(state)


def _unstorable(state: RunState, event: Unstorable, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    return _over(state, None, now) or _failed(state, None, event.failure, now)


# --- clients ------------------------------------------------------------------------------------------


def _submitted(state: RunState, event: Submitted, now: int) -> Decision:
    run, step = state.run, state.open_step
    if run.status != RunStatus.REQUIRES_ACTION or step is None:
        raise OutputsNotAccepted(run.status)
    if now >= run.expires_at:
        raise OutputsNotAccepted(RunStatus.EXPIRED)
    if run.waits_for == WaitsFor.APPROVAL:
        changed = _decided(step, event, now)
    else:
        changed = _answered(step, event, now)
    queued = replace(
        run,
        status=move(run.status, RunStatus.QUEUED),
        waits_for=None,
        waits=_last_wait(run, resumed_at=now),
    )
    return _resumed(RunState(queued, replace(step, calls=changed)), step, now)


def _resumed(state: RunState, before: Step, now: int) -> Decision:
    """Queue a run whose client has answered; its step is complete if no call is open any more."""
    step = state.open_step
    assert step is not None
    different = [new for old, new in zip(before.calls, step.calls, strict=True) if new is not old]
    told = (call for call in different if _is_told_by_itself(call))
    saved = Decision(
        state,
        tuple(SaveCall(call) for call in different),
        tuple(Publish(EventKind.STEP_DELTA, output_of(call)) for call in told),
    )
    if not any(call.state.open for call in step.calls):
        saved = saved.then(_step_completed(state, step, now))
    return saved.then(Decision(saved.state, publish=(Publish(EventKind.RUN_QUEUED, state.run),)))


def _answered(step: Step, event: Submitted, now: int) -> list[Call]:
    expected = [call.id for call in calls.those(step, CallState.WAITS_FOR_CLIENT)]
    got = [call_id for call_id, _ in event.outputs]
    if event.approvals or sorted(expected) != sorted(got):
        raise OutputsMismatch(expected, got)
    outputs = dict(event.outputs)
    return [
        calls.answered(call, outputs[call.id], now) if call.id in outputs else call for call in step.calls
    ]


def _decided(step: Step, event: Submitted, now: int) -> list[Call]:
    expected = [call.id for call in calls.those(step, CallState.WAITS_FOR_APPROVAL)]
    got = [call_id for call_id, _ in event.approvals]
    if event.outputs or sorted(expected) != sorted(got):
        raise ApprovalsMismatch(expected, got)
    approved = dict(event.approvals)
    return [
        calls.decided(call, approved[call.id], now) if call.id in approved else call for call in step.calls
    ]


def _cancel_requested(state: RunState, _: CancelRequested, now: int) -> Decision:
    run = state.run
    if not run.status.live or run.status == RunStatus.CANCELLING:
        raise NotCancellable(run.status)
    if now >= run.expires_at:
        raise NotCancellable(RunStatus.EXPIRED)
    cancelling = replace(run, status=move(run.status, RunStatus.CANCELLING), waits_for=None, due=None)
    return Decision(RunState(cancelling, state.open_step))  # its readers are told when the work stops


# --- endings -------------------------------------------------------------------------------------


def _over(state: RunState, turn: Turn | None, now: int) -> Decision | None:
    """End a run that a client cancelled or whose time is up; None if neither is so."""
    if state.run.status == RunStatus.CANCELLING:
        told = Decision(state, publish=(Publish(EventKind.RUN_CANCELLING, state.run),))
        closed = told.then(_close(state, turn, now, "run_cancelled", StepStatus.CANCELLED, None))
        return closed.then(_ended(closed.state, RunStatus.CANCELLED, cancelled_at=now))
    if now >= state.run.expires_at:
        closed = _close(state, turn, now, "run_expired", StepStatus.EXPIRED, None)
        return closed.then(_ended(closed.state, RunStatus.EXPIRED))
    return None


def _failed(state: RunState, turn: Turn | None, failure: Failure, now: int) -> Decision:
    closed = _close(state, turn, now, "run_failed", StepStatus.FAILED, failure)
    return closed.then(_ended(closed.state, RunStatus.FAILED, failed_at=now, last_error=failure))


def _incomplete(state: RunState, reason: str, now: int) -> Decision:
    return _ended(state, RunStatus.INCOMPLETE, incomplete_reason=reason, completed_at=now)


def _ended(state: RunState, status: RunStatus, **fields: Any) -> Decision:
    run = state.run
    ended = replace(run, status=move(run.status, status), waits_for=None, due=None, **fields)
    return Decision(RunState(ended), publish=(Publish(OF_RUN[status], ended),))


def _close(
    state: RunState, turn: Turn | None, now: int, reason: str, status: StepStatus, failure: Failure | None
) -> Decision:
    """Close what is open, inside out: the step of open calls, or the turn that was cut off."""
    run, step = state.run, state.open_step
    if step is not None:
        return _close_step(run, step, now, status, failure)
    if turn is None:
        return Decision(RunState(run))
    closed = _close_turn(run, turn, now, reason=reason, status=status, failure=failure)
    return closed.then(Decision(RunState(turns.counted(run, turn))))


def _close_step(run: Run, step: Step, now: int, status: StepStatus, failure: Failure | None) -> Decision:
    ended = [calls.closed(call, status, now) for call in step.calls]
    closed = _closed(replace(step, calls=ended), status, now, failure)
    writes: list[Write] = [
        SaveCall(new) for old, new in zip(step.calls, ended, strict=True) if new is not old
    ]
    return Decision(RunState(run), (*writes, SaveStep(closed)), (Publish(OF_STEP[status], closed),))


def _close_turn(
    run: Run, turn: Turn, now: int, *, reason: str, status: StepStatus, failure: Failure | None
) -> Decision:
    """Keep what a broken-off turn has brought: its texts as incomplete messages, its calls as a step."""
    decision = Decision(RunState(run))
    if not turn.items and turn.finish_reason:
        turn = _whole(turn)
    for item in turns.in_order(turn):
        match item:
            case TextItem():
                decision = decision.then(_incomplete_message(run, turn, item, now, reason, status, failure))
            case CallsItem():
                decision = decision.then(_cut_calls(run, turn, item, now, status, failure))
    return decision


def _incomplete_message(
    run: Run, turn: Turn, said: TextItem, now: int, reason: str, status: StepStatus, failure: Failure | None
) -> Decision:
    message = replace(
        turns.message(run, turn, said, now),
        status=MessageStatus.INCOMPLETE,
        incomplete_reason=reason,
        completed_at=None,
        incomplete_at=now,
    )
    step = _closed(turns.message_step(run, turn, said, now), status, now, failure)
    return Decision(
        RunState(run),
        (AddMessage(message), AddStep(step)),
        (Publish(EventKind.MESSAGE_INCOMPLETE, message), Publish(OF_STEP[status], step)),
    )


def _cut_calls(
    run: Run, turn: Turn, called: CallsItem, now: int, status: StepStatus, failure: Failure | None
) -> Decision:
    """A call that was cut off can't be answered: its step never completes."""
    ending = StepStatus.FAILED if status == StepStatus.COMPLETED else status
    cut_off = Failure("server_error", "The model's answer was cut off.")
    why = failure or (cut_off if ending is StepStatus.FAILED else None)
    ended = [calls.closed(call, ending, now) for call in called.calls]
    step = _closed(turns.tools_step(run, turn, called, ended), ending, now, why)
    return Decision(RunState(run), (AddStep(step),), (Publish(OF_STEP[ending], step),))


def _closed(step: Step, status: StepStatus, now: int, failure: Failure | None) -> Step:
    """Return the step ended in ``status``, with exactly the one time stamp that goes with it."""
    stamps: dict[str, Any] = {"completed_at": None, f"{status}_at": now}
    return replace(step, status=status, last_error=failure, **stamps)


_HANDLERS: dict[type, Callable[[RunState, Any, int], Decision]] = {
    Started: _started,
    ModelReplied: _model_replied,
    ModelFailed: _model_failed,
    ModelAway: _model_away,
    ModelStopped: _model_stopped,
    PromptTooLong: _prompt_too_long,
    CallEnded: _call_ended,
    CallsStopped: _calls_stopped,
    Unstorable: _unstorable,
    Submitted: _submitted,
    CancelRequested: _cancel_requested,
}
