"""Threads: created with their first messages, read, changed, deleted with all that is in them."""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import Decision, RunState
from clew.core.errors import NotFound, ThreadChanged
from clew.core.events import Started
from clew.core.journal import JUMP
from clew.core.options import Json
from clew.core.records import Message, Run, Thread
from clew.core.states import RunStatus
from clew.ids import THREAD
from clew.service import resources
from clew.service.commands import Given, NewThread
from clew.service.context import Services
from clew.service.messages import draft as draft_message
from clew.service.once import Key, once
from clew.service.vector_stores import Making, making
from clew.store import messages, runs, threads
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction


async def create(services: Services, project: str, new: NewThread, key: Key | None = None) -> Thread:
    """Create a thread with the messages that it begins with, all or nothing.

    Raises:
        KeyReused: the key was used for another request.
    """
    now = services.process.clock.now()
    thread, first = draft(services, project, new, now)
    function = partial(add, thread=thread, first=first, given=new.resources, make=making(services, now))
    made = (await once(services, project, key, function, lambda stored: stored, Thread)).receipt
    if resources.has_to_read(first, new.resources):
        services.wake_ingestion()
    return made


def draft(services: Services, project: str, new: NewThread, now: int) -> tuple[Thread, list[Message]]:
    """Return the records of a thread and of its first messages, not stored yet."""
    thread = Thread(
        id=services.process.ids.new(THREAD),
        project=project,
        created_at=now,
        metadata=new.metadata,
        token_budget=new.token_budget,
    )
    return thread, [draft_message(services, project, thread.id, each, now) for each in new.messages]


async def add(
    tx: Transaction, thread: Thread, first: Sequence[Message], given: Given, make: Making
) -> Thread:
    """Store a thread with its first messages; return it with what its tools work on.

    Raises:
        NotFound: the project has no such file or vector store.
    """
    if not given.plain:
        settled = await resources.settled(tx, make, thread.project, given, of_thread=True)
        thread = replace(thread, tool_resources=settled)
    begins_with = [messages.insertion(message) for message in first]
    attaches = resources.needs_files(first)
    last = given.plain and not attaches
    await threads.add(tx, thread, begins_with, message_count=len(first), last=last)
    if not attaches:
        return thread
    await resources.attach(tx, make, thread.project, thread.id, first, "messages")
    stored = await threads.get(tx, thread.project, thread.id)
    return stored or thread


async def read(services: Services, project: str, thread_id: str) -> Thread:
    """Return a thread.

    Raises:
        NotFound: there is none.
    """
    thread = await services.db.fetch(threads.get, project, thread_id)
    if thread is None:
        raise NotFound("thread", thread_id)
    return thread


async def update(services: Services, project: str, thread_id: str, fields: Json) -> Thread:
    """Change fields of a thread, objects as a whole; return it as it is now.

    Raises:
        NotFound: there is none.
    """
    make = making(services, services.process.clock.now())
    changed = await services.db.write(_update, project, thread_id, fields, make)
    if resources.has_to_read((), fields.get("tool_resources")):
        services.wake_ingestion()
    return changed


async def _update(tx: Transaction, project: str, thread_id: str, fields: Json, make: Making) -> Thread:
    await threads.hold(tx, project, thread_id)
    if (given := fields.get("tool_resources")) is not None:
        settled = await resources.settled(tx, make, project, given, of_thread=True)
        fields = fields | {"tool_resources": settled}
    thread = await threads.get(tx, project, thread_id)
    if thread is None:
        raise NotFound("thread", thread_id)
    changed = replace(thread, **fields)
    await threads.save(tx, changed)
    return changed


async def delete(
    services: Services, project: str, thread_id: str, *, unchanged_since: int | None = None
) -> None:
    """Delete a thread with all that is in it. A run that is still active is cancelled first.

    With ``unchanged_since``, seconds since the epoch, a thread in which anything has happened after that
    moment stays.

    Raises:
        NotFound: there is none.
        ThreadChanged: it has changed since.
    """
    cancelled = await services.db.write(
        _delete, project, thread_id, services.process.clock.now(), unchanged_since
    )
    if cancelled is not None:
        run_id = cancelled.state.run.id
        services.dispatch.interrupt(run_id)
        services.events.committed(run_id, cancelled.entries)


async def _delete(
    tx: Transaction, project: str, thread_id: str, now: int, unchanged_since: int | None
) -> Decision | None:
    lock = await threads.lock(tx, project, thread_id)
    if lock is None:
        raise NotFound("thread", thread_id)
    if unchanged_since is not None:
        last = unchanged_since * 1000 + 999
        if not await threads.is_unchanged(tx, project, thread_id, last):
            raise ThreadChanged(thread_id, unchanged_since)
    run = await runs.get(tx, project, thread_id, lock.active) if lock.active else None
    await threads.remove(tx, project, thread_id)
    if run is not None and run.waits_for is not None:  # else whoever works on it books what it has used
        await runs.book_gone(tx, run, run.usage.total_tokens, now)
    return None if run is None else _cancelled(run, now)


def _cancelled(run: Run, now: int) -> Decision:
    """Return what the readers of a deleted run are told, after anything its worker has told them."""
    cancelling = replace(run, status=RunStatus.CANCELLING, position=run.position + JUMP)
    return decide(RunState(cancelling), Started(), now)


async def page(services: Services, project: str, wanted: PageRequest, metadata: Mapping[str, str]) -> Page:
    """Return one page of the project's threads, or of those that have all of ``metadata``."""
    read = services.db.scan if metadata else services.db.fetch
    return await read(threads.page, project, wanted, metadata)
