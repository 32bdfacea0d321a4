"""Runs in the store: claims, guards, and the lock that the database itself keeps."""

import pytest
from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import AddMessage, AddStep, Decision, RunState
from clew.core.events import CancelRequested, Started
from clew.core.records import Run
from clew.core.states import LIVE, RunStatus, WaitsFor
from clew.store import messages, projects, runs, steps, threads
from clew.store.database import Conflict, Database
from clew.store.statement import Transaction
from tests.support import store
from tests.support.database import Place, dump
from tests.support.store import NOW, PROJECT, opened

pytestmark = pytest.mark.anyio


async def _with_run(tx: Transaction, run: Run) -> None:
    await threads.add(tx, store.thread(run.thread_id))
    await runs.add(tx, run)


async def _claimed(db: Database, now: int = NOW) -> RunState:
    state = await db.write(runs.claim, "run_1", "worker_1", now)
    assert state is not None
    return state


def _writing(state: RunState) -> Decision:
    """Return a decision that writes one of everything."""
    changed = replace(state.run, status=RunStatus.IN_PROGRESS, started_at=NOW)
    return Decision(RunState(changed), (AddMessage(store.message()), AddStep(store.step())))


@pytest.mark.parametrize("first", sorted(LIVE))
@pytest.mark.parametrize("second", sorted(LIVE))
async def test_a_thread_has_one_live_run(place: Place, first: RunStatus, second: RunStatus) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run("run_1", status=first))
        assert not await db.write(runs.add, store.run("run_2", status=second))
        await db.write(_with_run, store.run("run_3", "thread_2", status=second))
        assert [row[1] for row in dump(place)["runs"]] == ["run_1", "run_3"]


async def test_runs_that_wait_for_a_share_come_in_their_order(place: Place) -> None:
    async with opened(place) as db:
        for number in (3, 1, 2):
            await db.write(_with_run, store.run(f"run_{number}", f"thread_{number}"))
            queued = await db.fetch(runs.queued, f"run_{number}")
            assert queued is not None
            await db.write(projects.have_wait, queued)
            await db.write(projects.have_wait, queued)  # it has changed since: nothing is written
        assert await db.fetch(projects.waiting, PROJECT, 2) == ["run_3", "run_1"]
        assert await db.fetch(projects.with_waiting) == [PROJECT]
        found = await db.fetch(runs.queued, "run_3")
        assert found is not None
        assert (found.waits_for, found.version) == (WaitsFor.SHARE, 1)
        assert await db.scan(runs.unfinished, NOW) == []
        taken = runs.claimed(found, "worker_1", NOW)
        assert (taken.waits_for, taken.worker) == (None, "worker_1")


async def test_the_database_itself_refuses_a_second_live_run(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run("run_1"))
        await db.write(_unlock)
        with pytest.raises(Conflict, match=r"live_run_of_thread|runs\.thread_id"):
            await db.write(runs.add, store.run("run_2"))


async def _unlock(tx: Transaction) -> None:
    """Have the thread's row say what isn't so."""
    counts = {"messages": 0, "tokens": 0, "ended": "run_1", "left_line": 0}
    await tx.run(threads.COUNT, {"thread_id": "thread_1", **counts})


async def test_runs_that_are_over_lock_nothing(place: Place) -> None:
    over = [status for status in RunStatus if status not in LIVE]
    async with opened(place) as db:
        await db.write(_with_run, store.run("run_1", status=over[0]))
        for number, status in enumerate(over):
            await db.write(runs.add, store.run(f"run_over_{number}", status=status))
        assert await db.write(threads.lock, PROJECT, "thread_1") == (None, None)
        await db.write(runs.add, store.run("run_live"))
        assert await db.write(threads.lock, PROJECT, "thread_1") == ("run_live", None)
        assert await db.write(threads.lock, "beta", "thread_1") is None


async def test_a_worker_that_lost_its_claim_writes_nothing(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run())
        stale = await _claimed(db)
        newer = await _claimed(db)
        assert newer.run.epoch == stale.run.epoch + 1
        before = dump(place)
        with pytest.raises(runs.ClaimLost):
            await db.write(runs.apply, stale, _writing(stale), NOW)
        with pytest.raises(runs.ClaimLost):
            await db.read(runs.reload, "run_1", stale.run.epoch)
        assert dump(place) == before
        applied = await db.write(runs.apply, newer, _writing(newer), NOW)
        assert applied.state.run.version == newer.run.version + 1
        assert len(await db.read(messages.of_run, "run_1")) == 0
        assert len(await db.read(steps.of_run, "run_1")) == 1


