"""Server-sent events of a run, as both vendors' clients read them.

A frame is exactly ``event: NAME``, ``data: ONE-LINE-JSON`` and an empty line, with LF only: the
azure-ai-agents parser loses events that end in CRLF, and fails on frames without an event's name.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from clew.core.entries import CallOutput, CallPiece, Entry, EventKind, Subject, TextPiece
from clew.core.options import Json
from clew.core.records import Message, Run, Step
from clew.wire import calls, objects

_encode = msgspec.json.Encoder().encode

DONE = b"event: done\ndata: [DONE]\n\n"
"""The last frame. Nothing may follow it."""

KEEP_ALIVE = b": keep-alive\n"
"""A comment without an empty line: it belongs to the next frame, and no client trips over it."""


_NAMES = {kind: f"thread.{kind}".encode() for kind in EventKind}
"""What the wire calls each kind of event."""


_TEXT = (
    b'{"id":%b,"object":"thread.message.delta",'
    b'"delta":{"content":[{"index":%d,"type":"text","text":{"value":%b}}]}}'
)
"""What :func:`_text_delta` comes to for every piece of a text but the first."""


def frame(entry: Entry, *, numbered: bool = False) -> bytes:
    """Return an event's frame; ``numbered`` adds the position that a reader may go on from."""
    subject = entry.subject
    if isinstance(subject, TextPiece) and not (subject.first or subject.refusal):
        payload = _TEXT % (_encode(subject.message_id), subject.part, _encode(subject.value))
    else:
        payload = _encode(_payload(subject, entry.open_step))
    number = b"id: %d\n" % entry.end if numbered else b""
    return b"event: %b\ndata: %b\n%b\n" % (_NAMES[entry.kind], payload, number)


class Told(NamedTuple):
    """The frames of some events, and the kind of the last of them; None if there is none."""

    data: bytes
    last: EventKind | None


def told(entries: Sequence[Entry]) -> Told:
    """Return the frames of events that a reader can't come back to."""
    if len(entries) == 1:
        return Told(frame(entries[0]), entries[0].kind)
    return Told(b"".join(map(frame, entries)), entries[-1].kind if entries else None)


def numbered(entries: Sequence[Entry]) -> Told:
    """Return the frames of events, each with its position."""
    data = b"".join(frame(entry, numbered=True) for entry in entries)
    return Told(data, entries[-1].kind if entries else None)


def thread_created(thread: objects.ThreadObject) -> bytes:
    """Return the frame that announces a thread created together with its run."""
    return b"event: thread.created\ndata: %b\n\n" % _encode(thread)


def _payload(subject: Subject, open_step: Step | None) -> object:
    match subject:
        case Run():
            return objects.run(subject, open_step)
        case Step():
            return objects.step(subject)
        case Message():
            return objects.message(subject)
        case TextPiece():
            return _text_delta(subject)
        case CallPiece():
            return calls.piece(subject)
        case CallOutput():
            return calls.output(subject)


def _text_delta(piece: TextPiece) -> Json:
    """Exactly three keys: a sample of azure-ai-agents fails on any other."""
    if piece.refusal:
        part: Json = {"index": piece.part, "type": "refusal", "refusal": piece.value}
    else:
        text: Json = {"value": piece.value, "annotations": []} if piece.first else {"value": piece.value}
        part = {"index": piece.part, "type": "text", "text": text}
    return {"id": piece.message_id, "object": "thread.message.delta", "delta": {"content": [part]}}
