"""Runs in the store: claims, guarded writes, and what recovery looks for."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import and_, func, insert, null, or_, select, update

from clew.core.decisions import AddFile, AddMessage, AddStep, Decision, RunState, SaveCall, SaveStep
from clew.core.journal import JUMP
from clew.core.records import Agent, Message, Run, Thread
from clew.core.states import RunStatus, WaitsFor
from clew.core.tools import ToolResources
from clew.store import budgets, calls, code, line, messages, metrics, pages, steps, threads, webhooks
from clew.store.agents import AGENT
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Row, Statement, Transaction, Write, batches, constant, param
from clew.store.tables import COUNTED_BY, IS_LIVE, runs, takeovers, workers
from clew.store.tables import threads as thread_rows

_RUN = Mapper(runs, Run)
_AGENT_ID = AGENT.names.index("id")
_ONE = (runs.c.id == param("id"), runs.c.thread_id == param("thread_id"), runs.c.project == param("project"))
_FIXED = (
    "id",
    "project",
    "thread_id",
    "assistant_id",
    "created_at",
    "expires_at",
    "config",
    "metadata",
    "version",
)
_CHANGING = tuple(name for name in _RUN.names if name not in _FIXED)
"""What a decision may change; ``metadata`` is a client's, ``version`` counts up by itself."""

_RESOURCES, _NO_RESOURCES = msgspec.json.Decoder(ToolResources), ToolResources()

