"""Whenever a reader comes, it is told every event once: all orders of its steps and a worker's.

A reader subscribes, reads the rows, and goes on with what it has read. A worker tells a piece, commits,
and tells of the commit. The steps are taken one at a time, in every order in which they can come.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.clock import SystemClock
from clew.core.decide import decide
from clew.core.decisions import Decision, RunState
from clew.core.entries import Entry
from clew.core.events import ModelReplied, Started
from clew.core.journal import journal
from clew.core.records import Usage
from clew.core.states import RunStatus
from clew.engine.recorder import TurnRecorder
from clew.model.chat import Finished, TextDelta
from clew.process import Process
from clew.service.context import Services
from clew.service.following import Follower, RunKeys
from clew.store import messages, runs, steps, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.tools.searcher import Searcher
from clew.wire import frames
from tests.durability.told import check_stream
from tests.support import store
from tests.support.blobs import NO_BLOBS
from tests.support.clock import ManualClock
from tests.support.database import new_database
from tests.support.ids import CountingIds
from tests.support.models import unasked_models
from tests.support.sse import Frame, parse
from tests.support.store import NOW, PROJECT, opened

pytestmark = pytest.mark.anyio

KEYS = RunKeys(PROJECT, "thread_1", "run_1")

Steps = AsyncGenerator[None, None]

_ENOUGH = 5
"""Looks after which a reader must have seen the end of a run that is over."""


class Rig:
    """A run at work, its readers' bus, and a database whose reads can be held."""

    def __init__(self, db: Database) -> None:
        self.db, self.events, self.clock, self.ids = db, LocalEvents(), ManualClock(NOW), CountingIds()
        self.told: list[Entry] = []

    async def claim(self, worker: str) -> RunState:
        owned = await self.db.write(runs.claim, KEYS.run_id, worker, NOW)
        assert owned is not None
        return owned

    def services(self, db: Any) -> Services:
        return Services(
            db=db,
            dispatch=LocalDispatch("worker_1", 1),
            events=self.events,
            process=Process(self.clock, self.ids),
            models=unasked_models(),
            blobs=NO_BLOBS,
            searcher=Searcher(db, None, SystemClock()),
            run_expiry=600_000,
        )

    async def worker(self, owned: RunState) -> Steps:
        """Say something, commit it, tell of it."""
        recorder = TurnRecorder(owned.run, ids=self.ids, clock=self.clock, events=self.events)
        recorder.add([TextDelta("Go le")])
        yield
        recorder.add([TextDelta("ft.")])
        yield
        recorder.add([Finished("stop", Usage(prompt_tokens=1, completion_tokens=1))])
        decision = decide(owned, ModelReplied(recorder.turn()), NOW)
        await self.db.write(runs.apply, owned, decision, NOW)
        yield
        self.events.committed(KEYS.run_id, _untold(decision, recorder))
        yield

    async def worker_taken_over(self, owned: RunState) -> Steps:
        """Say something and die; another worker makes the turn again."""
        recorder = TurnRecorder(owned.run, ids=self.ids, clock=self.clock, events=self.events)
        recorder.add([TextDelta("Go ri")])
        yield
        taken = await self.claim("worker_2")
        yield
        async for _ in self.worker(taken):
            yield

    async def reader(self) -> Steps:
        """Follow the run."""
        held = _HeldReads(self.db)
        follower = Follower(self.services(held), KEYS, 0)
        yield
        reading = asyncio.ensure_future(follower.take(list))
        snapshot = asyncio.ensure_future(held.taken.wait())
        await asyncio.wait((reading, snapshot), return_when=asyncio.FIRST_COMPLETED)
        yield
        held.go_on.set()
        self.told += await reading
        snapshot.cancel()
        yield
        while not follower.over:
            entries = await follower.take(list) or await follower.look()
            self.told += entries
            if not entries and not follower.over:
                yield
        follower.close()

    async def check(self) -> None:
        """Hold what the reader was told against the rows, which tell all of it."""
        run = await self.db.read(runs.get, *KEYS)
        assert run is not None
        lasting = journal(
            run, await self.db.read(steps.of_run, run.id), await self.db.read(messages.of_run, run.id)
        )
        assert self.told[-1].kind == "run.completed"
        assert list(check_stream(_frames(self.told), _frames(lasting))) == []


class _HeldReads:
    """A database that holds what a read has found until it is told to go on."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.taken, self.go_on = asyncio.Event(), asyncio.Event()

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        result = await self._inner.read(*args, **kwargs)
        self.taken.set()
        await self.go_on.wait()
        return result


def _untold(decision: Decision, recorder: TurnRecorder) -> list[Entry]:
    return [entry for entry in decision.entries if entry.end > recorder.position]


def _frames(entries: list[Entry]) -> list[Frame]:
    return [parse(frames.frame(entry, numbered=True).decode().strip()) for entry in entries]


async def _thread_with_run(tx: Transaction) -> None:
    await threads.add(tx, store.thread())
    await runs.add(tx, store.run(status=RunStatus.QUEUED, position=2))


def _orders(one: int, other: int) -> Iterator[tuple[bool, ...]]:
    """Yield every order of so many steps of one and of another: True for each of the first."""
    for places in itertools.combinations(range(one + other), one):
        yield tuple(place in places for place in range(one + other))


async def _at_work(rig: Rig) -> RunState:
    await rig.db.write(_thread_with_run)
    owned = await rig.claim("worker_1")
    return (await rig.db.write(runs.apply, owned, decide(owned, Started(), NOW), NOW)).state


@pytest.mark.parametrize(
    ("work", "working", "number"),
    [(Rig.worker, 4, 35), (Rig.worker_taken_over, 6, 84)],
    ids=["one worker", "a worker that dies"],
)
async def test_a_reader_is_told_everything_once_whenever_it_comes(
    tmp_path: Path, work: Callable[[Rig, RunState], Steps], working: int, number: int
) -> None:
    orders = list(_orders(3, working))
    assert len(orders) == number
    for place, order in enumerate(orders):
        async with opened(new_database(tmp_path / f"{place}.db")) as db:
            rig = Rig(db)
            worker = work(rig, await _at_work(rig))
            reader = rig.reader()
            for readers_turn in order:
                await anext(reader if readers_turn else worker)
            for _ in range(_ENOUGH):
                await anext(reader, None)
            await rig.check()
