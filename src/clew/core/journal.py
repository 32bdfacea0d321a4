"""The journal of a run: all its events in their one order, each at a position. Pure.

Nothing stores events. What lasts can be told from the rows at any time, in the same order and at the
same positions as it was published live. This module alone knows that order: :func:`entered` gives what a
decision publishes its positions, and writes them down in the rows; :func:`journal` tells it all again.

A worker that takes over from one that died begins :data:`JUMP` positions further on: what the dead
one had said of its turn, but not committed, is followed by the new turn's start.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter

from msgspec.structs import replace

from clew.core.calls import is_client_s
from clew.core.content import ImageFileContent, RefusalContent, TextContent, TextValue
from clew.core.decisions import AddMessage, AddStep, Decision, RunState, SaveCall, SaveStep, Write
from clew.core.entries import (
    OF_MESSAGE,
    OF_RUN,
    OF_STEP,
    CallOutput,
    CallPiece,
    Entry,
    EventKind,
    ImagePiece,
    Publish,
    TextPiece,
)
from clew.core.records import Call, Message, Run, Step, Wait
from clew.core.states import CallState, MessageStatus, RunStatus, StepStatus, WaitsFor
from clew.core.tools import CODE_INTERPRETER

JUMP = 1_000_000_000
"""Positions that a takeover skips: more than any turn can say."""

FIRST_START = 3
"""Where ``run.in_progress`` stands first: created and queued come before it, and nothing between."""

# --- openings: how readers first see what a turn brings -------------------------------------------


def message_opening(position: int, step: Step, message: Message) -> list[Entry]:
    """Return the four events that open a message, from ``position`` on."""
    return _at(
        position,
        Publish(EventKind.STEP_CREATED, step),
        Publish(EventKind.STEP_IN_PROGRESS, step),
        Publish(EventKind.MESSAGE_CREATED, message),
        Publish(EventKind.MESSAGE_IN_PROGRESS, message),
    )


def tools_opening(position: int, step: Step) -> list[Entry]:
    """Return the two events that open a step of tool calls, from ``position`` on."""
    return _at(position, Publish(EventKind.STEP_CREATED, step), Publish(EventKind.STEP_IN_PROGRESS, step))


def opened_step(step: Step) -> Step:
    """Return a step as it was when it began."""
    return replace(
        step,
        status=StepStatus.IN_PROGRESS,
        calls=[],
        last_error=None,
        completed_at=None,
        failed_at=None,
        cancelled_at=None,
        expired_at=None,
    )


def opened_message(message: Message) -> Message:
    """Return a message as it was when it began."""
    return replace(
        message,
        status=MessageStatus.IN_PROGRESS,
        content=[],
        incomplete_reason=None,
        completed_at=None,
        incomplete_at=None,
    )


def _at(position: int, *events: Publish) -> list[Entry]:
    return [
        Entry(position + offset, event.kind, event.subject, event.open_step)
        for offset, event in enumerate(events)
    ]


def text_entries(position: int, message: Message) -> Iterator[Entry]:
    """Yield what a message shows: images, then text and refusal, each one piece but for its markers."""
    for part, content in enumerate(message.content):
        match content:
            case ImageFileContent(image_file=image):
                yield Entry(position, EventKind.MESSAGE_DELTA, ImagePiece(message.id, part, image.file_id))
                position += 1
                continue
            case TextContent(text):
                pieces = list(_pieces(message.id, part, text))
            case RefusalContent(value):
                pieces = [TextPiece(message.id, value, part, refusal=True)] if value else []
            case _:
                continue
        for number, piece in enumerate(pieces):
            yield Entry(position, EventKind.MESSAGE_DELTA, replace(piece, first=number == 0))
            position += len(piece.value)


def _pieces(message_id: str, part: int, text: TextValue) -> Iterator[TextPiece]:
    at = 0
    for number, annotation in enumerate(text.annotations):
        start, end = annotation.start_index, annotation.end_index
        if start > at:
            yield TextPiece(message_id, text.value[at:start], part)
        yield TextPiece(message_id, text.value[start:end], part, annotation=annotation, number=number)
        at = end
    if at < len(text.value):
        yield TextPiece(message_id, text.value[at:], part)


def call_entries(position: int, step: Step) -> Iterator[Entry]:
    """Yield a step's calls, each as its head and its arguments."""
    for index, call in enumerate(step.calls):
        head = CallPiece(step.id, index, call.id, call.name, kind=call.kind)
        yield Entry(position, EventKind.STEP_DELTA, head)
        position += 1
        if call.arguments:
            rest = CallPiece(step.id, index, arguments=call.arguments, kind=call.kind)
            yield Entry(position, EventKind.STEP_DELTA, rest)
            position += len(call.arguments)


# --- entering what a decision publishes ------------------------------------------------------------