async def test_a_worker_that_looked_at_an_older_version_decides_anew(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run())
        owner = await _claimed(db)
        cancelling = decide(owner, CancelRequested(), NOW)
        await db.write(runs.apply, owner, cancelling, NOW)
        before = dump(place)
        with pytest.raises(runs.Changed):
            await db.write(runs.apply, owner, _writing(owner), NOW)
        assert dump(place) == before
        reloaded = await db.read(runs.reload, "run_1", owner.run.epoch)
        assert reloaded.run.status == RunStatus.CANCELLING
        await db.write(runs.apply, reloaded, decide(reloaded, Started(), NOW), NOW)


async def test_a_worker_whose_run_was_deleted_writes_nothing(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run())
        owner = await _claimed(db)
        await db.write(threads.remove, PROJECT, "thread_1")
        with pytest.raises(runs.ClaimLost):
            await db.write(runs.apply, owner, _writing(owner), NOW)
        assert not any(dump(place).values())


async def test_metadata_of_clients_and_writes_of_workers_do_not_disturb_each_other(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_with_run, store.run())
        owner = await _claimed(db)
        await db.write(runs.save_metadata, replace(owner.run, metadata={"seen": "yes"}))
        await db.write(runs.apply, owner, _writing(owner), NOW)
        run = await db.read(runs.get, PROJECT, "thread_1", "run_1")
        assert run is not None
        assert (run.metadata, run.status) == ({"seen": "yes"}, RunStatus.IN_PROGRESS)


@pytest.mark.parametrize("status", list(RunStatus))
async def test_only_runs_with_work_to_do_can_be_claimed(place: Place, status: RunStatus) -> None:
    async with opened(place) as db:
        waits_for = WaitsFor.CLIENT if status == RunStatus.REQUIRES_ACTION else None
        await db.write(_with_run, store.run(status=status, waits_for=waits_for))
        at_work = status in LIVE and status != RunStatus.REQUIRES_ACTION
        assert (await db.write(runs.claim, "run_1", "worker_1", NOW) is not None) == at_work
        late = NOW + 600_000
        assert (await db.write(runs.claim, "run_1", "worker_1", late) is not None) == (status in LIVE)
        assert await db.write(runs.claim, "run_unheard_of", "worker_1", late) is None


async def test_recovery_finds_the_runs_that_somebody_must_work_on(place: Place) -> None:
    async with opened(place) as db:
        for number, status in enumerate(RunStatus):
            waits_for = WaitsFor.CLIENT if status == RunStatus.REQUIRES_ACTION else None
            run = store.run(f"run_{status}", f"thread_{number}", status=status, waits_for=waits_for)
            await db.write(_with_run, replace(run, expires_at=NOW + number))
        found = [run.id for run in await db.scan(runs.unfinished, NOW)]
        assert found == ["run_queued", "run_in_progress", "run_cancelling"]
        expired, following = await db.scan(runs.due, NOW + 1)
        assert sorted(expired) == ["run_in_progress", "run_queued"]
        assert following is not None


async def test_a_deleted_thread_takes_everything_with_it_and_nothing_else(place: Place) -> None:
    async with opened(place) as db:
        for number in (1, 2):
            thread, run = f"thread_{number}", f"run_{number}"
            await db.write(_with_run, store.run(run, thread))
            await db.write(messages.add, store.message(f"msg_{number}", thread, run_id=run))
            await db.write(store.add_step, store.step(f"step_{number}", run, thread))
        assert await db.write(threads.remove, "beta", "thread_1") is False
        assert await db.write(threads.remove, PROJECT, "thread_1") is True
        left = {table: [row[1] for row in rows] for table, rows in dump(place).items() if rows}
        assert left == {
            "threads": ["thread_2"],
            "messages": ["msg_2"],
            "runs": ["run_2"],
            "steps": ["step_2"],
        }
