"""Messages: /threads/{thread_id}/messages."""

from clew.http.answers import Json
from clew.http.call import Call, page_request, waits_in_line
from clew.http.idempotency import key_of
from clew.service import messages
from clew.wire import objects
from clew.wire.bodies import new_message
from clew.wire.objects import Deleted, ListObject, MessageObject
from clew.wire.requests import CreateMessage, UpdateMetadata


async def create(call: Call[CreateMessage]) -> Json[MessageObject]:
    """Add a message to a thread that no run has locked; to a busy one if it may wait in line."""
    new, wait = new_message(call.body, call.dialect), waits_in_line(call)
    message = await messages.add(
        call.services, call.project, call.path["thread_id"], new, wait=wait, key=key_of(call)
    )
    return Json(objects.message(message))


async def get(call: Call[None]) -> Json[MessageObject]:
    """Read a message."""
    path = call.path
    message = await messages.read(call.services, call.project, path["thread_id"], path["message_id"])
    return Json(objects.message(message))


async def update(call: Call[UpdateMetadata]) -> Json[MessageObject]:
    """Change a message's metadata."""
    path, metadata = call.path, call.body.metadata
    message = await messages.update(
        call.services, call.project, path["thread_id"], path["message_id"], metadata
    )
    return Json(objects.message(message))


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete a message: later lists and later runs don't see it."""
    message_id = call.path["message_id"]
    await messages.delete(call.services, call.project, call.path["thread_id"], message_id)
    return Json(Deleted(message_id, "thread.message.deleted"))


async def list_(call: Call[None]) -> Json[ListObject[MessageObject]]:
    """List a thread's messages, newest first; with ``run_id``, those that one run wrote."""
    wanted, run_id = page_request(call), call.query.get("run_id") or None
    page = await messages.page(call.services, call.project, call.path["thread_id"], wanted, run_id)
    return Json(objects.listed([objects.message(each) for each in page.items], page.has_more))
