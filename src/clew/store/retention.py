"""Threads in which nothing happens any more: found page by page, deleted one by one."""

from typing import NamedTuple

from sqlalchemy import func, select

from clew.store import threads as thread_rows
from clew.store.statement import Statement, Transaction, constant, param
from clew.store.tables import IS_SHOWN, messages, runs, threads

_PAGE = 200

_NEWEST = {
    table: select(table.c.created_at)
    .where(table.c.thread_id == threads.c.id)
    .order_by(table.c.seq.desc())
    .limit(constant(1))
    .offset(constant(0))
    .scalar_subquery()
    for table in (messages, runs)
}
# The run that was made last need not be the one that ended last.
_LAST_END = select(func.max(runs.c.ended_at)).where(runs.c.thread_id == threads.c.id).scalar_subquery()
SELECT_PAGE = Statement(
    select(
        threads.c.seq,
        threads.c.id,
        threads.c.live_run,
        threads.c.waiting,
        threads.c.created_at,
        *_NEWEST.values(),
        _LAST_END,
    )
    .where(threads.c.project == param("project"), IS_SHOWN, threads.c.seq > param("after"))
    .order_by(threads.c.seq)
    .limit(constant(_PAGE))
    .offset(constant(0))
)


class IdlePage(NamedTuple):
    """Idle threads among those that were looked at; ``after`` is where to go on, None at the end."""

    threads: list[str]
    after: int | None


async def idle(tx: Transaction, project: str, before: int, after: int) -> IdlePage:
    """Look at the next threads of a project for such as nothing has happened in since a moment."""
    rows = await tx.all(SELECT_PAGE, {"project": project, "after": after})
    found = [
        thread_id
        for _, thread_id, live_run, waiting, *moments in rows
        if live_run is None and not waiting and max(moment or 0 for moment in moments) < before
    ]
    return IdlePage(found, rows[-1][0] if len(rows) == _PAGE else None)


async def remove(tx: Transaction, project: str, thread_id: str, before: int) -> bool:
    """Delete a thread with all that is its, unless something has happened in it; say whether it is gone."""
    if not await thread_rows.is_unchanged(tx, project, thread_id, before - 1):
        return False
    return await thread_rows.remove(tx, project, thread_id)
