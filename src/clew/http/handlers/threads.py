"""Threads: /threads."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import Decision, RunState
from clew.core.events import Started
from clew.core.journal import JUMP
from clew.core.options import Json
from clew.core.records import Message, Run, Thread
from clew.core.states import RunStatus
from clew.core.tools import ToolResources
from clew.http.call import LATEST, Call, page_request, whole_number
from clew.http.once import once
from clew.ids import MESSAGE, THREAD
from clew.store import messages, runs, threads
from clew.store.statement import Transaction
from clew.wire import objects
from clew.wire.bodies import check_resources, new_message
from clew.wire.errors import changed, invalid, not_found
from clew.wire.objects import Deleted, ListObject, ThreadObject
from clew.wire.requests import (
    AZURE_MESSAGE_TEXT,
    OPENAI_MESSAGE_TEXT,
    CreateMessage,
    CreateThread,
    UpdateThread,
)

_MOST_PAIRS = 16


async def create(call: Call[CreateThread]) -> ThreadObject:
    """Create a thread, with the messages that the body brings."""
    thread, first = new_thread(call, call.body)
    create = partial(add, thread=thread, first=first)
    return (await once(call, create, lambda _: objects.thread(thread), ThreadObject)).receipt


async def get(call: Call[None]) -> ThreadObject:
    """Read a thread."""
    thread_id = call.path["thread_id"]
    thread = await call.services.db.fetch(threads.get, call.project, thread_id)
    if thread is None:
        raise not_found("thread", thread_id)
    return objects.thread(thread)


async def update(call: Call[UpdateThread]) -> ThreadObject:
    """Change a thread's metadata or tool resources."""
    check_resources(call.body.tool_resources, "tool_resources")
    given = {
        "metadata": call.body.metadata,
        "tool_resources": call.body.tool_resources,
        "token_budget": call.body.token_budget,
    }
    fields = {name: value for name, value in given.items() if value is not None}
    thread_id = call.path["thread_id"]
    return objects.thread(await call.services.db.write(_update, call.project, thread_id, fields))


async def _update(tx: Transaction, project: str, thread_id: str, fields: Json) -> Thread:
    await threads.hold(tx, project, thread_id)
    thread = await threads.get(tx, project, thread_id)
    if thread is None:
        raise not_found("thread", thread_id)
    changed = replace(thread, **fields)
    await threads.save(tx, changed)
    return changed


async def delete(call: Call[None]) -> Deleted:
    """Delete a thread with all that is in it. A run that is still active is cancelled first.

    With ``unchanged_since``, a thread in which anything has happened after that moment stays.
    """
    thread_id, services = call.path["thread_id"], call.services
    asked = call.query.get("unchanged_since")
    since = None if asked is None else whole_number(asked, "unchanged_since", least=0, most=LATEST)
    cancelled = await services.db.write(_delete, call.project, thread_id, call.now, since)
    if cancelled is not None:
        run_id = cancelled.state.run.id
        services.dispatch.interrupt(run_id)
        services.events.committed(run_id, cancelled.entries)
    return Deleted(thread_id, "thread.deleted")


async def _delete(
    tx: Transaction, project: str, thread_id: str, now: int, unchanged_since: int | None
) -> Decision | None:
    lock = await threads.lock(tx, project, thread_id)
    if lock is None:
        raise not_found("thread", thread_id)
    if unchanged_since is not None:
        last = unchanged_since * 1000 + 999
        if not await threads.is_unchanged(tx, project, thread_id, last):
            raise changed(f"Thread '{thread_id}' has changed since {unchanged_since}.")
    run = await runs.get(tx, project, thread_id, lock.active) if lock.active else None
    await threads.remove(tx, project, thread_id)
    return None if run is None else _cancelled(run, now)


def _cancelled(run: Run, now: int) -> Decision:
    """Return what the readers of a deleted run are told, after anything its worker has told them."""
    cancelling = replace(run, status=RunStatus.CANCELLING, position=run.position + JUMP)
    return decide(RunState(cancelling), Started(), now)


async def list_(call: Call[None]) -> ListObject[ThreadObject]:
    """List the project's threads; ``metadata[key]=value`` narrows it, also several times.

    Azure has this list; OpenAI's users asked for it since day one.
    """
    wanted, metadata = page_request(call), _metadata_filter(call)
    read = call.services.db.scan if metadata else call.services.db.fetch
    page = await read(threads.page, call.project, wanted, metadata)
    return objects.listed([objects.thread(each) for each in page.items], page.has_more)


def _metadata_filter(call: Call[None]) -> dict[str, str]:
    """Return the pairs that ``metadata[key]=value`` in the query asks for."""
    prefix, suffix = "metadata[", "]"
    pairs = {
        name.removeprefix(prefix).removesuffix(suffix): value
        for name, value in call.query.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
    if len(pairs) > _MOST_PAIRS:
        message = f"Invalid 'metadata': too many properties. Expected at most {_MOST_PAIRS}."
        raise invalid(message, param="metadata", code="object_above_max_properties")
    return pairs


def new_thread(call: Call[Any], body: CreateThread) -> tuple[Thread, list[Message]]:
    """Return the thread that a body describes, and its messages."""
    check_resources(body.tool_resources, "tool_resources")
    thread = Thread(
        id=call.services.ids.new(THREAD),
        project=call.project,
        created_at=call.now,
        metadata=body.metadata or {},
        tool_resources=body.tool_resources or ToolResources(),
        token_budget=body.token_budget,
    )
    return thread, new_messages(call, thread.id, body.messages or (), "messages")


def new_messages(
    call: Call[Any], thread_id: str, bodies: Sequence[CreateMessage], path: str
) -> list[Message]:
    """Return the messages that a list in a body describes."""
    return [message_of(call, thread_id, body, path=f"{path}[{index}].") for index, body in enumerate(bodies)]


def message_of(call: Call[Any], thread_id: str, body: CreateMessage, path: str = "") -> Message:
    """Return the message that a body describes; ``path`` is where it stands in a larger body."""
    return new_message(
        body,
        id=call.services.ids.new(MESSAGE),
        project=call.project,
        thread_id=thread_id,
        now=call.now,
        path=path,
        longest=AZURE_MESSAGE_TEXT if call.azure else OPENAI_MESSAGE_TEXT,
    )


async def add(tx: Transaction, thread: Thread, first: Sequence[Message]) -> None:
    """Store a thread and its first messages, all or nothing."""
    begins_with = [messages.insertion(message) for message in first]
    await threads.add(tx, thread, begins_with, message_count=len(first), last=True)
