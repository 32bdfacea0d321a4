"""The sweep: finds what nobody works on, and leaves alone what is on its way to a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from clew.core.decisions import RunState
from clew.core.states import RunStatus
from clew.engine.presence import Presence, SoleWorker
from clew.engine.sweeper import Sweeper
from clew.process import Process
from clew.store import runs, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.store import opened

pytestmark = pytest.mark.anyio


class Handed:
    """A dispatch that remembers to whom runs were handed, and works on them for ever."""

    claimant = None
    full = False
    works = True
    waiting = 0

    def full_for(self, project: str) -> bool:
        return False

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.interrupted: list[str] = []
        self.busy = True

    def advance(self, run_id: str, claimed: RunState | None = None, *, project: str = "") -> None:
        self.runs.append(run_id)

    def interrupt(self, run_id: str) -> None:
        self.interrupted.append(run_id)

    def wake_at(self, due: int) -> None: ...

    def at_work(self) -> set[str]:
        return set(self.runs) if self.busy else set()

    def works_on(self, run_id: str) -> bool:
        return self.busy and run_id in self.runs


class Others:
    """Whom the sweeping process takes to be alive."""

    worker = "worker_me"
    alone = False

    def __init__(self, *gone: str, leads: bool = True) -> None:
        self.gone, self.leads = set(gone), leads

    def is_gone(self, worker: str, beats: int | None) -> bool:
        return worker in self.gone


async def _insert(
    tx: Transaction, number: int, worker: str | None = None, status: RunStatus = RunStatus.QUEUED
) -> None:
    thread = f"thread_{number}"
    await threads.add(tx, store.thread(thread))
    await runs.add(tx, replace(store.run(f"run_{number}", thread, status=status), worker=worker))


@asynccontextmanager
async def sweeping(place: Place, presence: Presence) -> AsyncIterator["Sweeping"]:
    async with opened(place) as db:
        yield Sweeping(db, presence)


class Sweeping:
    """A sweeper, what it hands on, and its clock."""

    def __init__(self, db: Database, presence: Presence) -> None:
        self.db, self.clock, self.dispatch = db, ManualClock(store.NOW), Handed()
        self.sweeper = Sweeper(
            db, dispatch=self.dispatch, presence=presence, process=Process(self.clock, CountingIds())
        )

    async def sweep(self, times: int = 1) -> int:
        """Look so many times; return milliseconds until the next look."""
        due = 0
        for _ in range(times):
            due = await self.sweeper._sweep()
        return due - self.clock.now()


async def test_a_run_on_its_way_to_a_worker_is_not_taken_up(place: Place) -> None:
    async with sweeping(place, SoleWorker("worker_me")) as world:

        async def create(number: int) -> None:
            await world.db.write(_insert, number)
            world.dispatch.advance(f"run_{number}")

        for number in range(150):
            await asyncio.gather(create(number), world.sweep())
        await world.sweep()
        assert sorted(world.dispatch.runs) == sorted(f"run_{number}" for number in range(150))


async def test_work_on_a_run_that_is_deleted_is_interrupted(place: Place) -> None:
    async with sweeping(place, SoleWorker("worker_me")) as world:
        await world.db.write(_insert, 1)
        world.dispatch.runs += ["run_1", "run_deleted"]
        await world.sweep()
        assert world.dispatch.interrupted == ["run_deleted"]


@pytest.mark.parametrize("worker", [None, "worker_me"])
async def test_what_nobody_works_on_is_taken_up_at_the_second_look(place: Place, worker: str | None) -> None:
    async with sweeping(place, SoleWorker("worker_me")) as world:
        await world.sweep()
        await world.db.write(_insert, 1, worker)
        assert await world.sweep() == 200
        assert world.dispatch.runs == []
        await world.sweep(3)
        assert world.dispatch.runs == ["run_1"]


async def test_a_process_that_is_alone_takes_up_at_once_what_it_finds_when_it_begins(place: Place) -> None:
    async with sweeping(place, SoleWorker("worker_me")) as world:
        await world.db.write(_insert, 1)
        await world.db.write(_insert, 2, "worker_before", RunStatus.IN_PROGRESS)
        await world.sweep()
        assert world.dispatch.runs == ["run_1", "run_2"]


async def test_what_changed_between_two_looks_is_given_time(place: Place) -> None:
    async with sweeping(place, SoleWorker("worker_me")) as world:
        await world.sweep()
        await world.db.write(_insert, 1)
        await world.sweep()
        await world.db.write(runs.claim, "run_1", "worker_me", store.NOW)
        await world.sweep()
        assert world.dispatch.runs == []
        await world.sweep()
        assert world.dispatch.runs == ["run_1"]


async def test_runs_of_a_worker_that_has_gone_are_taken_up_at_once(place: Place) -> None:
    async with sweeping(place, Others("worker_dead")) as world:
        await world.db.write(_insert, 1, "worker_dead", RunStatus.IN_PROGRESS)
        await world.db.write(_insert, 2, "worker_alive", RunStatus.IN_PROGRESS)
        assert await world.sweep() == 5000
        assert world.dispatch.runs == ["run_1"]


async def test_only_the_process_that_leads_looks_after_what_is_nobodys(place: Place) -> None:
    async with sweeping(place, Others("worker_dead", leads=False)) as world:
        await world.db.write(_insert, 1, "worker_dead", RunStatus.IN_PROGRESS)
        await world.db.write(_insert, 2)
        await world.db.write(_insert, 3, "worker_me", RunStatus.IN_PROGRESS)
        await world.sweep(2)
        assert world.dispatch.runs == ["run_3"]


async def test_a_run_that_waits_for_room_is_handed_on_again_after_a_while(place: Place) -> None:
    async with sweeping(place, Others()) as world:
        world.dispatch.busy = False
        await world.db.write(_insert, 1)
        await world.sweep(5)
        assert world.dispatch.runs == ["run_1"]
        world.clock.advance(29_999)
        await world.sweep()
        assert world.dispatch.runs == ["run_1"]
        world.clock.advance(1)
        await world.sweep(3)
        assert world.dispatch.runs == ["run_1"] * 2
        world.sweeper.hand_on_again()
        await world.sweep(2)
        assert world.dispatch.runs == ["run_1"] * 3


async def test_a_cancellation_that_its_worker_did_not_hear_of_is_told_again(place: Place) -> None:
    async with sweeping(place, Others()) as world:
        await world.db.write(_insert, 1, "worker_me", RunStatus.CANCELLING)
        world.dispatch.advance("run_1")
        await world.sweep()
        assert world.dispatch.interrupted == ["run_1"]