class _Places:
    """Where events of one decision stand: steps' starts and ends, calls' outputs, a run's waits."""

    def __init__(self, run: Run) -> None:
        self.starts: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        self.waits = list(run.waits)

    def note(self, event: Publish, position: int) -> None:
        """Remember what the rows are to say of an event's position."""
        match event.subject:
            case Step(id=step_id, type="tool_calls"):
                self.ends[step_id] = position
            case CallOutput(call_id=call_id):
                self.outputs[call_id] = position
            case Run() if self.waits:
                self._note_wait(event.kind, position)

    def _note_wait(self, kind: EventKind, position: int) -> None:
        for index, wait in enumerate(self.waits):
            if kind == EventKind.RUN_REQUIRES_ACTION and not wait.position:
                self.waits[index] = replace(wait, position=position)
                return
            if kind == EventKind.RUN_QUEUED and wait.resumed_at is not None and wait.resumed is None:
                self.waits[index] = replace(wait, resumed=position)
                return
            if kind == EventKind.RUN_IN_PROGRESS and wait.started_at is not None and wait.started is None:
                self.waits[index] = replace(wait, started=position)
                return

    def step(self, step: Step) -> Step:
        """Return a step with its places."""
        position, end = self.starts.get(step.id, step.position), self.ends.get(step.id, step.end_position)
        calls = [self.call(call) for call in step.calls] if self.outputs else step.calls
        return replace(step, position=position, end_position=end, calls=calls)

    def call(self, call: Call) -> Call:
        """Return a call with its place."""
        position = self.outputs.get(call.id)
        return call if position is None else replace(call, position=position)

    def write(self, write: Write) -> Write:
        """Return a write with the places in what it writes."""
        match write:
            case AddStep(step):
                return AddStep(self.step(step))
            case SaveStep(step):
                return SaveStep(self.step(step))
            case SaveCall(call):
                return SaveCall(self.call(call))
        return write


def entered(position: int, decision: Decision) -> Decision:
    """Enter a decision in the run's journal, which ends at ``position``.

    A new step's opening and what was said in it come right before its first event; the first new
    step's come before everything, because readers have seen them live. A new step without an event yet,
    whose calls are at work, is opened last.
    """
    if not decision.publish and not decision.writes:
        return decision
    pen = _Pen(position, decision)
    for event in decision.publish:
        pen.enter(event)
    pen.open_the_rest()
    step = decision.state.open_step
    open_step = None if step is None else step.id
    run = replace(decision.state.run, position=pen.position, waits=pen.places.waits, open_step=open_step)
    state = RunState(run, None if step is None else pen.places.step(step))
    writes = tuple(map(pen.places.write, decision.writes))
    return Decision(state, writes, decision.publish, tuple(pen.entries))


class _Pen:
    """Writes a decision's events one behind the other."""

    def __init__(self, position: int, decision: Decision) -> None:
        self.position = position
        self.places = _Places(decision.state.run)
        self.entries: list[Entry] = []
        added = [write.message for write in decision.writes if isinstance(write, AddMessage)]
        self._messages = {message.id: message for message in added}
        self._unopened = [write.step for write in decision.writes if isinstance(write, AddStep)]

    def enter(self, event: Publish) -> None:
        """Write an event, behind the openings that come before it."""
        if self._unopened and not self.places.starts:
            self._open(self._unopened[0])
        for step in self._unopened:
            if _about(event, step):
                self._open(step)
                break
        self.position += 1
        self.entries.append(Entry(self.position, event.kind, event.subject, event.open_step))
        self.places.note(event, self.position)

    def open_the_rest(self) -> None:
        """Write the openings of steps of which nothing has happened yet."""
        while self._unopened:
            self._open(self._unopened[0])

    def _open(self, step: Step) -> None:
        self._unopened.remove(step)
        self.places.starts[step.id] = self.position + 1
        self.entries += _opening(self.position + 1, step, self._messages.get(step.message_id or ""))
        self.position = self.entries[-1].end


def _about(event: Publish, step: Step) -> bool:
    match event.subject:
        case Run():
            return event.open_step is not None and event.open_step.id == step.id
        case CallOutput(step_id=step_id):
            return step_id == step.id
        case subject:
            return subject.id in (step.id, step.message_id)


def _opening(position: int, step: Step, message: Message | None) -> list[Entry]:
    if message is not None:
        opening = message_opening(position, opened_step(step), opened_message(message))
        return opening + list(text_entries(position + len(opening), message))
    opening = tools_opening(position, opened_step(step))
    return opening + list(call_entries(position + len(opening), step))


# --- the journal from the rows ---------------------------------------------------------------------


