"""What is going on in a database, counted for those who look after it."""

from typing import NamedTuple

from sqlalchemy import func, or_, select

from clew.core.states import LIVE, RunStatus
from clew.core.webhooks import DELIVERY
from clew.store.statement import Statement, Transaction, constant, param
from clew.store.tables import IS_HELD, IS_LIVE, due_work, runs, vector_stores

COUNT_LIVE = Statement(select(runs.c.status, func.count()).where(IS_LIVE).group_by(runs.c.status))
COUNT_HELD = Statement(select(func.count()).select_from(runs).where(IS_HELD))
COUNT_DELIVERIES = Statement(
    select(func.count(), func.min(due_work.c.due)).where(due_work.c.kind == constant(DELIVERY))
)

COUNT_OF_OTHER_EMBEDDERS = Statement(  # two ranges of an index, where "is another" would be none
    select(func.count())
    .select_from(vector_stores)
    .where(or_(vector_stores.c.embedder < param("embedder"), vector_stores.c.embedder > param("embedder")))
)


class Census(NamedTuple):
    """Live runs by status, those that wait in a busy thread's line, and what webhooks are still to be told.

    Times are milliseconds since the epoch; None where there is nothing.
    """

    live: dict[RunStatus, int]
    in_line: int
    deliveries: int
    oldest_delivery_due: int | None


async def take(tx: Transaction) -> Census:
    """Count."""
    rows = await tx.all(COUNT_LIVE, {})
    held = await tx.one(COUNT_HELD, {})
    outbox = await tx.one(COUNT_DELIVERIES, {})
    live = {RunStatus(status): count for status, count in rows}
    return Census(
        {status: live.get(status, 0) for status in sorted(LIVE)},
        held[0] if held else 0,
        outbox[0] if outbox else 0,
        outbox[1] if outbox else None,
    )


async def of_other_embedders(tx: Transaction, embedder: str | None) -> int:
    """Count vector stores whose vectors another embedder made; None made none."""
    row = await tx.one(COUNT_OF_OTHER_EMBEDDERS, {"embedder": embedder or ""})
    return int(row[0]) if row else 0
