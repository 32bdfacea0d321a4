"""Run steps in the store."""

from collections.abc import Sequence

from sqlalchemy import insert, select, update

from clew.core.records import Run, Step
from clew.store import calls, pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, param
from clew.store.tables import steps

_STEP = Mapper(steps, Step, apart=("calls",))
_CHANGING = (
    "status",
    "end_position",
    "last_error",
    "usage",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "expired_at",
)

INSERT_STEP = Statement(insert(steps), columns=_STEP.names)
SELECT_STEP = Statement(
    select(*_STEP.columns).where(
        steps.c.id == param("id"),
        steps.c.run_id == param("run_id"),
        steps.c.thread_id == param("thread_id"),
        steps.c.project == param("project"),
    )
)
SELECT_BY_ID = Statement(select(*_STEP.columns).where(steps.c.id == param("id")))
SELECT_OF_RUN = Statement(
    select(*_STEP.columns).where(steps.c.run_id == param("run_id")).order_by(steps.c.seq)
)
_AT_ONCE = 20
SELECT_SEVERAL = Statement(
    select(*_STEP.columns)
    .where(steps.c.id.in_([param(f"step_{number}") for number in range(_AT_ONCE)]))
    .order_by(steps.c.seq)
)
UPDATE_STEP = Statement(
    update(steps).where(steps.c.id == param("step_id")).values({name: param(name) for name in _CHANGING})
)


def insertion(step: Step) -> Write:
    """Return what stores a new step, as the run's newest."""
    return Write(INSERT_STEP, _STEP.params(step))


def change(step: Step) -> Write:
    """Return what stores a step that has changed."""
    values = _STEP.params(step)
    return Write(UPDATE_STEP, {**{name: values[name] for name in _CHANGING}, "step_id": step.id})


async def get(tx: Transaction, project: str, thread_id: str, run_id: str, step_id: str) -> Step | None:
    """Return a step of the run, or None."""
    keys = {"id": step_id, "run_id": run_id, "thread_id": thread_id, "project": project}
    row = await tx.one(SELECT_STEP, keys)
    return None if row is None else await _filled(tx, _STEP.read(row))


async def _filled(tx: Transaction, step: Step) -> Step:
    return (await calls.filled(tx, step.run_id, [step]))[0]


async def open_of(tx: Transaction, run: Run) -> Step | None:
    """Return the step of a run whose calls have not all ended, or None."""
    if run.open_step is None:
        return None
    row = await tx.one(SELECT_BY_ID, {"id": run.open_step})
    return None if row is None else await _filled(tx, _STEP.read(row))


async def open_of_all(tx: Transaction, found: Sequence[Run]) -> dict[str, Step]:
    """Return the steps of several runs whose calls have not all ended, by the runs' ids."""
    ids = [run.open_step for run in found if run.open_step is not None]
    open_steps: dict[str, Step] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        some += [some[-1]] * (_AT_ONCE - len(some))
        rows = await tx.all(SELECT_SEVERAL, {f"step_{number}": each for number, each in enumerate(some)})
        for step in map(_STEP.read, rows):
            open_steps[step.run_id] = await _filled(tx, step)
    return open_steps


async def of_run(tx: Transaction, run_id: str) -> list[Step]:
    """Return all steps of a run, oldest first."""
    found = [_STEP.read(row) for row in await tx.all(SELECT_OF_RUN, {"run_id": run_id})]
    return await calls.filled(tx, run_id, found)


async def page(tx: Transaction, project: str, thread_id: str, run_id: str, wanted: PageRequest) -> Page:
    """Return one page of a run's steps."""
    page = await pages.page(tx, _STEP, wanted, project=project, thread_id=thread_id, run_id=run_id)
    return Page(await calls.filled(tx, run_id, page.items), page.has_more)
