"""Due work in the store: one row for each thing that is to be done at a time, of whatever kind.

The transaction that makes something necessary adds its row, the one that ends it deletes the row and writes
what came of it, and the one that deletes what it belongs to deletes it too. Whoever claims work raises its
epoch: writes of an owner before that find no row. See decision 14.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import delete, func, insert, null, select, update

from clew.core.due import Lane, Work
from clew.store.statement import Mapper, Statement, Transaction, constant, param
from clew.store.tables import IS_FREE, IS_OWNED, due_work, workers

Result: TypeAlias = Callable[[Transaction], Awaitable[None]]
"""What else a transaction writes that settles work. It awaits its transaction alone."""


class Superseded(Exception):
    """The work is no longer the caller's: somebody else has it now, it is over, or it was called off."""


class Owned(NamedTuple):
    """Claimed work, its owner, and the count by which that shows that it lives; None if it has gone."""

    work: Work
    owner: str
    beats: int | None


_WORK = Mapper(due_work, Work)
_ADDED = tuple(name for name in _WORK.names if name != "seq")
_KIND = due_work.c.kind == param("of_kind")
_LANE = due_work.c.lane == param("in_lane")
_THIS = (due_work.c.seq == param("work_seq"), due_work.c.epoch == param("seen_epoch"))

