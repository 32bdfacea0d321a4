"""Daily token budgets: what a project has used on one day, and may still use."""

from sqlalchemy import insert, select, update

from clew.store.statement import Statement, Transaction, param
from clew.store.tables import usage_by_day

_DAY = 24 * 3600 * 1000

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


async def count(tx: Transaction, project: str, tokens: int, now: int) -> None:
    """Book tokens that a run has used.

    Every run of a project that ends meets the others at this row: count last, right before the commit.
    """
    day = now // _DAY
    if not await tx.run(COUNT_DAY, {"of_project": project, "on_day": day, "tokens": tokens}):
        await tx.run(BEGIN_DAY, {"project": project, "day": day, "tokens": tokens})


async def left_today(tx: Transaction, project: str, budget: int | None, now: int) -> int | None:
    """Return the tokens that a project may still use today, of a daily budget."""
    if budget is None:
        return None
    row = await tx.one(SELECT_DAY, {"project": project, "day": now // _DAY})
    return max(0, budget - (row[0] if row is not None else 0))
