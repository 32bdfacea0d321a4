"""Threads in the store."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from clew.core.records import Thread
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, constant, param
from clew.store.tables import IS_LIVE, messages, runs, steps, thread_tags, threads

_THREAD = Mapper(threads, Thread)
_ONE = (threads.c.id == param("id"), threads.c.project == param("project"))

INSERT_THREAD = Statement(insert(threads), columns=_THREAD.names)
SELECT_THREAD = Statement(select(*_THREAD.columns).where(*_ONE))
# Whoever writes in a thread holds its row first, so that everything in a thread happens in one order.
HOLD_THREAD = Statement(select(threads.c.seq).where(*_ONE).with_for_update(key_share=True))
SELECT_LOCK = Statement(
    select(
        select(runs.c.id).where(runs.c.thread_id == threads.c.id, IS_LIVE).scalar_subquery(),
        threads.c.token_budget,
        threads.c.tokens_used,
    ).where(*_ONE)
)
SELECT_ACTIVE = Statement(select(runs.c.id).where(runs.c.thread_id == param("thread_id"), IS_LIVE))
COUNT = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"))
    .values(
        message_count=threads.c.message_count + param("messages"),
        tokens_used=threads.c.tokens_used + param("tokens"),
    )
)
UPDATE_THREAD = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"), threads.c.project == param("thread_project"))
    .values({name: param(name) for name in ("metadata", "tool_resources", "token_budget")})
)
DELETE_THREAD = Statement(delete(threads).where(*_ONE))
_SEQ = select(threads.c.seq).where(threads.c.id == param("thread_id")).scalar_subquery()
INSERT_TAG = Statement(
    insert(thread_tags).values(
        thread_seq=_SEQ, key=param("key"), value=param("value"), project=param("project")
    )
)
DELETE_TAGS = Statement(delete(thread_tags).where(thread_tags.c.thread_seq == _SEQ))
SELECT_NEWEST_MESSAGE = Statement(
    select(messages.c.created_at)
    .where(messages.c.thread_id == param("thread_id"))
    .order_by(messages.c.seq.desc())
    .limit(constant(1))
    .offset(constant(0))
)
SELECT_NEWEST_RUN = Statement(
    select(runs.c.created_at, runs.c.ended_at)
    .where(runs.c.thread_id == param("thread_id"))
    .order_by(runs.c.seq.desc())
    .limit(constant(1))
    .offset(constant(0))
)
DELETE_CHILDREN = [
    Statement(delete(table).where(table.c.thread_id == param("thread_id")))
    for table in (steps, messages, runs)
]


async def add(tx: Transaction, thread: Thread) -> None:
    """Store a new thread."""
    await tx.run(INSERT_THREAD, _THREAD.params(thread))
    await _tag(tx, thread)


async def _tag(tx: Transaction, thread: Thread) -> None:
    for key, value in thread.metadata.items():
        tag = {"thread_id": thread.id, "project": thread.project, "key": key, "value": value}
        await tx.run(INSERT_TAG, tag)


async def get(tx: Transaction, project: str, thread_id: str) -> Thread | None:
    """Return a thread of the project, or None."""
    row = await tx.one(SELECT_THREAD, {"id": thread_id, "project": project})
    return None if row is None else _THREAD.read(row)


async def hold(tx: Transaction, project: str, thread_id: str) -> None:
    """Keep everybody else from writing in the thread until the transaction ends."""
    await tx.hold(HOLD_THREAD, {"id": thread_id, "project": project})


class Lock(NamedTuple):
    """What stands in the way of a new run or message: the run that is active, and what is left to spend.

    ``tokens_left`` are those of the thread's budget; None for any number.
    """

    active: str | None
    tokens_left: int | None


async def lock(tx: Transaction, project: str, thread_id: str) -> Lock | None:
    """Hold the thread and say what locks it; None if the project has no such thread."""
    await hold(tx, project, thread_id)
    row = await tx.one(SELECT_LOCK, {"id": thread_id, "project": project})
    if row is None:
        return None
    active, budget, used = row
    return Lock(active, None if budget is None else max(0, budget - used))


async def active_run(tx: Transaction, thread_id: str) -> str | None:
    """Return the id of the run that locks a thread, if any."""
    row = await tx.one(SELECT_ACTIVE, {"thread_id": thread_id})
    return None if row is None else str(row[0])


async def count(tx: Transaction, thread_id: str, *, messages: int, tokens: int) -> None:
    """Count what a run has brought to a thread, and hold it."""
    await tx.run(COUNT, {"thread_id": thread_id, "messages": messages, "tokens": tokens})


async def save(tx: Transaction, thread: Thread) -> None:
    """Store a thread that has changed."""
    values = _THREAD.params(thread)
    await tx.run(
        UPDATE_THREAD,
        {
            "metadata": values["metadata"],
            "tool_resources": values["tool_resources"],
            "token_budget": values["token_budget"],
            "thread_id": thread.id,
            "thread_project": thread.project,
        },
    )
    await tx.run(DELETE_TAGS, {"thread_id": thread.id})
    await _tag(tx, thread)


async def is_unchanged(tx: Transaction, project: str, thread_id: str, since: int) -> bool:
    """Whether nothing was said, begun or ended in a thread after a moment, and nothing goes on in it."""
    await hold(tx, project, thread_id)
    if await active_run(tx, thread_id) is not None:
        return False
    found = [
        await tx.one(each, {"thread_id": thread_id}) for each in (SELECT_NEWEST_MESSAGE, SELECT_NEWEST_RUN)
    ]
    moments = [moment for row in found if row is not None for moment in row if moment is not None]
    return max(moments, default=0) <= since


async def remove(tx: Transaction, project: str, thread_id: str) -> bool:
    """Delete a thread with its messages, runs and steps. Return whether there was one."""
    await hold(tx, project, thread_id)
    if await tx.one(SELECT_THREAD, {"id": thread_id, "project": project}) is None:
        return False
    await tx.run(DELETE_TAGS, {"thread_id": thread_id})
    for statement in DELETE_CHILDREN:
        await tx.run(statement, {"thread_id": thread_id})
    return await tx.run(DELETE_THREAD, {"id": thread_id, "project": project}) > 0


async def page(tx: Transaction, project: str, wanted: PageRequest, metadata: Mapping[str, str]) -> Page:
    """Return one page of the project's threads, or of those that have all of ``metadata``."""
    return await pages.page(tx, _THREAD, wanted, tags=metadata, project=project)
