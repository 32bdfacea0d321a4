"""Server-sent events of a run, as both vendors' clients read them.

A frame is exactly ``event: NAME``, ``data: ONE-LINE-JSON`` and an empty line, with LF only: the
azure-ai-agents parser loses events that end in CRLF, and fails on frames without an event's name.
"""

import msgspec

from clew.bus.events import CallDelta, RunEvent, Subject, TextDelta
from clew.core.records import Json, Message, Run, Step, Thread
from clew.wire import objects

_encode = msgspec.json.Encoder().encode

DONE = b"event: done\ndata: [DONE]\n\n"
"""The last frame. Nothing may follow it."""

KEEP_ALIVE = b": keep-alive\n"
"""A comment without an empty line: it belongs to the next frame, and no client trips over it."""


def frame(event: RunEvent) -> bytes:
    """Return an event's frame."""
    payload = _encode(_payload(event.subject, event.waiting))
    return b"event: thread.%b\ndata: %b\n\n" % (event.name.encode(), payload)


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
        case TextDelta():
            return _text_delta(subject)
        case CallDelta():
            return _call_delta(subject)


def _text_delta(delta: TextDelta) -> Json:
    """Exactly three keys: a sample of azure-ai-agents fails on any other."""
    if delta.refusal:
        part: Json = {"index": delta.part, "type": "refusal", "refusal": delta.value}
    else:
        text: Json = {"value": delta.value, "annotations": []} if delta.first else {"value": delta.value}
        part = {"index": delta.part, "type": "text", "text": text}
    return {"id": delta.message_id, "object": "thread.message.delta", "delta": {"content": [part]}}


def _call_delta(delta: CallDelta) -> Json:
    """Clients add strings up, so an id or a name that came twice would be there twice."""
    call: Json = {"index": delta.index, "type": "function"}
    if delta.id is not None:
        call["id"] = delta.id
        call["function"] = {"name": delta.name, "arguments": delta.arguments, "output": None}
    else:
        call["function"] = {"arguments": delta.arguments}
    details = {"type": "tool_calls", "tool_calls": [call]}
    return {"id": delta.step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
