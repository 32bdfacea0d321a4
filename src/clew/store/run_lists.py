"""Runs over a project: lists by status, agent, thread and time, as cheap among ten million as among ten.

Every list walks one index in the order of ``seq``, which :func:`walk_of` chooses. What that index doesn't
answer is looked up in the rows that the walk meets: at most :data:`MOST_EXAMINED` a page. A page may
therefore hold less than was asked for, and say from where to go on. Live runs have an
index of their own; more than that many of them make such pages too.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import CompoundSelect, Select, Subquery, func, select, union_all

from clew.core.records import Run
from clew.core.states import LIVE, RunStatus
from clew.store.pages import PageRequest
from clew.store.statement import Mapper, Row, Statement, Transaction, constant, param, unindexed
from clew.store.tables import HAS_FAILED, IS_HELD, IS_LIVE, runs, threads

MOST_EXAMINED = 1000
"""Runs that one page looks at, at most, to find those that are wanted."""

DISORDER = 3_600_000
"""Milliseconds by which a later run may have been created earlier, because the clocks of processes differ."""

FAILED = frozenset(RunStatus) - LIVE - {RunStatus.COMPLETED}
"""Statuses of runs that are over and did not complete."""

_RUN = Mapper(runs, Run)

SELECT_PLACE = Statement(
    select(runs.c.seq).where(runs.c.id == param("id"), runs.c.project == param("project"))
)
SELECT_ID = Statement(select(runs.c.id).where(runs.c.seq == param("seq")))


def _next_of_project(*, up: bool) -> Statement:
    """Return what selects a project's run nearest to a place: the last before it, or the first behind."""
    order = runs.c.seq.desc() if up else runs.c.seq.asc()
    near = runs.c.seq <= param("seq") if up else runs.c.seq >= param("seq")
    query = select(runs.c.id).where(runs.c.project == param("project"), near).order_by(order)
    return Statement(query.limit(constant(1)).offset(constant(0)))


SELECT_LAST_BEFORE, SELECT_FIRST_BEHIND = _next_of_project(up=True), _next_of_project(up=False)
SELECT_NEAR = Statement(
    select(runs.c.seq, runs.c.created_at)
    .where(runs.c.seq <= param("seq"))
    .order_by(runs.c.seq.desc())
    .limit(constant(1))
    .offset(constant(0))
)
SELECT_NEWEST = Statement(select(func.max(runs.c.seq)))
SELECT_IS_THERE = Statement(
    select(threads.c.seq).where(threads.c.id == param("thread_id"), threads.c.project == param("project"))
)


def _live(*columns: Any) -> CompoundSelect[Any]:
    """Return what selects a project's live runs and those that wait in line, each through its partial index.

    Of both there are few. Through the index of a project's runs, all that ever were would be looked at.
    """
    mine = unindexed(runs.c.project) == param("project")
    return union_all(*(select(*columns).where(mine, condition) for condition in (IS_LIVE, IS_HELD)))


_SAID = (runs.c.id, runs.c.thread_id, runs.c.assistant_id, runs.c.status, runs.c.version)
_LIVE_ROWS = _live(runs.c.seq, *_SAID, func.coalesce(runs.c.started_at, runs.c.created_at).label("at"))
_LIVE = _LIVE_ROWS.subquery("live_and_held")
SELECT_LIVE = Statement(
    select(*(_LIVE.c[column.name] for column in _SAID), _LIVE.c["at"]).order_by(_LIVE.c.seq)
)


class RunFilter(NamedTuple):
    """Which runs are wanted; what is empty or None says nothing."""

    statuses: frozenset[RunStatus] = frozenset()
    assistant_id: str | None = None
    thread_id: str | None = None
    since: int | None = None
    """Created then or later, in milliseconds since the epoch."""
    until: int | None = None
    """Created before then."""


class RunPage(NamedTuple):
    """A part of the list. ``next`` is the cursor to go on from, None if there is nothing more."""

    items: Sequence[Run]
    next: str | None


class Walk(NamedTuple):
    """How runs are walked: which columns an index is entered by, and which runs it holds."""

    equal: tuple[str, ...]
    runs: Literal["", "live", "failed"]
    open: frozenset[str]
    """Fields of the filter that must be looked up in the rows."""


def walk_of(wanted: RunFilter) -> Walk:
    """Return the walk that meets the fewest runs which are not wanted."""
    given = {name for name, value in wanted._asdict().items() if value not in (None, frozenset())}
    if "thread_id" in given:
        return Walk(("thread_id",), "", frozenset(given - {"thread_id"}))
    if "statuses" in given and wanted.statuses <= LIVE:
        return Walk((), "live", frozenset(given))
    if "statuses" in given and wanted.statuses <= FAILED:
        served = {"statuses"} if wanted.statuses == FAILED else set()
        return Walk(("project",), "failed", frozenset(given - served))
    if "assistant_id" in given:
        return Walk(("project", "assistant_id"), "", frozenset(given - {"assistant_id"}))
    return Walk(("project",), "", frozenset(given))


async def page(tx: Transaction, project: str, wanted: RunFilter, part: PageRequest) -> RunPage:
    """Return one page of a project's runs. Cursors are ids of any runs of the project."""
    values: dict[str, Any] = {"project": project, **wanted._asdict()}
    values |= {f"status_{number}": status.value for number, status in enumerate(sorted(wanted.statuses))}
    if wanted.thread_id is not None and await tx.one(SELECT_IS_THERE, values) is None:
        return RunPage((), None)
    for name, cursor in (("after", part.after), ("before", part.before)):
        place = None if cursor is None else await tx.one(SELECT_PLACE, {"id": cursor, "project": project})
        if cursor is not None and place is None:
            return RunPage((), None)
        values[name] = place[0] if place else None
    shape = _shape(wanted, part)
    rows = await tx.all(_page_statement(shape), {**values, "limit": part.limit + 1})
    found = [_RUN.read(row) for row in rows[: part.limit]]
    following = found[-1].id if len(rows) > part.limit else await _go_on(tx, shape, values)
    return RunPage(found[::-1] if part.before and not part.after else found, following)


