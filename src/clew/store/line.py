"""The line of a busy thread: messages and runs that wait, in order, until its active run is over.

Waiting is opt-in; by default a busy thread refuses. A held message is not in the thread yet, a held
run does not lock it. When the active run ends, in the same transaction, messages go into the thread
up to the next held run, and that run may start.
"""

from sqlalchemy import Table, func, null, select, update

from clew.store.statement import NextSeq, Row, Statement, Transaction, constant, param
from clew.store.tables import IS_HELD, messages, runs, threads


def _last_place(table: Table) -> Statement:
    return Statement(select(func.max(table.c.held)).where(table.c.thread_id == param("thread_id"), IS_HELD))


LAST_PLACES = (_last_place(messages), _last_place(runs))
SELECT_NEXT_RUN = Statement(
    select(runs.c.id, runs.c.held)
    .where(runs.c.thread_id == param("thread_id"), IS_HELD)
    .order_by(runs.c.held)
    .limit(constant(1))
    .offset(constant(0))
)
SELECT_HELD_MESSAGES = Statement(
    select(messages.c.id, messages.c.held)
    .where(messages.c.thread_id == param("thread_id"), IS_HELD)
    .order_by(messages.c.held)
)
# A new seq: what waited comes after what was said meanwhile.
RELEASE_MESSAGE = Statement(
    update(messages).where(messages.c.id == param("message_id")).values(held=null(), seq=NextSeq(messages))
)
RELEASE_RUN = Statement(
    update(runs)
    .where(runs.c.id == param("run_id"))
    .values(
        held=null(),
        expires_at=runs.c.expires_at - runs.c.created_at + param("now"),
        version=runs.c.version + constant(1),
    )
)

LET_IN = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"))
    .values(live_run=param("run_id"), waiting=threads.c.waiting - param("let_in"))
)


async def next_place(tx: Transaction, thread_id: str) -> int:
    """Return the place at the end of a thread's line."""
    last = [await tx.one(statement, {"thread_id": thread_id}) for statement in LAST_PLACES]
    return 1 + max((row[0] or 0) for row in last if row is not None)


async def release(tx: Transaction, thread_id: str, now: int) -> str | None:
    """Let in what waits for a thread that has no live run; return the id of the run that may start."""
    keys = {"thread_id": thread_id}
    run: Row | None = await tx.one(SELECT_NEXT_RUN, keys)
    waiting = await tx.all(SELECT_HELD_MESSAGES, keys)
    let_in = [message_id for message_id, place in waiting if run is None or place < run[1]]
    for message_id in let_in:
        await tx.run(RELEASE_MESSAGE, {"message_id": message_id})
    if run is None:
        await tx.run(LET_IN, {**keys, "run_id": None, "let_in": len(let_in)})
        return None
    await tx.run(RELEASE_RUN, {"run_id": run[0], "now": now})
    await tx.run(LET_IN, {**keys, "run_id": run[0], "let_in": len(let_in) + 1})
    return str(run[0])
