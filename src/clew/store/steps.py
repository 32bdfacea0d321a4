"""Run steps in the store."""

from sqlalchemy import insert, select, update

from clew.core.records import Step
from clew.core.states import StepStatus
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, constant, param
from clew.store.tables import steps

_STEP = Mapper(steps, Step)
_CHANGING = (
    "status",
    "calls",
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
SELECT_WAITING = Statement(
    select(*_STEP.columns)
    .where(steps.c.run_id == param("run_id"), steps.c.status == constant(StepStatus.IN_PROGRESS.value))
    .order_by(steps.c.seq.desc())
    .limit(constant(1))
    .offset(constant(0))
)
SELECT_OF_RUN = Statement(
    select(*_STEP.columns).where(steps.c.run_id == param("run_id")).order_by(steps.c.seq)
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
    return None if row is None else _STEP.read(row)


async def waiting(tx: Transaction, run_id: str) -> Step | None:
    """Return the run's open tool step, or None."""
    row = await tx.one(SELECT_WAITING, {"run_id": run_id})
    return None if row is None else _STEP.read(row)


async def of_run(tx: Transaction, run_id: str) -> list[Step]:
    """Return all steps of a run, oldest first."""
    return [_STEP.read(row) for row in await tx.all(SELECT_OF_RUN, {"run_id": run_id})]


async def page(tx: Transaction, project: str, thread_id: str, run_id: str, wanted: PageRequest) -> Page:
    """Return one page of a run's steps."""
    return await pages.page(tx, _STEP, wanted, project=project, thread_id=thread_id, run_id=run_id)
