"""The journal of a run: all its events in their one order, each at a position. Pure.

Nothing stores events. What lasts can be told from the rows at any time, in the same order and at the
same positions as it was published live. A lasting event takes one position; a piece of text takes one
a character, and so does a piece of a call's arguments, so a reader may stop and go on in the middle of
a text: ``position`` counts what it has seen, and :func:`trimmed` cuts off what it had before.

A worker that takes over from one that died begins :data:`JUMP` positions further on: what the dead
one had said of its turn, but not committed, is followed by the new turn's start.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clew.core.records import Message, Run, Step, Thread
from clew.core.states import MessageStatus, RunStatus, StepStatus

JUMP = 1_000_000_000
"""Positions that a takeover skips: more than any turn can say."""


class TextPiece(Struct, frozen=True):
    """A piece of a message's text or refusal. ``first`` is set on the first piece of each."""

    message_id: str
    value: str
    part: int = 0
    first: bool = False
    refusal: bool = False


class CallPiece(Struct, frozen=True):
    """A piece of a function call. ``id`` and ``name`` are set in the call's first piece only."""

    step_id: str
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


Subject: TypeAlias = Thread | Run | Step | Message | TextPiece | CallPiece


class Entry(Struct, frozen=True):
    """One event. ``name`` is its name on the wire less ``thread.``; ``position`` where it begins.

    ``waiting`` is the step whose calls a run that requires action waits for.
    """

    position: int
    name: str
    subject: Subject
    waiting: Step | None = None

    @property
    def size(self) -> int:
        """How many positions the event takes."""
        match self.subject:
            case TextPiece(value=value):
                return len(value)
            case CallPiece(id=None, arguments=arguments):
                return len(arguments)
        return 1

    @property
    def end(self) -> int:
        """The last position that the event takes."""
        return self.position + self.size - 1


class Publish(Struct, frozen=True):
    """An event that lasts, not yet at its position."""

    name: str
    subject: Run | Step | Message
    waiting: Step | None = None


ENDINGS = frozenset(
    f"run.{status}"
    for status in (
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
        RunStatus.EXPIRED,
        RunStatus.INCOMPLETE,
        RunStatus.REQUIRES_ACTION,
    )
)
"""Events after which nothing comes until a client acts, or ever."""


def trimmed(entry: Entry, seen: int) -> Entry | None:
    """Return what is left of an event for a reader that has seen up to ``seen``; None if nothing is."""
    if entry.position > seen:
        return entry
    if entry.end <= seen:
        return None
    skip = seen - entry.position + 1
    match entry.subject:
        case TextPiece() as piece:
            rest: Subject = replace(piece, value=piece.value[skip:], first=False)
        case CallPiece() as piece:
            rest = replace(piece, arguments=piece.arguments[skip:])
        case _:
            raise AssertionError("only pieces take more than one position")
    return Entry(entry.position + skip, entry.name, rest)


# --- openings: how readers first see what a turn brings -------------------------------------------


def message_opening(position: int, step: Step, message: Message) -> list[Entry]:
    """Return the four events that open a message, from ``position`` on."""
    return _at(
        position,
        Publish("run.step.created", step),
        Publish("run.step.in_progress", step),
        Publish("message.created", message),
        Publish("message.in_progress", message),
    )


def tools_opening(position: int, step: Step) -> list[Entry]:
    """Return the two events that open a step of tool calls, from ``position`` on."""
    return _at(position, Publish("run.step.created", step), Publish("run.step.in_progress", step))


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


def _at(position: int, *events: Publish) -> list[Entry]:
    return [
        Entry(position + offset, event.name, event.subject, event.waiting)
        for offset, event in enumerate(events)
    ]


def text_entries(position: int, message: Message) -> Iterator[Entry]:
    """Yield a whole message's text and refusal as one piece each."""
    for part, content in enumerate(message.content):
        refusal = content["type"] == "refusal"
        value = content["refusal"] if refusal else content["text"]["value"]
        if value:
            piece = TextPiece(message.id, value, part, first=True, refusal=refusal)
            yield Entry(position, "message.delta", piece)
            position += len(value)


