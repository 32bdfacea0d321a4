"""What happens to a run: one pure function from a state and an event to writes and effects.

No clock, no I/O, no asyncio: time and ids come in with the event. The loop around it, in
:mod:`clew.engine`, performs an effect, turns its result into an event, asks :func:`decide`, commits
the writes in one transaction, and publishes.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from clew.core import turns
from clew.core.decisions import (
    AddMessage,
    AddStep,
    CallModel,
    Decision,
    RunState,
    SaveStep,
)
from clew.core.errors import NotCancellable, OutputsMismatch, OutputsNotAccepted
from clew.core.events import (
    CancelRequested,
    Event,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    OutputsSubmitted,
    PromptTooLong,
    Started,
    TimeIsUp,
)
from clew.core.journal import (
    JUMP,
    Entry,
    Publish,
    call_entries,
    message_opening,
    opened_message,
    opened_step,
    text_entries,
    tools_opening,
)
from clew.core.records import Call, Failure, Json, Message, Run, Step, Turn, Usage
from clew.core.states import MessageStatus, RunStatus, StepStatus, move

MAX_TURNS = 100
"""Model calls one run may make. Bounds a model that calls tools for ever."""


def decide(state: RunState, event: Event, now: int) -> Decision:
    """Return what follows from ``event`` at ``now``.

    A terminal run answers every event with an empty decision, except those of clients.

    Raises:
        Refused: a client asked for what the run's status does not allow.
    """
    handler: Callable[[RunState, Any, int], Decision] = _HANDLERS[type(event)]
    return _entered(state.run.position, handler(state, event, now))


def _started(state: RunState, _: Started, now: int) -> Decision:
    run = state.run
    if not run.status.live:
        return Decision(state)
    if over := _over(state, None, now):
        return over
    if run.status == RunStatus.REQUIRES_ACTION:
        return Decision(state)
    if run.status == RunStatus.IN_PROGRESS:  # taken over from a worker that died
        return _next_turn(state, now)
    started = replace(
        run,
        status=move(run.status, RunStatus.IN_PROGRESS),
        started_at=now,
        begun_at=now if run.begun_at is None else run.begun_at,
        starts=run.starts + 1,
    )
    begun = Decision(RunState(started), publish=(Publish("run.in_progress", started),))
    return begun.then(_next_turn(begun.state, now))


def _next_turn(state: RunState, now: int) -> Decision:
    """Ask the model again, unless a budget for the whole run is used up."""
    run, config = state.run, state.run.config
    left_prompt = _left(config.max_prompt_tokens, run.usage.prompt_tokens)
    left_completion = _least(
        _left(config.max_completion_tokens, run.usage.completion_tokens),
        _left(config.token_allowance, run.usage.total_tokens),
    )
    if left_completion == 0:
        return _incomplete(state, "max_completion_tokens", now)
    if left_prompt == 0:
        return _incomplete(state, "max_prompt_tokens", now)
    if run.turns >= MAX_TURNS:
        failure = Failure("server_error", f"The run stopped after {MAX_TURNS} calls of the model.")
        return _failed(state, None, failure, now)
    return Decision(state, call_model=CallModel(left_prompt, left_completion))


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _left(budget: int | None, used: int) -> int | None:
    return None if budget is None else max(0, budget - used)


def _model_replied(state: RunState, event: ModelReplied, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    if over := _over(state, event.turn, now):
        return over
    turn = event.turn
    if turn.finish_reason in ("length", "content_filter"):
        return _cut_short(state, turn, now)
    if turn.calls:
        return _called(state, turn, now)
    run = turns.counted(state.run, turn)
    done = replace(run, status=move(run.status, RunStatus.COMPLETED), completed_at=now)
    message, step = turns.message(run, turn, now), turns.message_step(run, turn, now, turn.usage)
    return Decision(
        RunState(done),
        (AddMessage(message), AddStep(step)),
        (
            Publish("message.completed", message),
            Publish("run.step.completed", step),
            Publish("run.completed", done),
        ),
    )


def _called(state: RunState, turn: Turn, now: int) -> Decision:
    """The model called functions: hand them to the client, or answer those nobody can."""
    run = turns.counted(state.run, turn)
    spoken = Decision(state)
    if turn.text or turn.refusal:
        message, said = turns.message(run, turn, now), turns.message_step(run, turn, now, Usage())
        spoken = Decision(
            RunState(run),
            (AddMessage(message), AddStep(said)),
            (Publish("message.completed", message), Publish("run.step.completed", said)),
        )
    step = turns.tools_step(run, turn, [_answer_if_unknown(call, run) for call in turn.calls])
    if any(call.output is None for call in step.calls):
        waiting = replace(run, status=move(run.status, RunStatus.REQUIRES_ACTION), worker=None)
        step = replace(step, waited=True)
        published = Publish("run.requires_action", waiting, step)
        return spoken.then(Decision(RunState(waiting, step), (AddStep(step),), (published,)))
    done = replace(step, status=StepStatus.COMPLETED, completed_at=now)
    answered = Decision(RunState(run), (AddStep(done),), (Publish("run.step.completed", done),))
    return spoken.then(answered).then(_next_turn(RunState(run), now))


def _answer_if_unknown(call: Call, run: Run) -> Call:
    """A function that was not offered goes back to the model as an error, never to the client."""
    offered = run.config.function_names()
    if call.name in offered:
        return call
    return replace(call, output=f'{{"error": "There is no function named {call.name!r}. Known: {offered}"}}')


def _cut_short(state: RunState, turn: Turn, now: int) -> Decision:
    """The answer was cut by its length or by a content filter: keep what there is."""
    filtered = turn.finish_reason == "content_filter"
    closed = _close_turn(
        state.run,
        turn,
        now,
        reason="content_filter" if filtered else "max_tokens",
        status=StepStatus.COMPLETED,
        failure=None,
    )
    run = turns.counted(state.run, turn)
    ended = _incomplete(RunState(run), "content_filter" if filtered else "max_completion_tokens", now)
    return closed.then(ended)


def _model_failed(state: RunState, event: ModelFailed, now: int) -> Decision:
    if not state.run.status.live:
        return Decision(state)
    return _over(state, event.turn, now) or _failed(state, event.turn, event.failure, now)


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


def _outputs_submitted(state: RunState, event: OutputsSubmitted, now: int) -> Decision:
    run, step = state.run, state.waiting
    if run.status != RunStatus.REQUIRES_ACTION or step is None:
        raise OutputsNotAccepted(run.status)
    if now >= run.expires_at:
        raise OutputsNotAccepted(RunStatus.EXPIRED)
    expected = [call.id for call in step.calls if call.output is None]
    got = [call_id for call_id, _ in event.outputs]
    if sorted(expected) != sorted(got):
        raise OutputsMismatch(expected, got)
    outputs = dict(event.outputs)
    answered = [replace(call, output=outputs.get(call.id, call.output)) for call in step.calls]
    done = replace(step, calls=answered, status=StepStatus.COMPLETED, completed_at=now)
    queued = replace(run, status=move(run.status, RunStatus.QUEUED))
    return Decision(
        RunState(queued),
        (SaveStep(done),),
        (Publish("run.step.completed", done), Publish("run.queued", queued)),
    )


def _cancel_requested(state: RunState, _: CancelRequested, now: int) -> Decision:
    run = state.run
    if not run.status.live or run.status == RunStatus.CANCELLING:
        raise NotCancellable(run.status)
    if now >= run.expires_at:
        raise NotCancellable(RunStatus.EXPIRED)
    cancelling = replace(run, status=move(run.status, RunStatus.CANCELLING))
    return Decision(RunState(cancelling, state.waiting))  # its readers are told when the work stops


def _time_is_up(state: RunState, _: TimeIsUp, now: int) -> Decision:
    return (_over(state, None, now) if state.run.status.live else None) or Decision(state)


# --- the journal ---------------------------------------------------------------------------------


def _entered(position: int, decision: Decision) -> Decision:
    """Enter a decision in the run's journal, which ends at ``position``.

    A new step's opening and what was said in it come right before its first event; the first new
    step's come before everything, because readers have seen them live.
    """
    if not decision.publish:
        return decision
    messages = {write.message.id: write.message for write in decision.writes if isinstance(write, AddMessage)}
    unopened = [write.step for write in decision.writes if isinstance(write, AddStep)]
    starts: dict[str, int] = {}
    entries: list[Entry] = []
    for event in decision.publish:
        while unopened and (not starts or _about(event, unopened[0])):
            step = unopened.pop(0)
            starts[step.id] = position + 1
            entries += _opening(position + 1, step, messages.get(step.message_id or ""))
            position = entries[-1].end
        position += 1
        entries.append(Entry(position, event.name, event.subject, event.waiting))
    return _placed(decision, starts, entries, position)


def _about(event: Publish, step: Step) -> bool:
    if isinstance(event.subject, Run):
        return event.waiting is not None and event.waiting.id == step.id
    return event.subject.id in (step.id, step.message_id)


def _opening(position: int, step: Step, message: Message | None) -> list[Entry]:
    if message is not None:
        opening = message_opening(position, opened_step(step), opened_message(message))
        return opening + list(text_entries(position + len(opening), message))
    opening = tools_opening(position, opened_step(step))
    return opening + list(call_entries(position + len(opening), step))


def _placed(decision: Decision, starts: dict[str, int], entries: list[Entry], position: int) -> Decision:
    """Return the decision with its new steps and its run at their positions."""

    def place(step: Step) -> Step:
        return replace(step, position=starts[step.id]) if step.id in starts else step

    state = decision.state
    writes = tuple(
        AddStep(place(write.step)) if isinstance(write, AddStep) else write for write in decision.writes
    )
    waiting = place(state.waiting) if state.waiting is not None else None
    placed = RunState(replace(state.run, position=position), waiting)
    return Decision(placed, writes, decision.publish, decision.call_model, tuple(entries))


# --- endings -------------------------------------------------------------------------------------


def _over(state: RunState, turn: Turn | None, now: int) -> Decision | None:
    """End a run that a client cancelled or whose time is up; None if neither is so."""
    if state.run.status == RunStatus.CANCELLING:
        told = Decision(state, publish=(Publish("run.cancelling", state.run),))
        closed = told.then(_close(state, turn, now, "run_cancelled", StepStatus.CANCELLED, None))
        run = closed.state.run
        ended = replace(run, status=move(run.status, RunStatus.CANCELLED), cancelled_at=now)
        return closed.then(Decision(RunState(ended), publish=(Publish("run.cancelled", ended),)))
    if now >= state.run.expires_at:
        closed = _close(state, turn, now, "run_expired", StepStatus.EXPIRED, None)
        run = closed.state.run
        ended = replace(run, status=move(run.status, RunStatus.EXPIRED))
        return closed.then(Decision(RunState(ended), publish=(Publish("run.expired", ended),)))
    return None


def _failed(state: RunState, turn: Turn | None, failure: Failure, now: int) -> Decision:
    closed = _close(state, turn, now, "run_failed", StepStatus.FAILED, failure)
    run = closed.state.run
    ended = replace(run, status=move(run.status, RunStatus.FAILED), failed_at=now, last_error=failure)
    return closed.then(Decision(RunState(ended), publish=(Publish("run.failed", ended),)))


def _incomplete(state: RunState, reason: str, now: int) -> Decision:
    run = state.run
    status = move(run.status, RunStatus.INCOMPLETE)
    ended = replace(run, status=status, incomplete_reason=reason, completed_at=now)
    return Decision(RunState(ended), publish=(Publish("run.incomplete", ended),))


def _close(
    state: RunState, turn: Turn | None, now: int, reason: str, status: StepStatus, failure: Failure | None
) -> Decision:
    """Close what is open, inside out: the waiting tool step, or the turn that was cut off."""
    run = state.run
    if state.waiting is not None:
        step = _closed(state.waiting, status, now, failure)
        return Decision(RunState(run), (SaveStep(step),), (Publish(f"run.step.{status}", step),))
    if turn is None:
        return Decision(RunState(run))
    closed = _close_turn(run, turn, now, reason=reason, status=status, failure=failure)
    return closed.then(Decision(RunState(turns.counted(run, turn))))


def _close_turn(
    run: Run, turn: Turn, now: int, *, reason: str, status: StepStatus, failure: Failure | None
) -> Decision:
    """Keep what a broken-off turn has brought: its text as an incomplete message, its calls as a step."""
    decision = Decision(RunState(run))
    booked = turn.usage
    if turn.begun or (turn.finish_reason and not turn.calls):
        message = replace(
            turns.message(run, turn, now),
            status=MessageStatus.INCOMPLETE,
            incomplete_reason=reason,
            completed_at=None,
            incomplete_at=now,
        )
        step = _closed(turns.message_step(run, turn, now, booked), status, now, failure)
        booked = Usage()
        decision = Decision(
            RunState(run),
            (AddMessage(message), AddStep(step)),
            (Publish("message.incomplete", message), Publish(f"run.step.{status}", step)),
        )
    if turn.calls:
        # A call that was cut off can't be answered: its step never completes.
        ending = StepStatus.FAILED if status == StepStatus.COMPLETED else status
        cut_off = Failure("server_error", "The model's answer was cut off.")
        why = failure or (cut_off if ending is StepStatus.FAILED else None)
        tools = replace(turns.tools_step(run, turn, list(turn.calls)), usage=booked)
        tools = _closed(tools, ending, now, why)
        decision = decision.then(
            Decision(RunState(run), (AddStep(tools),), (Publish(f"run.step.{ending}", tools),))
        )
    return decision


def _closed(step: Step, status: StepStatus, now: int, failure: Failure | None) -> Step:
    """Return the step ended in ``status``, with exactly the one time stamp that goes with it."""
    stamps: Json = {"completed_at": None, f"{status}_at": now}
    return replace(step, status=status, last_error=failure, **stamps)


_HANDLERS: dict[type, Callable[[RunState, Any, int], Decision]] = {
    Started: _started,
    ModelReplied: _model_replied,
    ModelFailed: _model_failed,
    ModelStopped: _model_stopped,
    PromptTooLong: _prompt_too_long,
    OutputsSubmitted: _outputs_submitted,
    CancelRequested: _cancel_requested,
    TimeIsUp: _time_is_up,
}
