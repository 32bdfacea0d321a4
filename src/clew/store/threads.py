"""Threads in the store."""

from sqlalchemy import delete, insert, select, update

from clew.core.records import Thread
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, param
from clew.store.tables import IS_LIVE, messages, runs, steps, threads

_THREAD = Mapper(threads, Thread)
_ONE = (threads.c.id == param("id"), threads.c.project == param("project"))

INSERT_THREAD = Statement(insert(threads), columns=_THREAD.names)
SELECT_THREAD = Statement(select(*_THREAD.columns).where(*_ONE))
SELECT_LOCK = Statement(
    select(
        threads.c.id,
        select(runs.c.id).where(runs.c.thread_id == threads.c.id, IS_LIVE).scalar_subquery(),
    ).where(*_ONE)
)
UPDATE_THREAD = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"), threads.c.project == param("thread_project"))
    .values(metadata=param("metadata"), tool_resources=param("tool_resources"))
)
DELETE_THREAD = Statement(delete(threads).where(*_ONE))
DELETE_CHILDREN = [
    Statement(delete(table).where(table.c.thread_id == param("thread_id")))
    for table in (steps, messages, runs)
]


async def add(tx: Transaction, thread: Thread) -> None:
    """Store a new thread."""
    await tx.run(INSERT_THREAD, _THREAD.params(thread))


async def get(tx: Transaction, project: str, thread_id: str) -> Thread | None:
    """Return a thread of the project, or None."""
    row = await tx.one(SELECT_THREAD, {"id": thread_id, "project": project})
    return None if row is None else _THREAD.read(row)


async def lock(tx: Transaction, project: str, thread_id: str) -> tuple[bool, str | None]:
    """Return whether the project has the thread, and the id of the run that locks it, if any."""
    row = await tx.one(SELECT_LOCK, {"id": thread_id, "project": project})
    return (False, None) if row is None else (True, row[1])


async def save(tx: Transaction, thread: Thread) -> None:
    """Store a thread that has changed."""
    values = _THREAD.params(thread)
    await tx.run(
        UPDATE_THREAD,
        {
            "metadata": values["metadata"],
            "tool_resources": values["tool_resources"],
            "thread_id": thread.id,
            "thread_project": thread.project,
        },
    )


async def remove(tx: Transaction, project: str, thread_id: str) -> bool:
    """Delete a thread with its messages, runs and steps. Return whether there was one."""
    if await tx.one(SELECT_THREAD, {"id": thread_id, "project": project}) is None:
        return False
    for statement in DELETE_CHILDREN:
        await tx.run(statement, {"thread_id": thread_id})
    return await tx.run(DELETE_THREAD, {"id": thread_id, "project": project}) > 0


async def page(tx: Transaction, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's threads."""
    return await pages.page(tx, _THREAD, wanted, project=project)
