"""Workers: whoever is handed a run owns it, and whoever lost it writes nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.core.decisions import RunState
from clew.core.records import Run
from clew.engine.presence import SoleWorker
from clew.engine.shares import Shares
from clew.engine.sweeper import Sweeper
from clew.engine.worker import Worker
from clew.model.catalogue import one_model
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.process import Process
from clew.store import agents, messages, runs, steps, threads
from clew.store.database import Database
from clew.store.sqlite import SqliteDatabase
from clew.store.statement import Transaction
from clew.testing.scripted_model import ScriptedModel
from clew.tools.toolbox import Toolbox
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place, dump
from tests.support.ids import CountingIds
from tests.support.store import NOW, PROJECT, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


class Rig:
    """A database, and workers that share nothing else."""

    def __init__(self, db: Database, model: ScriptedModel) -> None:
        self.db, self._model = db, model
        self.clock, self._ids = ManualClock(NOW), CountingIds()
        self._gateways: list[RemoteModel] = []

    def worker(self) -> Worker:
        gateway = RemoteModel(Endpoint(url=self._model.url), timeout=5, clock=self.clock)
        self._gateways.append(gateway)
        return Worker(
            self._ids.new("worker_"),
            self.db,
            dispatch=LocalDispatch("worker_0", 10),
            events=LocalEvents(),
            models=one_model(gateway, offered=("scripted",)),
            toolbox=Toolbox({}),
            process=Process(self.clock, self._ids),
            shares=Shares(),
        )

    async def aclose(self) -> None:
        for gateway in self._gateways:
            await gateway.aclose()

    async def run(self) -> Run:
        run = await self.db.read(runs.get, PROJECT, "thread_1", "run_1")
        assert run is not None
        return run

    async def said(self) -> list[str]:
        return [store.text_of(each) for each in await self.db.read(messages.of_run, "run_1")]


async def _thread_with_run(tx: Transaction) -> None:
    await agents.add(tx, store.agent())
    await threads.add(tx, store.thread())
    await messages.add(tx, store.message())
    await runs.add(tx, store.run())


@asynccontextmanager
async def rig(place: Place, model: ScriptedModel) -> AsyncIterator[Rig]:
    async with opened(place) as db:
        await db.write(_thread_with_run)
        made = Rig(db, model)
        yield made
        await made.aclose()


async def test_a_worker_whose_run_was_taken_over_writes_nothing(place: Place, model: ScriptedModel) -> None:
    slow = model.hold("from the slow one")
    model.reply("from the quick one")
    async with rig(place, model) as world:
        first = asyncio.ensure_future(world.worker().advance("run_1"))
        await slow.gates[0].reached.wait_async()
        await world.worker().advance("run_1")
        assert (await world.run()).status == "completed"
        before = dump(place)
        slow.release()
        await first
        assert dump(place) == before
        assert await world.said() == ["from the quick one"]
        assert len(await world.db.read(steps.of_run, "run_1")) == 1
        assert (await world.run()).epoch == 2


async def test_of_two_workers_at_once_one_ends_the_run(place: Place, model: ScriptedModel) -> None:
    async with rig(place, model) as world:
        await asyncio.gather(*(world.worker().advance("run_1") for _ in range(5)))
        assert (await world.run()).status == "completed"
        assert len(await world.said()) == 1


async def test_a_worker_whose_run_was_deleted_stops_without_a_trace(
    place: Place, model: ScriptedModel
) -> None:
    slow = model.hold("to nobody")
    async with rig(place, model) as world:
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await slow.gates[0].reached.wait_async()
        await world.db.write(threads.remove, PROJECT, "thread_1")
        slow.release()
        await working
        assert dump(place)["messages"] == dump(place)["steps"] == dump(place)["runs"] == []


async def test_a_run_that_is_over_or_unknown_asks_nothing_of_anybody(
    place: Place, model: ScriptedModel
) -> None:
    async with rig(place, model) as world:
        worker = world.worker()
        await worker.advance("run_1")
        before = dump(place)
        await worker.advance("run_1")
        await worker.advance("run_unheard_of")
        assert dump(place) == before
        assert len(model.requests) == 1


async def test_the_loop_goes_on_while_the_model_is_slow(place: Place, model: ScriptedModel) -> None:
    slow = model.silence(then="at last")
    async with rig(place, model) as world:
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await slow.gates[0].reached.wait_async()
        for _ in range(100):
            assert (await world.run()).status == "in_progress"
            await asyncio.sleep(0)
        slow.release()
        await working
        assert await world.said() == ["at last"]


class _SlowScans(SqliteDatabase):
    """A database whose scans take their time to come back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.scanned, self.go_on = asyncio.Event(), asyncio.Event()

    async def scan(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        result = await super().scan(*args, **kwargs)
        self.scanned.set()
        await self.go_on.wait()
        return result


async def test_what_becomes_due_while_a_sweep_looks_is_not_overlooked(
    database: Path, model: ScriptedModel
) -> None:
    """A run that is made after the sweep has looked, and is due before the next look, is found in time."""
    clock, advanced = ManualClock(NOW), asyncio.Event()
    db = _SlowScans(database)
    dispatch = LocalDispatch("worker_0", 10)
    sweeper = Sweeper(
        db, dispatch=dispatch, presence=SoleWorker("worker_0"), process=Process(clock, CountingIds())
    )
    dispatch.serve(_Advances(clock, advanced), sweeper.look_by)
    sweeping = asyncio.ensure_future(sweeper.run())
    await db.scanned.wait()
    await db.write(_thread_with_short_run)
    dispatch.wake_at(NOW + 1000)
    db.go_on.set()
    await asyncio.to_thread(clock.advance_past_sleep, 1000)
    await asyncio.wait_for(advanced.wait(), 5)
    sweeping.cancel()
    await dispatch.close()
    await db.close()


class _Advances:
    """A worker that only says when it is handed a run that is due."""

    def __init__(self, clock: ManualClock, advanced: asyncio.Event) -> None:
        self._clock, self._advanced = clock, advanced

    async def advance(
        self, run_id: str, claimed: RunState | None = None, acknowledge: Callable[[], None] | None = None
    ) -> None:
        if self._clock.now() > NOW:
            self._advanced.set()

    def interrupt(self, run_id: str) -> bool:
        return False


async def _thread_with_short_run(tx: Transaction) -> None:
    await threads.add(tx, store.thread())
    await runs.add(tx, store.run(expires_at=NOW + 1000))
