"""The known races, each played in both orders, on both stores.

On PostgreSQL transactions really overlap: the first is held in the middle, the second is seen to stand
before its lock, then the first goes on. On SQLite both wait for the one writer and share a commit, where
the second must see what the first has done, and take nothing of it along when it fails.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import Decision, RunState
from clew.core.errors import NotCancellable, NotFound, OutputsNotAccepted
from clew.core.events import CancelRequested, ModelReplied, Started, Submitted
from clew.core.records import Run, Wait
from clew.core.states import RunStatus, WaitsFor
from clew.service.commands import NewStoreFile
from clew.service.files import delete_everywhere
from clew.service.following import RunKeys
from clew.service.runs import change
from clew.service.vector_stores import held, put
from clew.store import files, messages, runs, steps, store_files, threads, vector_stores
from clew.store.database import Database
from clew.store.postgres import PostgresDatabase
from clew.store.statement import Transaction
from tests.store.test_sqlite import Held
from tests.support import store
from tests.support.database import Place
from tests.support.store import NOW, PROJECT, opened
from tests.support.waiting import Gate, until_somebody_waits

pytestmark = pytest.mark.anyio

KEYS = RunKeys(PROJECT, "thread_1", "run_1")
LATE = NOW + 600_000

Work = Callable[[Transaction], Coroutine[Any, Any, Any]]


@pytest.fixture
async def db(place: Place) -> AsyncIterator[Database]:
    async with opened(place) as db:
        yield db


async def _race(db: Database, first: Work, second: Work) -> tuple[Any, Any]:
    """Run two transactions, the second of which comes while the first is about to commit.

    Return what came of each: its result, or its exception.
    """
    if isinstance(db, PostgresDatabase):
        return await _overlapping(db, first, second)
    async with Held(db):
        both = asyncio.gather(db.write(first), db.write(second), return_exceptions=True)
        await asyncio.sleep(0)
    came = await both
    return came[0], came[1]


async def _overlapping(db: PostgresDatabase, first: Work, second: Work) -> tuple[Any, Any]:
    gate = Gate()

    async def held(tx: Transaction) -> Any:
        result = await first(tx)
        await gate.wait()
        return result

    one: Awaitable[Any] = asyncio.ensure_future(db.write(held))
    await gate.reached.wait()
    two: Awaitable[Any] = asyncio.ensure_future(db.write(second))
    await until_somebody_waits(db.url)
    gate.opened.set()
    came = await asyncio.gather(one, two, return_exceptions=True)
    return came[0], came[1]


async def _at_work(db: Database) -> RunState:
    """Return a run that a worker owns and is about to complete."""

    async def add(tx: Transaction) -> None:
        await threads.add(tx, store.thread())
        await runs.add(tx, store.run(status=RunStatus.IN_PROGRESS, started_at=NOW, begun_at=NOW, position=3))

    await db.write(add)
    owned = await db.write(runs.claim, "run_1", "worker_1", NOW)
    assert owned is not None
    return owned


async def _parked(db: Database) -> None:
    """Put a run there that waits for an output."""

    async def add(tx: Transaction) -> None:
        await threads.add(tx, store.thread())
        await runs.add(
            tx,
            store.run(
                status=RunStatus.REQUIRES_ACTION,
                started_at=NOW,
                begun_at=NOW,
                waits_for=WaitsFor.CLIENT,
                open_step="step_1",
                waits=[Wait(WaitsFor.CLIENT, "step_1", NOW, 9)],
                position=9,
                expires_at=LATE,
            ),
        )
        await store.add_step(tx, store.step(calls=[store.call()]))

    await db.write(add)


def _completes(owned: RunState) -> Work:
    decision: Decision = decide(owned, ModelReplied(store.turn(text="Done.", finish_reason="stop")), NOW + 1)
    return lambda tx: runs.apply(tx, owned, decision, NOW + 1)


def _cancels(tx: Transaction) -> Coroutine[Any, Any, Any]:
    return change(tx, KEYS, CancelRequested(), NOW + 1, None)


def _submits(now: int) -> Work:
    event = Submitted(outputs=(("call_1", "a wall"),))
    return lambda tx: change(tx, KEYS, event, now, None)


def _claims(worker: str, after: int = 1) -> Work:
    return lambda tx: runs.claim(tx, "run_1", worker, NOW + after)


async def _expires(tx: Transaction) -> Any:
    await threads.hold(tx, PROJECT, "thread_1")
    owned = await runs.claim(tx, "run_1", "worker_1", LATE)
    assert owned is not None
    return await runs.apply(tx, owned, decide(owned, Started(), LATE), LATE)


async def _run(db: Database) -> Run:
    run = await db.read(runs.get, *KEYS)
    assert run is not None
    return run


async def test_a_cancellation_that_comes_after_the_end_is_refused(db: Database) -> None:
    completed, refused = await _race(db, _completes(await _at_work(db)), _cancels)
    assert completed.state.run.status == "completed"
    assert isinstance(refused, NotCancellable)
    assert refused.status == "completed"
    assert (await _run(db)).status == "completed"


async def test_an_end_that_comes_after_a_cancellation_is_decided_anew(db: Database) -> None:
    owned = await _at_work(db)
    _, changed = await _race(db, _cancels, _completes(owned))
    assert isinstance(changed, runs.Changed)
    newest = await db.read(runs.reload, "run_1", owned.run.epoch)
    decision = decide(newest, ModelReplied(store.turn(text="Done.", finish_reason="stop")), NOW + 2)
    applied = await db.write(runs.apply, newest, decision, NOW + 2)
    assert applied.state.run.status == "cancelled"
    (message,) = await db.read(messages.of_run, "run_1")
    assert message.status == "incomplete"


async def test_an_end_that_comes_after_a_takeover_is_not_written(db: Database) -> None:
    owned = await _at_work(db)
    taken, lost = await _race(db, _claims("worker_2"), _completes(owned))
    assert isinstance(lost, runs.ClaimLost)
    run = await _run(db)
    assert (run.status, run.worker, run.epoch) == ("in_progress", "worker_2", taken.run.epoch)
    assert await db.read(messages.of_run, "run_1") == []
    assert await db.read(steps.of_run, "run_1") == []


async def test_a_run_that_has_just_ended_is_not_taken_over(db: Database) -> None:
    _, taken = await _race(db, _completes(await _at_work(db)), _claims("worker_2"))
    assert taken is None
    assert (await _run(db)).status == "completed"


async def test_a_cancellation_during_a_takeover_is_heard_by_the_new_owner(db: Database) -> None:
    await _at_work(db)
    taken, (_, asked) = await _race(db, _claims("worker_2"), _cancels)
    assert (asked.run.status, asked.run.worker) == ("cancelling", "worker_2")
    assert asked.run.epoch == taken.run.epoch


async def test_a_takeover_during_a_cancellation_ends_the_run(db: Database) -> None:
    await _at_work(db)
    _, taken = await _race(db, _cancels, _claims("worker_2"))
    assert (taken.run.status, taken.run.worker) == ("cancelling", "worker_2")
    assert decide(taken, Started(), NOW + 2).state.run.status == "cancelled"


async def test_of_two_takeovers_the_later_one_owns_the_run(db: Database) -> None:
    await _at_work(db)
    second, third = await _race(db, _claims("worker_2"), _claims("worker_3", after=60_000))
    assert third.run.epoch == second.run.epoch + 1
    _, lost = await _race(db, _completes(third), _completes(second))
    assert isinstance(lost, runs.ClaimLost)
    assert len(await db.read(messages.of_run, "run_1")) == 1


async def test_outputs_that_come_after_the_expiry_are_refused(db: Database) -> None:
    await _parked(db)
    _, refused = await _race(db, _expires, _submits(LATE - 1))
    assert isinstance(refused, OutputsNotAccepted)
    assert refused.status == "expired"
    assert (await _run(db)).status == "expired"


async def test_a_run_whose_outputs_came_in_time_still_expires_and_keeps_them(db: Database) -> None:
    await _parked(db)
    await _race(db, _submits(LATE - 1), _expires)
    assert (await _run(db)).status == "expired"
    (step,) = await db.read(steps.of_run, "run_1")
    assert [call.output for call in step.calls] == ["a wall"]


async def test_of_two_submissions_one_wins(db: Database) -> None:
    await _parked(db)
    (_, state), refused = await _race(db, _submits(NOW), _submits(NOW))
    assert state.run.status == "queued"
    assert isinstance(refused, OutputsNotAccepted)
    assert refused.status == "queued"


async def test_of_two_cancellations_one_wins(db: Database) -> None:
    await _at_work(db)
    _, refused = await _race(db, _cancels, _cancels)
    assert isinstance(refused, NotCancellable)
    assert refused.status == "cancelling"


async def test_a_thread_that_is_deleted_first_takes_the_end_of_its_run_with_it(db: Database) -> None:
    owned = await _at_work(db)
    deleted, lost = await _race(db, lambda tx: threads.remove(tx, PROJECT, "thread_1"), _completes(owned))
    assert deleted is True
    assert isinstance(lost, runs.ClaimLost)


async def test_a_thread_that_is_deleted_afterwards_takes_the_answer_with_it(db: Database) -> None:
    owned = await _at_work(db)
    _, deleted = await _race(db, _completes(owned), lambda tx: threads.remove(tx, PROJECT, "thread_1"))
    assert deleted is True
    assert await db.read(messages.of_run, "run_1") == []


async def test_of_two_runs_on_one_thread_the_second_is_refused(db: Database) -> None:
    await db.write(threads.add, store.thread())

    async def create(tx: Transaction, number: int) -> bool:
        lock = await threads.lock(tx, PROJECT, "thread_1")
        assert lock is not None
        if lock.active is None:
            await runs.add(tx, replace(store.run(f"run_{number}"), status=RunStatus.QUEUED))
        return lock.active is None

    came = await _race(db, lambda tx: create(tx, 1), lambda tx: create(tx, 2))
    assert came == (True, False)


# --- files -----------------------------------------------------------------------------------------


async def _put(tx: Transaction) -> int:
    return await put(tx, await held(tx, PROJECT, "vs_1"), [NewStoreFile(file_id="file_1")], NOW)


async def _delete_file(tx: Transaction) -> Any:
    return await delete_everywhere(tx, PROJECT, "file_1", NOW)


@pytest.mark.parametrize("order", ["put first", "deleted first"])
async def test_a_file_that_is_deleted_while_it_is_put_into_a_store_is_in_none(
    db: Database, order: str
) -> None:
    await db.write(files.add, store.file(), None)
    await db.write(vector_stores.add, store.vector_store())
    if order == "put first":
        added, _ = await _race(db, _put, _delete_file)
        assert added == 1
    else:
        _, refused = await _race(db, _delete_file, _put)
        assert isinstance(refused, NotFound)
    assert await db.fetch(store_files.of_file, "file_1") == []
    left = await db.fetch(vector_stores.get, PROJECT, "vs_1")
    assert left is not None
    assert left.counts.total == 0