def journal(run: Run, steps: Sequence[Step], messages: Sequence[Message]) -> list[Entry]:
    """Return all that has lastingly happened to a run, in order.

    ``steps`` and ``messages`` are the run's own.
    """
    queued = _as_of(run, RunStatus.QUEUED, None)
    entries = _at(1, Publish(EventKind.RUN_CREATED, queued), Publish(EventKind.RUN_QUEUED, queued))
    if run.begun_at is not None:
        begun = _as_of(run, RunStatus.IN_PROGRESS, run.begun_at)
        entries += _at(FIRST_START, Publish(EventKind.RUN_IN_PROGRESS, begun))
    written = {message.id: message for message in messages}
    ending = list(_ending(run))
    first_cancelled = next((step for step in steps if step.status == StepStatus.CANCELLED), None)
    for step in steps:
        # What a cancellation finds open is closed after run.cancelling.
        before_close = [ending.pop(0)] if step is first_cancelled else []
        if step.type == "message_creation":
            entries += _message_step(step, written.get(step.message_id or ""), before_close)
        else:
            entries += _tools_step(step, before_close)
    if run.waits:
        entries += _waits(run, {step.id: step for step in steps})
        entries.sort(key=attrgetter("position"))
    elif any(step.calls for step in steps):
        entries.sort(key=attrgetter("position"))
    return entries + _at(run.position - len(ending) + 1, *ending)


def _tools_step(step: Step, before_close: Sequence[Publish]) -> Iterator[Entry]:
    yield from _opening(step.position, step, None)
    for call in step.calls:
        if call.position is not None:
            yield Entry(call.position, EventKind.STEP_DELTA, output_of(call))
    if step.end_position is not None:
        closing = (*before_close, Publish(OF_STEP[step.status], step))
        yield from _at(step.end_position - len(before_close), *closing)


def output_of(call: Call) -> CallOutput:
    """Return what readers are told of a call that has ended."""
    detail = call.detail if call.kind == CODE_INTERPRETER else None
    return CallOutput(call.step_id, call.id, call.index, call.kind, call.output or "", detail)


def _message_step(step: Step, message: Message | None, before_close: Sequence[Publish]) -> Iterator[Entry]:
    closed = Publish(OF_STEP[step.status], step)
    if message is None:  # a client has deleted it: what is left is the step
        yield from _at(step.position, *_opened(step), closed)
        return
    opening = _opening(step.position, step, message)
    yield from opening
    told = Publish(OF_MESSAGE[message.status], message)
    yield from _at(opening[-1].end + 1, *before_close, told, closed)


def _opened(step: Step) -> tuple[Publish, Publish]:
    opened = opened_step(step)
    return Publish(EventKind.STEP_CREATED, opened), Publish(EventKind.STEP_IN_PROGRESS, opened)


def _waits(run: Run, steps: dict[str, Step]) -> Iterator[Entry]:
    """Yield when the run was parked and went on, as it says itself."""
    started_at = run.begun_at
    for wait in run.waits:
        parked = _as_of(run, RunStatus.REQUIRES_ACTION, started_at, wait.reason)
        asked = _asked(steps[wait.step_id], wait)
        yield Entry(wait.position, EventKind.RUN_REQUIRES_ACTION, parked, asked)
        if wait.resumed is not None:
            queued = _as_of(run, RunStatus.QUEUED, started_at)
            yield Entry(wait.resumed, EventKind.RUN_QUEUED, queued)
        if wait.started is not None:
            started_at = wait.started_at
            begun = _as_of(run, RunStatus.IN_PROGRESS, started_at)
            yield Entry(wait.started, EventKind.RUN_IN_PROGRESS, begun)


def _asked(step: Step, wait: Wait) -> Step:
    """Return a step with the calls that a run waited for, as they were then."""
    if wait.reason == WaitsFor.APPROVAL:
        state, calls = CallState.WAITS_FOR_APPROVAL, [call for call in step.calls if call.approval]
    else:
        state = CallState.WAITS_FOR_CLIENT
        calls = [call for call in step.calls if is_client_s(call)]
    waiting = [replace(call, state=state, result=None, output=None, ended_at=None) for call in calls]
    return replace(opened_step(step), calls=waiting)


def _ending(run: Run) -> Iterator[Publish]:
    """Yield the events that end the run, if it is over."""
    if run.status.live:
        return
    if run.status == RunStatus.CANCELLED:
        cancelling = _as_of(run, RunStatus.CANCELLING, run.started_at)
        yield Publish(EventKind.RUN_CANCELLING, cancelling)
    yield Publish(OF_RUN[run.status], run)


def _as_of(run: Run, status: RunStatus, started_at: int | None, waits_for: WaitsFor | None = None) -> Run:
    """Return the run as it was in an earlier status."""
    return replace(
        run,
        status=status,
        started_at=started_at,
        completed_at=None,
        failed_at=None,
        cancelled_at=None,
        last_error=None,
        incomplete_reason=None,
        waits_for=waits_for,
    )