def call_entries(position: int, step: Step) -> Iterator[Entry]:
    """Yield a step's calls, each as its head and its arguments."""
    for index, call in enumerate(step.calls):
        yield Entry(position, "run.step.delta", CallPiece(step.id, index, call.id, call.name))
        position += 1
        if call.arguments:
            yield Entry(position, "run.step.delta", CallPiece(step.id, index, arguments=call.arguments))
            position += len(call.arguments)


# --- the journal from the rows ---------------------------------------------------------------------


def journal(run: Run, steps: Sequence[Step], messages: Sequence[Message]) -> list[Entry]:
    """Return all that has lastingly happened to a run, in order.

    ``steps`` and ``messages`` are the run's own, oldest first.
    """
    queued = _as_of(run, RunStatus.QUEUED, None)
    entries = _at(1, Publish("run.created", queued), Publish("run.queued", queued))
    if run.starts:
        first_start = run.started_at if run.starts == 1 else run.created_at
        entries += _at(3, Publish("run.in_progress", _as_of(run, RunStatus.IN_PROGRESS, first_start)))
    written = {message.id: message for message in messages}
    starts = 1
    ending = list(_ending(run))
    first_cancelled = next((step for step in steps if step.status == StepStatus.CANCELLED), None)
    for step in steps:
        # What a cancellation finds open is closed after run.cancelling.
        before_close = [ending.pop(0)] if step is first_cancelled else []
        told = list(_step_entries(run, step, written.get(step.message_id or ""), before_close, starts))
        starts += sum(entry.name == "run.in_progress" for entry in told)
        entries += told
    return entries + _at(run.position - len(ending) + 1, *ending)


def _step_entries(
    run: Run, step: Step, message: Message | None, before_close: Sequence[Publish], starts: int
) -> Iterator[Entry]:
    opened = opened_step(step)
    if step.type == "message_creation":
        yield from _message_step_entries(step, opened, message, before_close)
        return
    opening = tools_opening(step.position, opened)
    pieces = list(call_entries(step.position + len(opening), step))
    yield from opening
    yield from pieces
    closing: list[Publish] = []
    if step.waited:
        answerable = run.config.function_names()
        unanswered = [replace(call, output=None) if call.name in answerable else call for call in step.calls]
        waiting = replace(opened, calls=unanswered)
        parked = _as_of(run, RunStatus.REQUIRES_ACTION, run.started_at)
        closing.append(Publish("run.requires_action", parked, waiting))
    closing += before_close
    if step.status != StepStatus.IN_PROGRESS:
        closing.append(Publish(f"run.step.{step.status}", step))
    if step.waited and step.status == StepStatus.COMPLETED:
        closing.append(Publish("run.queued", _as_of(run, RunStatus.QUEUED, run.started_at)))
        if starts < run.starts:
            resumed = _as_of(run, RunStatus.IN_PROGRESS, step.completed_at)
            closing.append(Publish("run.in_progress", resumed))
    yield from _at(pieces[-1].end + 1 if pieces else step.position + len(opening), *closing)


def _message_step_entries(
    step: Step, opened: Step, message: Message | None, before_close: Sequence[Publish]
) -> Iterator[Entry]:
    if message is None:  # a client has deleted it: what is left is the step
        yield from tools_opening(step.position, opened)
        yield Entry(step.position + 2, f"run.step.{step.status}", step)
        return
    begun = opened_message(message)
    opening = message_opening(step.position, opened, begun)
    pieces = list(text_entries(step.position + len(opening), message))
    yield from opening
    yield from pieces
    closing = (
        *before_close,
        Publish(f"message.{message.status}", message),
        Publish(f"run.step.{step.status}", step),
    )
    yield from _at(pieces[-1].end + 1 if pieces else step.position + len(opening), *closing)


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


def _ending(run: Run) -> Iterator[Publish]:
    """Yield the events that end the run, if it is over."""
    if run.status.live:
        return
    if run.status == RunStatus.CANCELLED:
        yield Publish("run.cancelling", _as_of(run, RunStatus.CANCELLING, run.started_at))
    yield Publish(f"run.{run.status}", run)


def _as_of(run: Run, status: RunStatus, started_at: int | None) -> Run:
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
    )
