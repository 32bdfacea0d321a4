"""What is known of a run besides its own rows: who took it over, and what its thread is busy with."""

from typing import NamedTuple

from sqlalchemy import func, select

from clew.core.records import Run
from clew.store.statement import Statement, Transaction, constant, param
from clew.store.tables import IS_HELD, messages, runs, takeovers, threads

SELECT_TAKEOVERS = Statement(
    select(takeovers.c.at, takeovers.c.turn, takeovers.c.from_worker)
    .where(takeovers.c.run_id == param("run_id"))
    .order_by(takeovers.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
SELECT_ENDED_AT = Statement(select(runs.c.ended_at).where(runs.c.id == param("id")))
SELECT_LIVE_RUN = Statement(
    select(runs.c.id, runs.c.status)
    .join_from(threads, runs, runs.c.id == threads.c.live_run)
    .where(threads.c.id == param("thread_id"))
)
COUNT_BEFORE = Statement(
    select(func.count()).where(runs.c.thread_id == param("thread_id"), IS_HELD, runs.c.held < param("place"))
)
COUNT_HELD_MESSAGES = Statement(
    select(func.count()).where(messages.c.thread_id == param("thread_id"), messages.c.held.is_not(None))
)

MOST_TAKEOVERS = 1_000


class Takeover(NamedTuple):
    """A claim of a run that another claim had begun to work on.

    Attributes:
        at: when, in milliseconds.
        turn: which turn was under way.
        former: whose the run was; None if it had been given up or parked.
    """

    at: int
    turn: int
    former: str | None


class Line(NamedTuple):
    """A busy thread: its live run, if it has one, and what waits.

    Attributes:
        before: runs that wait before the one that was asked about.
        messages: clients' messages that wait.
    """

    live: str | None
    live_status: str | None
    before: int
    messages: int


class Surroundings(NamedTuple):
    """What is known of a run besides its own rows. ``ended_at`` is None while it is live."""

    ended_at: int | None
    takeovers: list[Takeover]
    line: Line


async def surroundings(tx: Transaction, run: Run) -> Surroundings:
    """Return what stands around a run."""
    ended = await tx.one(SELECT_ENDED_AT, {"id": run.id})
    taken = await tx.all(SELECT_TAKEOVERS, {"run_id": run.id, "limit": MOST_TAKEOVERS})
    thread = {"thread_id": run.thread_id}
    live = await tx.one(SELECT_LIVE_RUN, thread)
    before = await tx.one(COUNT_BEFORE, {**thread, "place": run.held}) if run.held is not None else None
    waiting = await tx.one(COUNT_HELD_MESSAGES, thread)
    active, status = live or (None, None)
    line = Line(active, status, before[0] if before else 0, waiting[0] if waiting else 0)
    return Surroundings(ended[0] if ended else None, [Takeover(*row) for row in taken], line)
