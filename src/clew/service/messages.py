"""Messages: written, read, deleted."""

from functools import partial

from msgspec.structs import replace

from clew.core.errors import NotFound, ThreadBusy
from clew.core.records import Message
from clew.ids import MESSAGE
from clew.service import resources
from clew.service.commands import NewMessage
from clew.service.context import Services
from clew.service.once import Key, once
from clew.service.vector_stores import Making, making
from clew.store import line, messages, threads
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction


async def add(
    services: Services,
    project: str,
    thread_id: str,
    new: NewMessage,
    *,
    wait: bool = False,
    key: Key | None = None,
) -> Message:
    """Add a message to a thread that no run has locked; to a busy one if it may ``wait`` in line.

    Raises:
        NotFound: there is no such thread.
        ThreadBusy: a run is active, and the message may not wait.
        ThreadFull: it is one message too many.
        KeyReused: the key was used for another request.
    """
    now = services.process.clock.now()
    message = draft(services, project, thread_id, new, now)
    make = making(services, now) if resources.needs_files([message]) else None
    function = partial(_add, message=message, wait=wait, make=make)
    made = (await once(services, project, key, function, lambda _: message, Message)).receipt
    if message.attachments:
        services.wake_ingestion()
    return made


def draft(services: Services, project: str, thread_id: str, new: NewMessage, now: int) -> Message:
    """Return the record of a message that a client writes, not stored yet."""
    return Message(
        id=services.process.ids.new(MESSAGE),
        project=project,
        thread_id=thread_id,
        created_at=now,
        role=new.role,
        content=new.content,
        completed_at=now,
        attachments=new.attachments,
        metadata=new.metadata,
    )


async def _add(tx: Transaction, message: Message, wait: bool, make: Making | None) -> None:
    if make is not None:
        await threads.hold(tx, message.project, message.thread_id)
        await resources.attach(tx, make, message.project, message.thread_id, [message])
    elif await messages.add_if_free(tx, message):
        return
    lock = await threads.lock(tx, message.project, message.thread_id)
    if lock is None:
        raise NotFound("thread", message.thread_id)
    if lock.active is not None and wait:
        message = replace(message, held=await line.next_place(tx, message.thread_id))
    elif lock.active is not None:
        raise ThreadBusy(message.thread_id, lock.active, "message")
    await messages.add(tx, message)


async def read(services: Services, project: str, thread_id: str, message_id: str) -> Message:
    """Return a message of the thread.

    Raises:
        NotFound: there is none.
    """
    message = await services.db.fetch(messages.get, project, thread_id, message_id)
    if message is None:
        raise NotFound("message", message_id)
    return message


async def update(
    services: Services, project: str, thread_id: str, message_id: str, metadata: dict[str, str] | None
) -> Message:
    """Change a message's metadata, if any is given; return the message as it is now.

    Raises:
        NotFound: there is none.
    """
    return await services.db.write(_update, project, thread_id, message_id, metadata)


async def _update(
    tx: Transaction, project: str, thread_id: str, message_id: str, metadata: dict[str, str] | None
) -> Message:
    message = await messages.get(tx, project, thread_id, message_id)
    if message is None:
        raise NotFound("message", message_id)
    if metadata is None:
        return message
    changed = replace(message, metadata=metadata)
    await messages.save_metadata(tx, changed)
    return changed


async def delete(services: Services, project: str, thread_id: str, message_id: str) -> None:
    """Delete a message: later lists and later runs don't see it.

    Raises:
        NotFound: there is none.
    """
    if not await services.db.write(messages.remove, project, thread_id, message_id):
        raise NotFound("message", message_id)


async def page(
    services: Services, project: str, thread_id: str, wanted: PageRequest, run_id: str | None = None
) -> Page:
    """Return one page of a thread's messages, or of those that one run wrote.

    Raises:
        NotFound: there is no such thread.
    """
    found = await services.db.fetch(messages.page, project, thread_id, wanted, run_id)
    if not found.items and await services.db.fetch(threads.get, project, thread_id) is None:
        raise NotFound("thread", thread_id)
    return found
