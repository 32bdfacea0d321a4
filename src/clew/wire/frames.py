"""Server-sent events of a run, as both vendors' clients read them.

A frame is exactly ``event: NAME``, ``data: ONE-LINE-JSON`` and an empty line, with LF only: the
azure-ai-agents parser loses events that end in CRLF, and fails on frames without an event's name.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from clew.core.content import Annotation
from clew.core.entries import CallOutput, CallPiece, Entry, EventKind, ImagePiece, Subject, TextPiece
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


def frame(entry: Entry, *, numbered: bool = False, content: bool = False) -> bytes:
    """Return an event's frame, or nothing for one that clients are told nothing of.

    ``numbered`` adds the position that a reader may go on from; ``content`` the texts that searches found.
    """
    subject = entry.subject
    if isinstance(subject, TextPiece) and not (subject.first or subject.refusal or subject.annotation):
        payload = _TEXT % (_encode(subject.message_id), subject.part, _encode(subject.value))
    else:
        told = _payload(subject, entry.open_step, content)
        if told is None:
            return b""
        payload = _encode(told)
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


def told_whole(entries: Sequence[Entry]) -> Told:
    """Return the frames of events as :func:`told`, with the texts that searches found."""
    data = b"".join(frame(entry, content=True) for entry in entries)
    return Told(data, entries[-1].kind if entries else None)


def thread_created(thread: objects.ThreadObject) -> bytes:
    """Return the frame that announces a thread created together with its run."""
    return b"event: thread.created\ndata: %b\n\n" % _encode(thread)


def _payload(subject: Subject, open_step: Step | None, content: bool) -> object:
    match subject:
        case Run():
            return objects.run(subject, open_step)
        case Step():
            return objects.step(subject, content=content)
        case Message():
            return objects.message(subject)
        case TextPiece():
            return _text_delta(subject)
        case ImagePiece():
            return _image_delta(subject)
        case CallPiece():
            return calls.piece(subject)
        case CallOutput():
            return calls.output(subject)


def _delta_of(annotation: Annotation) -> Json:
    """Return an annotation as a delta has it: a quote that is empty comes with it, as recorded."""
    said: Json = msgspec.to_builtins(annotation)
    if "file_citation" in said:
        said["file_citation"]["quote"] = ""
    return said


def _text_delta(piece: TextPiece) -> Json:
    """Exactly three keys: a sample of azure-ai-agents fails on any other."""
    if piece.refusal:
        part: Json = {"index": piece.part, "type": "refusal", "refusal": piece.value}
    else:
        text: Json = {"value": piece.value, "annotations": []} if piece.first else {"value": piece.value}
        if piece.annotation is not None:
            text["annotations"] = [{"index": piece.number, **_delta_of(piece.annotation)}]
        part = {"index": piece.part, "type": "text", "text": text}
    return _message_delta(piece.message_id, part)


def _image_delta(piece: ImagePiece) -> Json:
    image = {"file_id": piece.file_id}
    return _message_delta(piece.message_id, {"index": piece.part, "type": "image_file", "image_file": image})


def _message_delta(message_id: str, part: Json) -> Json:
    return {"id": message_id, "object": "thread.message.delta", "delta": {"content": [part]}}
