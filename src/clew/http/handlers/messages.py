"""Messages: /threads/{thread_id}/messages."""

from functools import partial

from msgspec.structs import replace

from clew.core.records import Message
from clew.http.call import Call, page_request, waits_in_line
from clew.http.handlers.threads import message_of
from clew.http.once import once
from clew.store import line, messages, threads
from clew.store.statement import Transaction
from clew.wire import objects
from clew.wire.errors import invalid, not_found
from clew.wire.objects import Deleted, ListObject, MessageObject
from clew.wire.requests import CreateMessage, UpdateMetadata


async def create(call: Call[CreateMessage]) -> MessageObject:
    """Add a message to a thread that no run has locked; to a busy one if it may wait in line."""
    message = message_of(call, call.path["thread_id"], call.body)
    create = partial(_create, message=message, wait=waits_in_line(call))
    return (await once(call, create, lambda _: objects.message(message), MessageObject)).receipt


async def _create(tx: Transaction, message: Message, wait: bool) -> None:
    if await messages.add_if_free(tx, message):
        return
    lock = await threads.lock(tx, message.project, message.thread_id)
    if lock is None:
        raise not_found("thread", message.thread_id)
    if lock.active is not None and wait:
        message = replace(message, held=await line.next_place(tx, message.thread_id))
    elif lock.active is not None:
        raise invalid(f"Can't add messages to {message.thread_id} while a run {lock.active} is active.")
    await messages.add(tx, message)


async def get(call: Call[None]) -> MessageObject:
    """Read a message."""
    thread_id, message_id = call.path["thread_id"], call.path["message_id"]
    message = await call.services.db.fetch(messages.get, call.project, thread_id, message_id)
    if message is None:
        raise not_found("message", message_id)
    return objects.message(message)


async def update(call: Call[UpdateMetadata]) -> MessageObject:
    """Change a message's metadata."""
    return objects.message(
        await call.services.db.write(
            _update, call.project, call.path["thread_id"], call.path["message_id"], call.body
        )
    )


async def _update(
    tx: Transaction, project: str, thread_id: str, message_id: str, body: UpdateMetadata
) -> Message:
    message = await messages.get(tx, project, thread_id, message_id)
    if message is None:
        raise not_found("message", message_id)
    if body.metadata is None:
        return message
    changed = replace(message, metadata=body.metadata)
    await messages.save_metadata(tx, changed)
    return changed


async def delete(call: Call[None]) -> Deleted:
    """Delete a message: later lists and later runs don't see it."""
    message_id = call.path["message_id"]
    if not await call.services.db.write(messages.remove, call.project, call.path["thread_id"], message_id):
        raise not_found("message", message_id)
    return Deleted(message_id, "thread.message.deleted")


async def list_(call: Call[None]) -> ListObject[MessageObject]:
    """List a thread's messages, newest first; with ``run_id``, those that one run wrote."""
    thread_id, db = call.path["thread_id"], call.services.db
    run_id = call.query.get("run_id") or None
    page = await db.fetch(messages.page, call.project, thread_id, page_request(call), run_id)
    if not page.items and await db.fetch(threads.get, call.project, thread_id) is None:
        raise not_found("thread", thread_id)
    return objects.listed([objects.message(each) for each in page.items], page.has_more)