async def live(tx: Transaction, project: str) -> Sequence[Row]:
    """Return what the feed says of each run that is live or waits in line, oldest first.

    A row is the run's id, thread, agent, status, version, and when it was created or last went to work.
    """
    return await tx.all(SELECT_LIVE, {"project": project})


# --- where an examined page ends -------------------------------------------------------------------


async def _go_on(tx: Transaction, shape: "_Shape", values: dict[str, Any]) -> str | None:
    """Return the cursor behind what a page has examined; None if nothing behind it can be wanted."""
    if not shape.walk.open:
        return None
    row = await tx.one(_extent_statement(shape), values)
    assert row is not None
    count, first, last, oldest, newest = row
    if count < MOST_EXAMINED:
        return None
    edge = last if shape.up else first
    early = values["since"] is not None and newest < values["since"] - DISORDER
    late = values["until"] is not None and oldest > values["until"] + DISORDER
    if late if shape.up else early:  # beyond the time that is wanted, and walking on away from it
        return None
    if early:
        return await _leap(tx, values["project"], edge, values["since"] - DISORDER, up=True)
    if late:
        return await _leap(tx, values["project"], edge, values["until"] + DISORDER, up=False)
    found = await tx.one(SELECT_ID, {"seq": edge})
    return None if found is None else str(found[0])


async def _leap(tx: Transaction, project: str, edge: int, moment: int, *, up: bool) -> str | None:
    """Return the project's run at the place where runs were created at a moment, looking from ``edge`` on.

    Runs lie in the order of their times but for :data:`DISORDER`, so halving finds the place in two dozen
    looks, however many there are.
    """
    newest = await tx.one(SELECT_NEWEST, {}) if up else None
    low, high = (edge, newest[0] + 1) if newest is not None else (0, edge)
    while high - low > 1:
        middle = (low + high) // 2
        near = await tx.one(SELECT_NEAR, {"seq": middle})
        if near is None or near[1] < moment:
            low = middle
        else:
            high = middle
    statement, seq = (SELECT_LAST_BEFORE, low) if up else (SELECT_FIRST_BEHIND, high)
    found = await tx.one(statement, {"project": project, "seq": seq})
    return None if found is None else str(found[0])


# --- statements ------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """What makes two pages' statements differ."""

    walk: Walk
    statuses: int
    ascending: bool
    after: bool
    before: bool

    @property
    def up(self) -> bool:
        """Whether the index is walked upwards. Walking backwards finds the page next to ``before``."""
        return self.ascending != (self.before and not self.after)


def _shape(wanted: RunFilter, part: PageRequest) -> _Shape:
    ascending = part.order == "asc"
    return _Shape(
        walk_of(wanted), len(wanted.statuses), ascending, part.after is not None, part.before is not None
    )


def _walk(shape: _Shape, *columns: Any) -> Select[Any]:
    """Return the walk, without its end."""
    if shape.walk.runs == "live":
        source = _live(*columns).subquery("live_and_held")
        query, seq = select(*source.c), source.c.seq
    else:
        query, seq = select(*columns), runs.c.seq
        query = query.where(*(runs.c[name] == param(name) for name in shape.walk.equal))
    if shape.walk.runs == "failed":  # SQLite would as soon take the index of all runs
        query = query.where(HAS_FAILED).with_hint(runs, "INDEXED BY failed_runs", "sqlite")
    place = unindexed(seq) if shape.walk.runs == "live" else seq
    if shape.after:
        query = query.where(place > param("after") if shape.ascending else place < param("after"))
    if shape.before:
        query = query.where(place < param("before") if shape.ascending else place > param("before"))
    return query.order_by(place.asc() if shape.up else place.desc())


def _examined(shape: _Shape) -> Subquery:
    """Return the runs that a page looks at, with what it looks at."""
    looked_at = (runs.c.seq, runs.c.created_at, runs.c.status, runs.c.assistant_id)
    return _walk(shape, *looked_at).limit(constant(MOST_EXAMINED)).offset(constant(0)).subquery("examined")


@cache
def _page_statement(shape: _Shape) -> Statement:
    if not shape.walk.open:
        return Statement(_walk(shape, *_RUN.columns).limit(param("limit")).offset(constant(0)))
    examined = _examined(shape)
    tests = {
        "statuses": examined.c.status.in_([param(f"status_{number}") for number in range(shape.statuses)]),
        "assistant_id": examined.c.assistant_id == param("assistant_id"),
        "since": examined.c.created_at >= param("since"),
        "until": examined.c.created_at < param("until"),
    }
    order = examined.c.seq.asc() if shape.up else examined.c.seq.desc()
    right = select(examined.c.seq).where(*(tests[name] for name in sorted(shape.walk.open)))
    matched = right.order_by(order).limit(param("limit")).offset(constant(0)).subquery("matched")
    query = select(*_RUN.columns).join_from(matched, runs, runs.c.seq == matched.c.seq)
    return Statement(query.order_by(matched.c.seq.asc() if shape.up else matched.c.seq.desc()))


@cache
def _extent_statement(shape: _Shape) -> Statement:
    examined = _examined(shape)
    seq, created_at = examined.c.seq, examined.c.created_at
    return Statement(
        select(
            func.count(), func.min(seq), func.max(seq), func.min(created_at), func.max(created_at)
        ).select_from(examined)
    )