SELECT_GROUND = Statement(
    select(
        thread_rows.c.live_run,
        thread_rows.c.token_budget,
        thread_rows.c.tokens_used,
        thread_rows.c.tool_resources,
        *AGENT.columns,
    )
    .select_from(
        thread_rows.outerjoin(
            AGENT.table,
            and_(AGENT.table.c.id == param("agent_id"), AGENT.table.c.project == thread_rows.c.project),
        )
    )
    .where(thread_rows.c.id == param("id"), thread_rows.c.project == param("project"))
)
INSERT_RUN = Statement(insert(runs), columns=_RUN.names)
SELECT_RUN = Statement(select(*_RUN.columns).where(*_ONE))
SELECT_BY_ID = Statement(select(*_RUN.columns).where(runs.c.id == param("id")))
# The guard: a worker that lost its claim, or looked at an older version, changes nothing.
_UPDATE = update(runs).where(
    runs.c.id == param("id"), runs.c.epoch == param("old_epoch"), runs.c.version == param("old_version")
)
_CHANGES = {**{name: param(name) for name in _CHANGING}, "version": runs.c.version + constant(1)}
UPDATE_RUN = Statement(_UPDATE.values(_CHANGES))
END_RUN = Statement(_UPDATE.values({**_CHANGES, **{name: param(name) for name in ("ended_at", *COUNTED_BY)}}))
HOLD_BY_ID = Statement(select(*_RUN.columns).where(runs.c.id == param("id")).with_for_update(key_share=True))
HOLD_THREAD_OF_RUN = Statement(
    select(thread_rows.c.seq)
    .where(thread_rows.c.id == select(runs.c.thread_id).where(runs.c.id == param("id")).scalar_subquery())
    .with_for_update(key_share=True)
)
HOLD_RUN = Statement(select(*_RUN.columns).where(*_ONE).with_for_update(key_share=True))
_CLAIMED = ("epoch", "version", "worker", "position", "claimed_at", "attempts", "waits_for", "due")
CLAIM_RUN = Statement(
    update(runs).where(runs.c.id == param("id")).values({name: param(f"new_{name}") for name in _CLAIMED})
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
SELECT_NEXT_DUE = Statement(select(func.min(runs.c.expires_at), func.min(runs.c.due)).where(IS_LIVE))
# In the order of the index of live runs: by seq, SQLite would walk all runs that ever were.
SELECT_UNFINISHED = Statement(
    select(
        runs.c.id,
        runs.c.version,
        runs.c.status,
        runs.c.worker,
        workers.c.beats,
        runs.c.attempts,
        runs.c.claimed_at,
        runs.c.waits_for,
        runs.c.project,
    )
    .join_from(runs, workers, workers.c.id == runs.c.worker, isouter=True)
    .where(IS_LIVE, or_(runs.c.waits_for.is_(None), runs.c.due <= param("now")))
    .order_by(runs.c.expires_at)
)


class Applied(NamedTuple):
    """What a write has made of a run.

    Attributes:
        released: the run of its thread that may start now.
        told_webhooks: whether webhooks may be told of it.
        moved: whether its status is another.
    """

    state: RunState
    released: str | None
    told_webhooks: bool
    moved: bool = False


class Unfinished(NamedTuple):
    """A live run that a worker should be working on. ``beats`` are its worker's, None if that has gone."""

    id: str
    version: int
    status: str
    worker: str | None
    beats: int | None
    attempts: int
    claimed_at: int | None
    waits_for: str | None
    project: str = ""

    @property
    def not_before(self) -> int:
        """When it may be claimed (milliseconds); at once, unless its workers have died or broken off."""
        broke_off = self.status == RunStatus.IN_PROGRESS and self.worker is not None
        return not_before(self.attempts, self.claimed_at) if broke_off else 0


class ClaimLost(Exception):
    """Another worker has claimed the run since, or it was deleted: nothing was written."""


class Changed(Exception):
    """The run has changed since it was read, under the same claim: nothing was written."""


async def add(tx: Transaction, run: Run, *, tokens_used: int | None = None, last: bool = False) -> bool:
    """Store a new run, unless its thread has a live one and this one is to be live too.

    Args:
        tokens_used: what the thread had used when it was looked at; if that has changed, nothing is stored.
        last: whether nothing else is written with it.

    Returns:
        Whether the run was stored.
    """
    keys = {"thread_id": run.thread_id}
    guards = []
    if run.held is not None:
        guards = [Write(threads.JOIN_LINE, keys)]
    elif run.status.live:
        guards = [Write(threads.TAKE, {**keys, "run_id": run.id, "tokens_used": tokens_used})]
    return await tx.write(guards, [Write(INSERT_RUN, _RUN.params(run))], last=last) is not None


async def add_with_thread(tx: Transaction, thread: Thread, first: Sequence[Message], run: Run) -> None:
    """Store a new thread with its first messages and its first run, and nothing else."""
    begins_with = [messages.insertion(message) for message in first]
    begins_with.append(Write(INSERT_RUN, _RUN.params(run)))
    await threads.add(tx, thread, begins_with, message_count=len(first), live_run=run.id, last=True)


class Preconditions(NamedTuple):
    """What a new run stands on: its thread's lock, the tokens used there, and the agent; None if missing."""

    lock: threads.Lock | None
    tokens_used: int
    agent: Agent | None
    resources: ToolResources = ToolResources()


async def preconditions(tx: Transaction, project: str, thread_id: str, agent_id: str) -> Preconditions:
    """Return what a new run would stand on. It stands until the transaction ends if the thread is held."""
    row = await tx.one(SELECT_GROUND, {"id": thread_id, "project": project, "agent_id": agent_id})
    if row is None:
        return Preconditions(None, 0, None)
    live_run, token_budget, used, resources, *agent = row
    lock = threads.lock_of(live_run, token_budget, used)
    known = _NO_RESOURCES if resources == "{}" else _RESOURCES.decode(resources)
    return Preconditions(lock, used, None if agent[_AGENT_ID] is None else AGENT.read(agent), known)


async def get(tx: Transaction, project: str, thread_id: str, run_id: str) -> Run | None:
    """Return a run of the thread, or None."""
    row = await tx.one(SELECT_RUN, {"id": run_id, "thread_id": thread_id, "project": project})
    return None if row is None else _RUN.read(row)


async def page(tx: Transaction, thread_id: str, wanted: PageRequest) -> Page:
    """Return one page of the runs of a thread, which the caller has found in its project.

    Asked for its project too, SQLite may walk through all runs of that.
    """
    return await pages.page(tx, _RUN, wanted, thread_id=thread_id)


async def save_metadata(tx: Transaction, run: Run) -> None:
    """Store a run's metadata, the one thing of it that clients may change."""
    keys = {"id": run.id, "thread_id": run.thread_id, "project": run.project}
    await tx.run(UPDATE_METADATA, {**keys, "new_metadata": _RUN.params(run)["metadata"]})


async def hold(tx: Transaction, project: str, thread_id: str, run_id: str) -> Run | None:
    """Return a run of the thread, which nobody else can change until the transaction ends.

    A thread is held before its runs.
    """
    row = await tx.hold(HOLD_RUN, {"id": run_id, "thread_id": thread_id, "project": project})
    return None if row is None else _RUN.read(row)


async def hold_thread(tx: Transaction, run_id: str) -> None:
    """Hold the thread that a run is on."""
    await tx.hold(HOLD_THREAD_OF_RUN, {"id": run_id})


async def state(tx: Transaction, run: Run) -> RunState:
    """Return all that a decision about the run needs."""
    return RunState(run, await steps.open_of(tx, run))


async def queued(tx: Transaction, run_id: str) -> Run | None:
    """Return a run if it is queued and waits in no line: whoever is handed it may claim it and begin."""
    row = await tx.one(SELECT_BY_ID, {"id": run_id})
    if row is None or (run := _RUN.read(row)).status != RunStatus.QUEUED or run.held is not None:
        return None
    return run


def claimed(run: Run, worker: str, now: int) -> Run:
    """Return a queued run as a worker's own; the next :func:`apply` stores that."""
    return replace(run, epoch=run.epoch + 1, worker=worker, claimed_at=now, waits_for=None, due=None)


RETRY_AFTER = (0, 1_000, 5_000, 15_000, 30_000)
"""Milliseconds from a claim whose owner died or broke off to the next one, by how many such came before it.

From claim to claim, so that nothing need be written when an owner dies. The fifth such claim ends the run.
"""


def not_before(attempts: int, claimed_at: int | None) -> int:
    """Return when a run may be claimed whose owner has died or broken off, as ``attempts`` did before."""
    return (claimed_at or 0) + RETRY_AFTER[min(attempts, len(RETRY_AFTER) - 1)]


async def claim(tx: Transaction, run_id: str, worker: str, now: int) -> RunState | None:
    """Make a worker the owner of a run that has work to do; None if it has none, or not yet.

    Whoever is handed a run claims it, whoever has it: the former owner's writes die on the epoch. A claim
    counts as an attempt if the owner before it died or broke off since it last committed anything, and not
    if it gave the run up.
    """
    row = await tx.hold(HOLD_BY_ID, {"id": run_id})
    if row is None or not _has_work(run := _RUN.read(row), now):
        return None
    broke_off = run.status == RunStatus.IN_PROGRESS and run.worker is not None
    if broke_off and now < min(not_before(run.attempts, run.claimed_at), run.expires_at):
        return None
    retries = run.waits_for == WaitsFor.RETRY
    spoken = _may_have_spoken(run) and not retries
    claimed = replace(
        run,
        epoch=run.epoch + 1,
        version=run.version + 1,
        worker=worker,
        position=run.position + (JUMP if spoken else 0),
        claimed_at=now,
        attempts=run.attempts + broke_off,
        waits_for=None if retries else run.waits_for,
        due=None,
    )
    new = {f"new_{name}": getattr(claimed, name) for name in _CLAIMED}
    await tx.run(CLAIM_RUN, {"id": run_id, **new})
    if (run.status == RunStatus.IN_PROGRESS and not retries) or spoken:
        await _record_takeover(tx, run, claimed, now)
    return await state(tx, claimed)


def _has_work(run: Run, now: int) -> bool:
    wakes_at = run.expires_at if run.due is None else min(run.expires_at, run.due)
    parked = run.waits_for is not None and now < wakes_at
    return run.status.live and run.held is None and not parked


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


def _may_have_spoken(run: Run) -> bool:
    """Whether an earlier owner may have told readers more than it committed: only a model does that."""
    at_work = run.status in (RunStatus.IN_PROGRESS, RunStatus.CANCELLING)
    return at_work and run.open_step is None and run.begun_at is not None


async def apply(
    tx: Transaction, before: RunState, decision: Decision, now: int, *, last: bool = False
) -> Applied:
    """Write a decision that was made on ``before``; let the thread's line go on if the run is over.

    Args:
        last: whether nothing else is written with it.

    Raises:
        ClaimLost: the caller no longer owns the run.
        Changed: the run is another version than ``before``; decide anew.
    """
    after = decision.state.run
    ended = not after.status.live
    first, *more = batches(_writes(before.run, decision, now)) or [[]]
    alone = last and not more and (not ended or after.config.token_allowance is None)
    thread = {"thread_id": after.thread_id}
    change = _change(before.run, after, now)
    row = None
    if alone:
        hold = threads.HOLD_WITHOUT_LINE if ended else threads.HOLD_FOR_RUN
        row = await tx.write([Write(hold, thread), change], first, last=True)
    if row is None:
        alone = False
        row = await tx.write([Write(threads.HOLD_FOR_RUN, thread), change], first)
    if row is None:
        raise await _why_not(tx, before.run)
    for batch in more:
        await tx.write((), batch)
    released = None
    if ended and not alone:
        released = await _let_line_go_on(tx, before.run, row, now)
        if after.config.token_allowance is not None:
            await budgets.count(tx, after.project, after.usage.total_tokens, now)
    thread_row = threads.RowForRun(*row)
    told_webhooks = bool(thread_row.has_webhooks) and webhooks.event_of(before.run, after) is not None
    moved = after.status != before.run.status
    return Applied(decision.state.at_version(before.run.version + 1), released, told_webhooks, moved)


def _change(before: Run, after: Run, now: int) -> Write:
    values = _RUN.params(after)
    changing = {name: values[name] for name in _CHANGING}
    guard = {"id": after.id, "old_epoch": before.epoch, "old_version": before.version}
    if after.status.live:
        return Write(UPDATE_RUN, {**changing, **guard})
    return Write(END_RUN, {**changing, **metrics.of_ended_run(after, now), **guard})


def _writes(before: Run, decision: Decision, now: int) -> list[Write]:
    """Return what a decision writes besides the run itself."""
    after = decision.state.run
    writes, brought = [], 0
    for write in decision.writes:
        match write:
            case AddMessage(message):
                writes.append(messages.insertion(message))
                brought += 1
            case AddStep(step):
                writes.append(steps.insertion(step))
                writes += map(calls.insertion, step.calls)
            case SaveStep(step):
                writes.append(steps.change(step))
            case SaveCall(call):
                writes.append(calls.change(call))
            case AddFile(made, thread_id):
                writes += code.insertions(made, thread_id)
    if (told := webhooks.announcement(before, after, now)) is not None:
        writes.append(told)
    if brought or not after.status.live:
        writes.append(threads.counted(before, after, brought))
    return writes


async def _why_not(tx: Transaction, before: Run) -> Exception:
    row = await tx.one(SELECT_BY_ID, {"id": before.id})
    return Changed() if row is not None and _RUN.read(row).epoch == before.epoch else ClaimLost()


async def _let_line_go_on(tx: Transaction, before: Run, thread: Row, now: int) -> str | None:
    """Let in what waits, unless it waits for another run than the one that has ended."""
    found = threads.RowForRun(*thread)
    if not found.waiting or found.live_run not in (None, before.id):
        return None
    return await line.release(tx, before.thread_id, now)


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
    """Return the ids of live runs whose time is up, and when the next live run expires or goes on."""
    expired = [row[0] for row in await tx.all(SELECT_DUE, {"now": now})]
    following = await tx.one(SELECT_NEXT_DUE, {}) or ()
    return expired, min((moment for moment in following if moment is not None), default=None)


async def gone(tx: Transaction, run_ids: Sequence[str]) -> list[str]:
    """Return those of some runs that have no row any more."""
    return [run_id for run_id in run_ids if await tx.one(SELECT_BY_ID, {"id": run_id}) is None]


async def book_gone(tx: Transaction, run: Run, tokens: int, now: int) -> None:
    """Book what a run has used for its project's day, if the run was deleted: its end can't."""
    if run.config.token_allowance is not None and await gone(tx, [run.id]):
        await budgets.count(tx, run.project, tokens, now)


async def unfinished(tx: Transaction, now: int) -> list[Unfinished]:
    """Return the live runs that a worker should be working on, the soonest to expire first."""
    return [Unfinished(*row) for row in await tx.all(SELECT_UNFINISHED, {"now": now})]