INSERT_WORK = Statement(insert(due_work), columns=_ADDED)
SELECT_NEXT_DUE = Statement(
    select(
        select(func.min(due_work.c.due)).where(_KIND, IS_FREE).scalar_subquery(),
        select(func.min(due_work.c.due))
        .where(_KIND, IS_FREE, due_work.c.due > param("now"))
        .scalar_subquery(),
    )
)
# One seek a lane, however much waits in it: each lane's name leads to the next one.
_lanes = select(func.min(due_work.c.lane).label("name")).where(_KIND).cte("lanes", recursive=True)
_lanes = _lanes.union_all(
    select(
        select(func.min(due_work.c.lane)).where(_KIND, due_work.c.lane > _lanes.c.name).scalar_subquery()
    ).where(_lanes.c.name.is_not(None))
)
_of_lane = select(due_work.c.project).where(_KIND, due_work.c.lane == _lanes.c.name)
SELECT_LANES = Statement(
    select(
        _lanes.c.name,
        _of_lane.order_by(due_work.c.due).limit(constant(1)).offset(constant(0)).scalar_subquery(),
        select(func.min(due_work.c.due))
        .where(_KIND, due_work.c.lane == _lanes.c.name, IS_FREE)
        .scalar_subquery(),
    ).where(_lanes.c.name.is_not(None))
)
SELECT_DUE = Statement(
    select(*_WORK.columns)
    .where(_KIND, _LANE, IS_FREE, due_work.c.due <= param("now"))
    .order_by(due_work.c.due, due_work.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
SELECT_OWNED = Statement(
    select(*_WORK.columns, due_work.c.owner, workers.c.beats)
    .select_from(due_work.outerjoin(workers, workers.c.id == due_work.c.owner))
    .where(_KIND, IS_OWNED)
)
CLAIM_WORK = Statement(
    update(due_work)
    .where(*_THIS)
    .values(owner=param("owner"), epoch=due_work.c.epoch + constant(1), attempts=param("attempts"))
)
SAVE_PROGRESS = Statement(
    update(due_work).where(*_THIS).values(progress=param("progress"), attempts=param("attempts"))
)
HOLD_WORK = Statement(select(due_work.c.seq).where(*_THIS).with_for_update())
RELEASE_WORK = Statement(
    update(due_work)
    .where(*_THIS, due_work.c.owner == param("seen_owner"))
    .values(owner=null(), epoch=due_work.c.epoch + constant(1), attempts=param("attempts"))
)
POSTPONE_WORK = Statement(
    update(due_work)
    .where(*_THIS)
    .values(
        owner=null(),
        epoch=due_work.c.epoch + constant(1),
        due=param("next_due"),
        attempts=param("attempts"),
        last_error=param("error"),
        progress=param("progress"),
    )
)
DELETE_WORK = Statement(delete(due_work).where(*_THIS))
SELECT_BY_ID = Statement(select(due_work.c.seq).where(_KIND, due_work.c.id == param("work_id")))
DELETE_BY_ID = Statement(delete(due_work).where(_KIND, due_work.c.id == param("work_id")))
DELETE_LANE = Statement(delete(due_work).where(_KIND, _LANE))


# --- for those whose work it is -------------------------------------------------------------------------


async def add(tx: Transaction, work: Work) -> None:
    """Have something done at its time. A kind's ids are unique: a second one is refused by the database."""
    values = _WORK.params(work)
    del values["seq"]
    await tx.run(INSERT_WORK, values)


async def add_if_new(tx: Transaction, work: Work) -> None:
    """Have something done at its time, unless work of that kind and id is there already."""
    if await tx.one(SELECT_BY_ID, {"of_kind": work.kind, "work_id": work.id}) is None:
        await add(tx, work)


async def cancel(tx: Transaction, kind: str, work_id: str) -> bool:
    """Call work off; return whether there was any. What its owner still writes finds no row."""
    return await tx.run(DELETE_BY_ID, {"of_kind": kind, "work_id": work_id}) > 0


async def cancel_lane(tx: Transaction, kind: str, lane: str) -> None:
    """Call off all work of a lane."""
    await tx.run(DELETE_LANE, {"of_kind": kind, "in_lane": lane})


# --- what is due ----------------------------------------------------------------------------------------


async def next_due(tx: Transaction, kind: str, now: int) -> tuple[int | None, int | None]:
    """Return when the first free work is or was due, and when the first that is not due yet."""
    row = await tx.one(SELECT_NEXT_DUE, {"of_kind": kind, "now": now})
    return (None, None) if row is None else (row[0], row[1])


async def lanes(tx: Transaction, kind: str, now: int) -> list[Lane]:
    """Return the lanes in which something free is due."""
    rows = await tx.all(SELECT_LANES, {"of_kind": kind})
    return [Lane(name, project) for name, project, head in rows if head is not None and head <= now]


async def due(tx: Transaction, kind: str, lane: str, now: int, limit: int) -> list[Work]:
    """Return what is free and due in a lane, longest due first."""
    keys = {"of_kind": kind, "in_lane": lane, "now": now, "limit": limit}
    return [_WORK.read(row) for row in await tx.all(SELECT_DUE, keys)]


async def owned(tx: Transaction, kind: str) -> list[Owned]:
    """Return all claimed work of a kind, whoever owns it."""
    rows = await tx.all(SELECT_OWNED, {"of_kind": kind})
    return [Owned(_WORK.read(row[:-2]), row[-2], row[-1]) for row in rows]


# --- for owners -----------------------------------------------------------------------------------------


async def claim(tx: Transaction, work: Work, owner: str, attempts: int) -> bool:
    """Make somebody the owner of free work, with the next epoch; say whether nobody else was quicker."""
    return await tx.run(CLAIM_WORK, {**_this(work), "owner": owner, "attempts": attempts}) > 0


async def save_progress(
    tx: Transaction, work: Work, progress: Any, attempts: int, result: Result | None = None
) -> bool:
    """Store how far work got and what else came of it, if it is still the caller's; say whether it is."""
    values = {"progress": _encoded(progress), "attempts": attempts}
    if not await tx.run(SAVE_PROGRESS, {**_this(work), **values}):
        return False
    if result is not None:
        await result(tx)
    return True


async def hold(tx: Transaction, work: Work) -> bool:
    """Have work neither claimed nor called off until the transaction ends; say whether it is the caller's."""
    return await tx.hold(HOLD_WORK, _this(work)) is not None


async def release(tx: Transaction, works: Sequence[Work], owner: str) -> None:
    """Give an owner's work back, so that anybody may claim it; what is no longer his is left alone."""
    for work in works:
        await tx.run(RELEASE_WORK, {**_this(work), "seen_owner": owner, "attempts": work.attempts})


async def finish(tx: Transaction, work: Work, result: Result | None = None) -> bool:
    """Delete work and write what came of it, if it is still the caller's; say whether it is."""
    if not await tx.run(DELETE_WORK, _this(work)):
        return False
    if result is not None:
        await result(tx)
    return True


async def postpone(tx: Transaction, work: Work, result: Result | None = None) -> bool:
    """Store when work is due again, its attempts, error and progress, and what else came of it.

    Nobody owns it then. Only if it is still the caller's; say whether it is.
    """
    values = {
        "next_due": work.due,
        "attempts": work.attempts,
        "error": work.last_error,
        "progress": _encoded(work.progress),
    }
    if not await tx.run(POSTPONE_WORK, {**_this(work), **values}):
        return False
    if result is not None:
        await result(tx)
    return True


def _this(work: Work) -> dict[str, Any]:
    return {"work_seq": work.seq, "seen_epoch": work.epoch}


def _encoded(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
