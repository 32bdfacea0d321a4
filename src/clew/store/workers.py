"""The processes that serve a shared database, and the count by which each shows that it lives."""

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, update

from clew.store.statement import Mapper, Statement, Transaction, constant, param
from clew.store.tables import workers


class WorkerRow(Struct, frozen=True, kw_only=True):
    """One process. ``works`` tells whether it works on runs, or only serves."""

    id: str
    host: str
    pid: int
    works: bool
    started_at: int
    seen_at: int
    beats: int = 0
    active_runs: int = 0


_WORKER = Mapper(workers, WorkerRow)

INSERT_WORKER = Statement(insert(workers), columns=_WORKER.names)
UPDATE_WORKER = Statement(
    update(workers)
    .where(workers.c.id == param("worker_id"))
    .values(beats=workers.c.beats + constant(1), seen_at=param("now"), active_runs=param("active"))
)
SELECT_BEATS = Statement(select(workers.c.id, workers.c.beats))
SELECT_WORKERS = Statement(select(*_WORKER.columns).order_by(workers.c.started_at))
DELETE_WORKER = Statement(delete(workers).where(workers.c.id == param("worker_id")))
DELETE_SILENT = Statement(delete(workers).where(workers.c.seen_at < param("before")))


async def beat(tx: Transaction, row: WorkerRow, active: int, now: int, forget_before: int) -> dict[str, int]:
    """Count a process's row up, or insert it; return everybody's count by worker.

    Rows that were not counted up since ``forget_before`` are deleted.
    """
    if not await tx.run(UPDATE_WORKER, {"worker_id": row.id, "now": now, "active": active}):
        await tx.run(INSERT_WORKER, _WORKER.params(replace(row, seen_at=now, active_runs=active)))
        await tx.run(DELETE_SILENT, {"before": forget_before})
    return {worker: beats for worker, beats in await tx.all(SELECT_BEATS, {})}  # noqa: C416 - rows, no pairs


async def leave(tx: Transaction, worker_id: str) -> None:
    """Delete a process's row: it works no more."""
    await tx.run(DELETE_WORKER, {"worker_id": worker_id})


async def all_(tx: Transaction) -> list[WorkerRow]:
    """Return every process that has a row, the oldest first."""
    return [_WORKER.read(row) for row in await tx.all(SELECT_WORKERS, {})]
