"""Runs in the store: claims, guarded writes, and what recovery looks for."""

from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import func, insert, null, select, update

from clew.core.decisions import AddMessage, AddStep, Decision, RunState, SaveStep
from clew.core.journal import JUMP
from clew.core.records import Run
from clew.core.states import RunStatus, StepStatus
from clew.store import budgets, line, messages, metrics, pages, steps, threads, webhooks
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, constant, param
from clew.store.tables import IS_LIVE, runs, takeovers, workers
from clew.store.tables import threads as thread_rows

_RUN = Mapper(runs, Run)
_ONE = (runs.c.id == param("id"), runs.c.thread_id == param("thread_id"), runs.c.project == param("project"))
_PARKED = constant(RunStatus.REQUIRES_ACTION.value)
_CHANGING = (
    "status",
    "started_at",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "last_error",
    "incomplete_reason",
    "usage",
    "turns",
    "position",
    "starts",
    "held",
    "worker",
    "begun_at",
    "spoke_at",
)

INSERT_RUN = Statement(insert(runs), columns=_RUN.names)
SELECT_RUN = Statement(select(*_RUN.columns).where(*_ONE))
SELECT_BY_ID = Statement(select(*_RUN.columns).where(runs.c.id == param("id")))
# The guard: a worker that lost its claim, or looked at an older version, changes nothing.
UPDATE_RUN = Statement(
    update(runs)
    .where(runs.c.id == param("id"), runs.c.epoch == param("epoch"), runs.c.version == param("version"))
    .values({**{name: param(name) for name in _CHANGING}, "version": runs.c.version + constant(1)})
)
HOLD_THREAD_OF_RUN = Statement(
    select(thread_rows.c.seq)
    .where(thread_rows.c.id == select(runs.c.thread_id).where(runs.c.id == param("id")).scalar_subquery())
    .with_for_update(key_share=True)
)
HOLD_RUN = Statement(select(runs.c.seq).where(runs.c.id == param("id")).with_for_update(key_share=True))
CLAIM_RUN = Statement(
    update(runs)
    .where(runs.c.id == param("id"))
    .values({name: param(f"new_{name}") for name in ("epoch", "version", "worker", "position")})
)
INSERT_TAKEOVER = Statement(
    insert(takeovers), columns=["run_id", "at", "epoch", "turn", "from_worker", "to_worker"]
)
DISOWN_RUN = Statement(
    update(runs)
    .where(runs.c.id == param("id"), runs.c.epoch == param("epoch"), IS_LIVE)
    .values(worker=null())
)
UPDATE_METADATA = Statement(update(runs).where(*_ONE).values(metadata=param("new_metadata")))
SELECT_DUE = Statement(select(runs.c.id).where(IS_LIVE, runs.c.expires_at <= param("now")))
SELECT_NEXT_DUE = Statement(select(func.min(runs.c.expires_at)).where(IS_LIVE))
# In the order of the index of live runs: by seq, SQLite would walk all runs that ever were.
SELECT_UNFINISHED = Statement(
    select(runs.c.id, runs.c.version, runs.c.status, runs.c.worker, workers.c.beats)
    .join_from(runs, workers, workers.c.id == runs.c.worker, isouter=True)
    .where(IS_LIVE, runs.c.status != _PARKED)
    .order_by(runs.c.expires_at)
)


class Applied(NamedTuple):
    """What a write has made of a run, which run of its thread may start now, how many webhooks are told."""

    state: RunState
    released: str | None
    announced: int


class Unfinished(NamedTuple):
    """A live run that a worker should be working on. ``beats`` are its worker's, None if that has gone."""

    id: str
    version: int
    status: str
    worker: str | None
    beats: int | None


class ClaimLost(Exception):
    """Another worker has claimed the run since, or it was deleted: nothing was written."""


class Changed(Exception):
    """The run has changed since it was read, under the same claim: nothing was written."""


async def add(tx: Transaction, run: Run) -> None:
    """Store a new run. The database refuses it if the thread has a live one."""
    await tx.run(INSERT_RUN, _RUN.params(run))


async def get(tx: Transaction, project: str, thread_id: str, run_id: str) -> Run | None:
    """Return a run of the thread, or None."""
    row = await tx.one(SELECT_RUN, {"id": run_id, "thread_id": thread_id, "project": project})
    return None if row is None else _RUN.read(row)


async def page(tx: Transaction, project: str, thread_id: str, wanted: PageRequest) -> Page:
    """Return one page of a thread's runs."""
    return await pages.page(tx, _RUN, wanted, project=project, thread_id=thread_id)


async def save_metadata(tx: Transaction, run: Run) -> None:
    """Store a run's metadata, the one thing of it that clients may change."""
    keys = {"id": run.id, "thread_id": run.thread_id, "project": run.project}
    await tx.run(UPDATE_METADATA, {**keys, "new_metadata": _RUN.params(run)["metadata"]})


async def hold(tx: Transaction, run_id: str) -> None:
    """Let no other transaction change the run until this one ends. A thread is held before its runs."""
    await tx.hold(HOLD_RUN, {"id": run_id})


async def hold_with_thread(tx: Transaction, run_id: str) -> None:
    """Hold a run, and before it the thread that it is on."""
    await tx.hold(HOLD_THREAD_OF_RUN, {"id": run_id})
    await hold(tx, run_id)


