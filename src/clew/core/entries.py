"""What a run's readers are told: events and pieces of text, each at its position in the run's journal.

A lasting event takes one position; a piece of text takes one a character (a code point of the text as it
is stored), and so does a piece of a call's arguments, so a reader may stop and go on in the middle of a
text: ``position`` counts what it has seen, and :func:`trimmed` cuts off what it had before.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clew.core.content import Annotation
from clew.core.options import Json
from clew.core.records import FUNCTION, Message, Run, Step
from clew.core.states import MessageStatus, RunStatus, StepStatus


class EventKind(StrEnum):
    """What has happened. The wire has names of its own for these."""

    RUN_CREATED = "run.created"
    RUN_QUEUED = "run.queued"
    RUN_IN_PROGRESS = "run.in_progress"
    RUN_REQUIRES_ACTION = "run.requires_action"
    RUN_CANCELLING = "run.cancelling"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    RUN_EXPIRED = "run.expired"
    RUN_INCOMPLETE = "run.incomplete"
    STEP_CREATED = "run.step.created"
    STEP_IN_PROGRESS = "run.step.in_progress"
    STEP_DELTA = "run.step.delta"
    STEP_COMPLETED = "run.step.completed"
    STEP_FAILED = "run.step.failed"
    STEP_CANCELLED = "run.step.cancelled"
    STEP_EXPIRED = "run.step.expired"
    MESSAGE_CREATED = "message.created"
    MESSAGE_IN_PROGRESS = "message.in_progress"
    MESSAGE_DELTA = "message.delta"
    MESSAGE_COMPLETED = "message.completed"
    MESSAGE_INCOMPLETE = "message.incomplete"


OF_RUN = {status: EventKind(f"run.{status}") for status in RunStatus}
OF_STEP = {status: EventKind(f"run.step.{status}") for status in StepStatus}
OF_MESSAGE = {status: EventKind(f"message.{status}") for status in MessageStatus}

ENDINGS = frozenset(
    OF_RUN[status]
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


class TextPiece(Struct, frozen=True):
    """A piece of a message's text or refusal. ``first`` is set on the first piece of each."""

    message_id: str
    value: str
    part: int = 0
    first: bool = False
    refusal: bool = False
    annotation: Annotation | None = None
    """What the piece, a marker, cites; ``number`` is its place among the text's annotations."""
    number: int = 0


class ImagePiece(Struct, frozen=True):
    """An image that a message shows."""

    message_id: str
    part: int
    file_id: str


class CallPiece(Struct, frozen=True):
    """A piece of a call. ``id`` and ``name`` are set in the call's first piece only."""

    step_id: str
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    kind: str = FUNCTION


class CallOutput(Struct, frozen=True):
    """What a call of a server-side tool has given."""

    step_id: str
    call_id: str
    index: int
    kind: str
    output: str
    detail: Json | None = None


Subject: TypeAlias = Run | Step | Message | TextPiece | ImagePiece | CallPiece | CallOutput


class Entry(Struct, frozen=True):
    """One event of a run's journal; ``position`` is where it begins.

    ``open_step`` is the step whose calls a run that requires action waits for.
    """

    position: int
    kind: EventKind
    subject: Subject
    open_step: Step | None = None

    @property
    def size(self) -> int:
        """How many positions the event takes."""
        return self.end - self.position + 1

    @property
    def end(self) -> int:
        """The last position that the event takes."""
        subject = self.subject
        if type(subject) is TextPiece:
            return self.position + len(subject.value) - 1
        if type(subject) is CallPiece and subject.id is None:
            return self.position + len(subject.arguments) - 1
        return self.position


class Publish(Struct, frozen=True):
    """An event that lasts, not yet at its position."""

    kind: EventKind
    subject: Run | Step | Message | CallOutput
    open_step: Step | None = None


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
    return Entry(entry.position + skip, entry.kind, rest)


def joined(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return events with neighbouring pieces of one text, or of one call's arguments, as one."""
    if len(entries) < 2:
        return entries
    merged: list[Entry] = []
    run: list[Entry] = []
    for entry in entries:
        if run and not _follows(run[-1], entry):
            merged.append(_joined(run))
            run = []
        run.append(entry)
    merged.append(_joined(run))
    return merged


def _follows(before: Entry, entry: Entry) -> bool:
    """Whether an entry only goes on with what the one before it said."""
    if entry.position != before.end + 1:
        return False
    match before.subject, entry.subject:
        case TextPiece() as said, TextPiece(first=False) as more:
            cites = said.annotation is not None or more.annotation is not None
            return said.message_id == more.message_id and said.refusal == more.refusal and not cites
        case CallPiece(id=None) as said, CallPiece(id=None) as more:
            return said.step_id == more.step_id and said.index == more.index
    return False


def _joined(run: list[Entry]) -> Entry:
    first = run[0]
    match first.subject:
        case TextPiece() as piece if len(run) > 1:
            values = [entry.subject.value for entry in run if isinstance(entry.subject, TextPiece)]
            return replace(first, subject=replace(piece, value="".join(values)))
        case CallPiece() as piece if len(run) > 1:
            more = [entry.subject.arguments for entry in run if isinstance(entry.subject, CallPiece)]
            return replace(first, subject=replace(piece, arguments="".join(more)))
    return first
