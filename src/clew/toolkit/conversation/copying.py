"""From a transcript to a thread: in this service or another."""

from collections.abc import Sequence

import anyio

from clew.toolkit.conversation.transcript import Transcript
from clew.toolkit.errors import RestoreIncomplete
from clew.toolkit.records import Content, Json, Message, Thread
from clew.toolkit.service import Service

_AT_ONCE = 32
"""Messages that a thread may be created with; OpenAI's schema allowed no more."""

_MOST_METADATA = 16
_ORIGIN = ("restored_from", "restored_created_at")


async def copy_in(service: Service, transcript: Transcript) -> Thread:
    """Create a thread with a transcript's messages, and check that it holds them.

    What the API can't set is kept as metadata of each message: its old id and time, as
    ``restored_from`` and ``restored_created_at`` (not where 16 pairs are there already). Files don't
    come along: an image file becomes a line of text that names it. Messages without any content are
    left out, since no service takes them.

    Raises:
        RestoreIncomplete: the new thread differs; it was deleted again.
        ServiceError: the service refused; likewise.
    """
    wanted = [message for message in transcript.messages if _content(message)]
    bodies = [_body(message) for message in wanted]
    thread = await service.acreate_thread(
        messages=bodies[:_AT_ONCE], metadata=transcript.thread.metadata or None
    )
    try:
        for body in bodies[_AT_ONCE:]:
            await service.acreate_message(
                thread.id, body["content"], role=body["role"], metadata=body["metadata"]
            )
        await _compare(service, thread.id, bodies)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await service.adelete_thread(thread.id)
        raise
    return thread


async def _compare(service: Service, thread_id: str, bodies: Sequence[Json]) -> None:
    found = await service.aall_messages(thread_id)
    differences = []
    if len(found) != len(bodies):
        differences.append(f"{len(found)} messages instead of {len(bodies)}")
    for number, (message, body) in enumerate(zip(found, bodies, strict=False), start=1):
        if message.role != body["role"] or _content(message) != body["content"]:
            differences.append(f"message {number} differs")
    if differences:
        raise RestoreIncomplete(f"The thread wasn't restored: {'; '.join(differences)}.", differences)


def _body(message: Message) -> Json:
    metadata = dict(message.metadata or {})
    origin = dict(zip(_ORIGIN, (message.id, str(message.created_at)), strict=True))
    if message.id and len(metadata | origin) <= _MOST_METADATA:
        metadata = origin | metadata  # where it first came from stays, over any number of copies
    return {"role": message.role, "content": _content(message), "metadata": metadata}


def _content(message: Message) -> list[Json]:
    return [part for part in map(_part, message.content) if part is not None]


def _part(part: Content) -> Json | None:
    if part.image_url is not None:
        url = {name: part.image_url[name] for name in ("url", "detail") if part.image_url.get(name)}
        return {"type": "image_url", "image_url": {"detail": "auto", **url}}
    if part.image_file is not None:
        return {"type": "text", "text": f"[image file {part.image_file.get('file_id')}]"}
    text = part.text.value if part.text is not None else part.refusal
    return {"type": "text", "text": text} if text else None
