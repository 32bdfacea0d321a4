"""Token budgets: what a thread, and a project on one day, has used and may still use."""

from sqlalchemy import insert, select, update

from clew.store.statement import Statement, Transaction, param
from clew.store.tables import threads, usage_by_day

_DAY = 24 * 3600 * 1000

SELECT_THREAD = Statement(
    select(threads.c.token_budget, threads.c.tokens_used).where(threads.c.id == param("thread_id"))
)
COUNT_THREAD = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"))
    .values(tokens_used=threads.c.tokens_used + param("tokens"))
)
SELECT_DAY = Statement(
    select(usage_by_day.c.tokens).where(
        usage_by_day.c.project == param("project"), usage_by_day.c.day == param("day")
    )
)
COUNT_DAY = Statement(
    update(usage_by_day)
    .where(usage_by_day.c.project == param("of_project"), usage_by_day.c.day == param("on_day"))
    .values(tokens=usage_by_day.c.tokens + param("tokens"))
)
BEGIN_DAY = Statement(insert(usage_by_day), columns=["project", "day", "tokens"])


async def count(tx: Transaction, project: str, thread_id: str, tokens: int, now: int) -> None:
    """Book the tokens of a run that is over."""
    await tx.run(COUNT_THREAD, {"thread_id": thread_id, "tokens": tokens})
    day = now // _DAY
    if not await tx.run(COUNT_DAY, {"of_project": project, "on_day": day, "tokens": tokens}):
        await tx.run(BEGIN_DAY, {"project": project, "day": day, "tokens": tokens})


async def left_of_thread(tx: Transaction, thread_id: str) -> int | None:
    """Return the tokens that a thread's runs may still use; None for any number."""
    row = await tx.one(SELECT_THREAD, {"thread_id": thread_id})
    return None if row is None or row[0] is None else max(0, row[0] - row[1])


async def left_today(tx: Transaction, project: str, budget: int | None, now: int) -> int | None:
    """Return the tokens that a project may still use today, of a daily budget."""
    if budget is None:
        return None
    row = await tx.one(SELECT_DAY, {"project": project, "day": now // _DAY})
    return max(0, budget - (row[0] if row is not None else 0))
