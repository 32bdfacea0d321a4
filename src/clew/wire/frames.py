"""Server-sent events of a run, as both vendors' clients read them.

A frame is exactly ``event: NAME``, ``data: ONE-LINE-JSON`` and an empty line, with LF only: the
azure-ai-agents parser loses events that end in CRLF, and fails on frames without an event's name.
"""

import msgspec

from clew.core.journal import CallPiece, Entry, Subject, TextPiece
from clew.core.records import Json, Message, Run, Step, Thread
from clew.wire import objects

_encode = msgspec.json.Encoder().encode

DONE = b"event: done\ndata: [DONE]\n\n"
"""The last frame. Nothing may follow it."""

KEEP_ALIVE = b": keep-alive\n"
"""A comment without an empty line: it belongs to the next frame, and no client trips over it."""


def frame(entry: Entry, *, numbered: bool = False) -> bytes:
    """Return an event's frame; ``numbered`` adds the position that a reader may go on from."""
    payload = _encode(_payload(entry.subject, entry.waiting))
    number = b"id: %d\n" % entry.end if numbered else b""
    return b"event: thread.%b\ndata: %b\n%b\n" % (entry.name.encode(), payload, number)


def thread_created(thread: objects.ThreadObject) -> bytes:
    """Return the frame that announces a thread created together with its run."""
    return b"event: thread.created\ndata: %b\n\n" % _encode(thread)


def _payload(subject: Subject, waiting: Step | None) -> object:
    match subject:
        case Run():
            return objects.run(subject, waiting)
        case Step():
            return objects.step(subject)
        case Message():
            return objects.message(subject)
        case Thread():
            return objects.thread(subject)
        case TextPiece():
            return _text_delta(subject)
        case CallPiece():
            return _call_delta(subject)


def _text_delta(piece: TextPiece) -> Json:
    """Exactly three keys: a sample of azure-ai-agents fails on any other."""
    if piece.refusal:
        part: Json = {"index": piece.part, "type": "refusal", "refusal": piece.value}
    else:
        text: Json = {"value": piece.value, "annotations": []} if piece.first else {"value": piece.value}
        part = {"index": piece.part, "type": "text", "text": text}
    return {"id": piece.message_id, "object": "thread.message.delta", "delta": {"content": [part]}}


def _call_delta(piece: CallPiece) -> Json:
    """Clients add strings up, so an id or a name that came twice would be there twice."""
    call: Json = {"index": piece.index, "type": "function"}
    if piece.id is not None:
        call["id"] = piece.id
        call["function"] = {"name": piece.name, "arguments": piece.arguments, "output": None}
    else:
        call["function"] = {"arguments": piece.arguments}
    details = {"type": "tool_calls", "tool_calls": [call]}
    return {"id": piece.step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