async def state(tx: Transaction, run: Run) -> RunState:
    """Return all that a decision about the run needs."""
    waits = run.status in (RunStatus.REQUIRES_ACTION, RunStatus.CANCELLING)
    return RunState(run, await steps.waiting(tx, run.id) if waits else None)


async def claim(tx: Transaction, run_id: str, worker: str, now: int) -> RunState | None:
    """Make a worker the owner of a run that has work to do; None if it has none.

    Whoever is handed a run claims it unconditionally: the former owner's writes die on the epoch.
    """
    await hold(tx, run_id)
    row = await tx.one(SELECT_BY_ID, {"id": run_id})
    if row is None or not _has_work(run := _RUN.read(row), now):
        return None
    before = await state(tx, run)
    spoken = _may_have_spoken(before)
    claimed = replace(
        run,
        epoch=run.epoch + 1,
        version=run.version + 1,
        worker=worker,
        position=run.position + (JUMP if spoken else 0),
    )
    new = {f"new_{name}": getattr(claimed, name) for name in ("epoch", "version", "worker", "position")}
    await tx.run(CLAIM_RUN, {"id": run_id, **new})
    if spoken:
        await _record_takeover(tx, run, claimed, now)
    return RunState(claimed, before.waiting)


def _has_work(run: Run, now: int) -> bool:
    waits = run.held is not None or (run.status == RunStatus.REQUIRES_ACTION and now < run.expires_at)
    return run.status.live and not waits


async def _record_takeover(tx: Transaction, before: Run, after: Run, now: int) -> None:
    takeover = {
        "run_id": after.id,
        "at": now,
        "epoch": after.epoch,
        "turn": after.turns + 1,
        "from_worker": before.worker,
        "to_worker": after.worker,
    }
    await tx.run(INSERT_TAKEOVER, takeover)


async def disown(tx: Transaction, run_id: str, epoch: int) -> bool:
    """Give a run up that the caller owns, so that another worker may take it up; say whether it did."""
    return await tx.run(DISOWN_RUN, {"id": run_id, "epoch": epoch}) > 0


def _may_have_spoken(owned: RunState) -> bool:
    """Whether an earlier owner may have told readers more than it committed."""
    cancelled_at_work = owned.run.status == RunStatus.CANCELLING and owned.waiting is None
    return owned.run.status == RunStatus.IN_PROGRESS or cancelled_at_work


async def apply(tx: Transaction, before: RunState, decision: Decision, now: int) -> Applied:
    """Write a decision that was made on ``before``; let the thread's line go on if the run is over.

    Raises:
        ClaimLost: the caller no longer owns the run.
        Changed: the run is another version than ``before``; decide anew.
    """
    after = decision.state.run
    await _hold_and_count(tx, decision)
    guard = {"id": after.id, "epoch": before.run.epoch, "version": before.run.version}
    values = _RUN.params(after)
    if not await tx.run(UPDATE_RUN, {**{name: values[name] for name in _CHANGING}, **guard}):
        row = await tx.one(SELECT_BY_ID, {"id": after.id})
        raise Changed if row is not None and _RUN.read(row).epoch == before.run.epoch else ClaimLost
    for write in decision.writes:
        match write:
            case AddMessage(message):
                await messages.add_uncounted(tx, message)
            case AddStep(step):
                await steps.add(tx, step)
            case SaveStep(step):
                await steps.save(tx, step)
        if not isinstance(write, AddMessage) and write.step.status != StepStatus.IN_PROGRESS:
            await metrics.end_calls(tx, write.step, now)
    announced = await webhooks.announce(tx, before.run, after, now)
    released = None
    if not after.status.live:
        await metrics.end_run(tx, after, now)
        released = await line.release(tx, after.thread_id, now)
        if after.config.token_allowance is not None:
            await budgets.count(tx, after.project, after.usage.total_tokens, now)
    return Applied(decision.state.at_version(before.run.version + 1), released, announced)


async def _hold_and_count(tx: Transaction, decision: Decision) -> None:
    """Hold the run's thread, by counting what the run brings to it if it brings anything."""
    run = decision.state.run
    written = sum(isinstance(write, AddMessage) for write in decision.writes)
    tokens = 0 if run.status.live else run.usage.total_tokens
    if written or tokens:
        await threads.count(tx, run.thread_id, messages=written, tokens=tokens)
    else:
        await threads.hold(tx, run.project, run.thread_id)


async def reload(tx: Transaction, run_id: str, epoch: int) -> RunState:
    """Return the state of a run that the caller owns.

    Raises:
        ClaimLost: the caller no longer owns the run.
    """
    row = await tx.one(SELECT_BY_ID, {"id": run_id})
    if row is None or (run := _RUN.read(row)).epoch != epoch:
        raise ClaimLost
    return await state(tx, run)


async def due(tx: Transaction, now: int) -> tuple[list[str], int | None]:
    """Return the ids of live runs whose time is up, and when the next live run's is."""
    expired = [row[0] for row in await tx.all(SELECT_DUE, {"now": now})]
    following = await tx.one(SELECT_NEXT_DUE, {})
    return expired, following[0] if following else None


async def unfinished(tx: Transaction) -> list[Unfinished]:
    """Return the live runs that a worker should be working on, the soonest to expire first."""
    return [Unfinished(*row) for row in await tx.all(SELECT_UNFINISHED, {})]
