"""Projects in the store: their rows, what is theirs, and the runs that wait for their share."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table, delete, func, insert, select, update

from clew.core.due import Work
from clew.core.projects import Project, ProjectLimits
from clew.core.records import Run
from clew.core.states import RunStatus, WaitsFor
from clew.store import due_work
from clew.store.statement import Mapper, Statement, Transaction, constant, param, unindexed
from clew.store.store_files import PURGE
from clew.store.tables import (
    IS_LIVE,
    IS_SHOWN,
    WAITS_FOR_SHARE,
    agents,
    answers,
    files,
    keys,
    projects,
    runs,
    threads,
    usage_by_day,
    webhooks,
)
from clew.store.tables import due_work as due_rows

RETENTION = "retention"
"""The kind of due work that deletes threads in which nothing happens."""

_PROJECT = Mapper(projects, Project)
_NAMED = projects.c.name == param("named")

INSERT_PROJECT = Statement(insert(projects), columns=_PROJECT.names)
SELECT_PROJECTS = Statement(select(*_PROJECT.columns).order_by(projects.c.name))
SELECT_PROJECT = Statement(select(*_PROJECT.columns).where(_NAMED))
UPDATE_LIMITS = Statement(update(projects).where(_NAMED).values(limits=param("new_limits")))
DELETE_PROJECT = Statement(delete(projects).where(_NAMED))

SELECT_WAITING = Statement(
    select(runs.c.id)
    .where(runs.c.project == param("project"), WAITS_FOR_SHARE)
    .order_by(runs.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
# One seek a project, however many of its runs wait: each name leads to the next one.
_waiting = (
    select(func.min(runs.c.project).label("name"))
    .where(WAITS_FOR_SHARE)
    .cte("projects_waiting", recursive=True)
)
_waiting = _waiting.union_all(
    select(
        select(func.min(runs.c.project))
        .where(WAITS_FOR_SHARE, runs.c.project > _waiting.c.name)
        .scalar_subquery()
    ).where(_waiting.c.name.is_not(None))
)
SELECT_PROJECTS_WAITING = Statement(select(_waiting.c.name).where(_waiting.c.name.is_not(None)))
HAVE_WAIT = Statement(
    update(runs)
    .where(
        runs.c.id == param("id"),
        runs.c.version == param("seen_version"),
        runs.c.status == constant(RunStatus.QUEUED.value),
    )
    .values(waits_for=constant(WaitsFor.SHARE.value), version=runs.c.version + constant(1))
)


# --- rows -------------------------------------------------------------------------------------------


async def every(tx: Transaction) -> list[Project]:
    """Return all projects that have a row, by name."""
    return [_PROJECT.read(row) for row in await tx.all(SELECT_PROJECTS, {})]


async def get(tx: Transaction, name: str) -> Project | None:
    """Return a project's row, or None."""
    row = await tx.one(SELECT_PROJECT, {"named": name})
    return None if row is None else _PROJECT.read(row)


async def save(tx: Transaction, project: Project) -> None:
    """Store a project as it is to be."""
    encoded = msgspec.json.encode(project.limits).decode()
    if not await tx.run(UPDATE_LIMITS, {"named": project.name, "new_limits": encoded}):
        await tx.run(INSERT_PROJECT, _PROJECT.params(project))


async def look_through(tx: Transaction, project: Project, now: int) -> None:
    """Have a project's idle threads deleted from now on, or no more, as its limits say."""
    await due_work.cancel(tx, RETENTION, project.name)
    if project.limits.keep_days is not None:
        name = project.name
        work = Work(kind=RETENTION, id=name, project=name, lane=name, created_at=now, due=now)
        await due_work.add(tx, work)


# --- runs that wait ---------------------------------------------------------------------------------


async def have_wait(tx: Transaction, run: Run) -> None:
    """Note that a queued run waits for its project's share."""
    await tx.run(HAVE_WAIT, {"id": run.id, "seen_version": run.version})


async def waiting(tx: Transaction, project: str, limit: int) -> list[str]:
    """Return runs that wait for their project's share, those first that came first."""
    return [row[0] for row in await tx.all(SELECT_WAITING, {"project": project, "limit": limit})]


async def with_waiting(tx: Transaction) -> list[str]:
    """Return the projects of which runs wait."""
    return [row[0] for row in await tx.all(SELECT_PROJECTS_WAITING, {})]


# --- what is a project's ----------------------------------------------------------------------------


class Belongings(NamedTuple):
    """How much there is of a project."""

    threads: int
    messages: int
    live_runs: int
    agents: int
    webhooks: int
    keys: int
    files: int


def _count(table: Table, *conditions: Any) -> Statement:
    where = (table.c.project == param("project"), *conditions)
    return Statement(select(func.count()).select_from(table).where(*where))


COUNT_THREADS = Statement(
    select(func.count(), func.sum(threads.c.message_count)).where(
        threads.c.project == param("project"), IS_SHOWN
    )
)
COUNT_LIVE = Statement(
    select(func.count()).select_from(runs).where(unindexed(runs.c.project) == param("project"), IS_LIVE)
)
COUNTS = (_count(agents), _count(webhooks), _count(keys), _count(files))
SELECT_THREADS, SELECT_HIDDEN_THREADS = (
    Statement(
        select(threads.c.id)
        .where(threads.c.project == param("project"), condition)
        .limit(param("limit"))
        .offset(constant(0))
    )
    for condition in (IS_SHOWN, threads.c.hidden)
)
_OWNED = (webhooks, agents, files, answers, usage_by_day)
DELETE_OWNED = (
    *(Statement(delete(table).where(table.c.project == param("project"))) for table in _OWNED),
    # What deletes texts that no row names any more is nobody else's: it ends by itself.
    Statement(
        delete(due_rows).where(due_rows.c.project == param("project"), due_rows.c.kind != constant(PURGE))
    ),
)
DELETE_KEYS = Statement(delete(keys).where(keys.c.project == param("project")))


async def belongings(tx: Transaction, project: str) -> Belongings:
    """Count what is a project's."""
    its = {"project": project}
    found = [await tx.one(each, its) for each in (COUNT_THREADS, COUNT_LIVE, *COUNTS)]
    return Belongings(*(int(value or 0) for row in found if row is not None for value in row))


async def revoke_keys(tx: Transaction, project: str) -> int:
    """Delete a project's keys; return how many there were."""
    return await tx.run(DELETE_KEYS, {"project": project})


async def some_threads(tx: Transaction, project: str, limit: int) -> list[str]:
    """Return some of a project's threads, those that no list shows too."""
    keys_ = {"project": project, "limit": limit}
    found = await tx.all(SELECT_THREADS, keys_) or await tx.all(SELECT_HIDDEN_THREADS, keys_)
    return [row[0] for row in found]


async def remove_rest(tx: Transaction, project: str) -> None:
    """Delete what a project without threads still has, and its row."""
    for statement in DELETE_OWNED:
        await tx.run(statement, {"project": project})
    await tx.run(DELETE_PROJECT, {"named": project})


def limits_text(limits: ProjectLimits) -> dict[str, int]:
    """Return the limits that a project has, by name."""
    return {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None}
