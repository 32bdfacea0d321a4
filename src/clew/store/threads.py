"""Threads in the store."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import delete, exists, func, insert, select, update

from clew.core.records import Run, Thread
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, batches, constant, param
from clew.store.tables import messages, runs, steps, thread_tags, threads, webhooks

_THREAD = Mapper(threads, Thread)
_ONE = (threads.c.id == param("id"), threads.c.project == param("project"))

INSERT_THREAD = Statement(insert(threads), columns=[*_THREAD.names, "message_count", "live_run"])
SELECT_THREAD = Statement(select(*_THREAD.columns).where(*_ONE))
# Whoever writes in a thread holds its row first, so that everything in a thread happens in one order.
HOLD_THREAD = Statement(select(threads.c.seq).where(*_ONE).with_for_update(key_share=True))
HOLD_LOCK = Statement(
    select(threads.c.live_run, threads.c.token_budget, threads.c.tokens_used)
    .where(*_ONE)
    .with_for_update(key_share=True)
)
# The conditions stand in the row itself: PostgreSQL compares them again when it has waited for the row.
TAKE = Statement(
    update(threads)
    .where(
        threads.c.id == param("thread_id"),
        threads.c.live_run.is_(None),
        threads.c.tokens_used == func.coalesce(param("tokens_used"), threads.c.tokens_used),
    )
    .values(live_run=param("run_id"))
)
JOIN_LINE = Statement(
    update(threads).where(threads.c.id == param("thread_id")).values(waiting=threads.c.waiting + constant(1))
)
_FOR_RUN = (
    select(
        threads.c.live_run,
        threads.c.waiting,
        exists()
        .select_from(webhooks)
        .where(webhooks.c.project == threads.c.project, webhooks.c.disabled_at.is_(None)),
    )
    .where(threads.c.id == param("thread_id"))
    .with_for_update(key_share=True, of=threads)
)
HOLD_FOR_RUN = Statement(_FOR_RUN)
HOLD_WITHOUT_LINE = Statement(_FOR_RUN.where(threads.c.waiting == constant(0)))
COUNT = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"))
    .values(
        message_count=threads.c.message_count + param("messages"),
        tokens_used=threads.c.tokens_used + param("tokens"),
        live_run=func.nullif(threads.c.live_run, param("ended")),
        waiting=threads.c.waiting - param("left_line"),
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
    select(func.max(runs.c.created_at), func.max(runs.c.ended_at)).where(
        runs.c.thread_id == param("thread_id")
    )
)
DELETE_CHILDREN = [
    Statement(delete(table).where(table.c.thread_id == param("thread_id")))
    for table in (steps, messages, runs)
]


async def add(
    tx: Transaction,
    thread: Thread,
    begins_with: Sequence[Write] = (),
    *,
    message_count: int = 0,
    live_run: str | None = None,
    last: bool = False,
) -> None:
    """Store a new thread and what it begins with.

    Args:
        begins_with: what stores its messages, ``message_count`` of them, and its live run.
        last: whether nothing else is written with it.
    """
    values = {**_THREAD.params(thread), "message_count": message_count, "live_run": live_run}
    first, *more = batches([Write(INSERT_THREAD, values), *begins_with])
    await tx.write((), first, last=last and not more and not thread.metadata)
    for batch in more:
        await tx.write((), batch)
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


class RowForRun(NamedTuple):
    """What the end of a run must know of its thread, as :data:`HOLD_FOR_RUN` selects it."""

    live_run: str | None
    waiting: int
    has_webhooks: bool


class Lock(NamedTuple):
    """What stands in the way of a new run or message: the run that is active, and what is left to spend.

    ``tokens_left`` are those of the thread's budget; None for any number.
    """

    active: str | None
    tokens_left: int | None


async def lock(tx: Transaction, project: str, thread_id: str) -> Lock | None:
    """Hold the thread and say what locks it; None if the project has no such thread."""
    row = await tx.hold(HOLD_LOCK, {"id": thread_id, "project": project})
    if row is None:
        return None
    return lock_of(*row)


def lock_of(live_run: str | None, token_budget: int | None, tokens_used: int) -> Lock:
    """Return what a thread's row says of its lock."""
    return Lock(live_run, None if token_budget is None else max(0, token_budget - tokens_used))


def counted(before: Run, after: Run, messages: int) -> Write:
    """Return what counts what a run brings to its thread, and sets the thread free if the run is over."""
    ended = not after.status.live
    counts = {
        "thread_id": after.thread_id,
        "messages": messages,
        "tokens": after.usage.total_tokens if ended else 0,
        "ended": after.id if ended else None,
        "left_line": int(before.held is not None and ended),
    }
    return Write(COUNT, counts)


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
    held = await lock(tx, project, thread_id)
    if held is None or held.active is not None:
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
