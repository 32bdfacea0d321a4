"""Presence: who has died is found out, and nobody is taken for dead who is only slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from clew.engine.presence import SharedPresence
from clew.process import Process
from clew.store import workers
from clew.store.database import Database, StoreUnavailable
from clew.store.workers import WorkerRow
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.store import NOW, opened

pytestmark = pytest.mark.anyio


class Group:
    """Processes on one database, each looking when the test says so."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, ManualClock(NOW)
        self.told: list[str] = []

    def joins(self, name: str) -> SharedPresence:
        row = WorkerRow(id=name, host="here", pid=1, works=True, started_at=NOW, seen_at=NOW)
        return SharedPresence(
            self.db,
            row,
            process=Process(self.clock, CountingIds()),
            takeover_after=4000,
            active=lambda: 7,
            on_gone=lambda: self.told.append(name),
        )

    async def beats(self, name: str) -> int | None:
        rows = {row.id: row.beats for row in await self.db.read(workers.all_)}
        return rows.get(name)


@asynccontextmanager
async def group(place: Place) -> AsyncIterator[Group]:
    async with opened(place) as db:
        yield Group(db)


async def _look(*all_: SharedPresence, times: int = 1) -> None:
    for _ in range(times):
        for each in all_:
            await each._look()


async def test_who_falls_silent_is_gone_after_five_looks(place: Place) -> None:
    async with group(place) as world:
        a, b = world.joins("worker_a"), world.joins("worker_b")
        await _look(a, b)
        beats = await world.beats("worker_a")
        await _look(b, times=3)
        assert not b.is_gone("worker_a", beats)
        assert world.told == []
        await _look(b)
        assert b.is_gone("worker_a", beats)
        assert world.told == ["worker_b"]
        await _look(b, times=3)
        assert world.told == ["worker_b"], "told again of what is known"


async def test_who_beats_is_there_however_late_it_comes(place: Place) -> None:
    async with group(place) as world:
        a, b = world.joins("worker_a"), world.joins("worker_b")
        await _look(a, b)
        for _ in range(5):
            await _look(b, times=3)
            await _look(a)
        assert not b.is_gone("worker_a", await world.beats("worker_a"))
        assert not b.is_gone("worker_b", await world.beats("worker_b"))
        assert world.told == []


async def test_who_was_taken_for_dead_and_beats_again_is_there(place: Place) -> None:
    async with group(place) as world:
        a, b = world.joins("worker_a"), world.joins("worker_b")
        await _look(a, b)
        await _look(b, times=4)
        assert b.is_gone("worker_a", await world.beats("worker_a"))
        await _look(a)
        assert not b.is_gone("worker_a", await world.beats("worker_a")), "its new count was not regarded"


async def test_who_said_so_is_gone_at_once(place: Place) -> None:
    async with group(place) as world:
        a, b = world.joins("worker_a"), world.joins("worker_b")
        await _look(a, b)
        await a.stop()
        assert b.is_gone("worker_a", await world.beats("worker_a"))
        await _look(b)
        assert world.told == ["worker_b"]


async def test_a_worker_not_yet_seen_is_there(place: Place) -> None:
    async with group(place) as world:
        b = world.joins("worker_b")
        await _look(b)
        await _look(world.joins("worker_new"))
        assert not b.is_gone("worker_new", await world.beats("worker_new"))


async def test_one_of_those_who_are_there_leads(place: Place) -> None:
    async with group(place) as world:
        a, b, c = (world.joins(f"worker_{name}") for name in "abc")
        await _look(a, b, c)
        await _look(a, b, c)
        assert [each.leads for each in (a, b, c)] == [True, False, False]
        await _look(b, c, times=4)
        assert [each.leads for each in (b, c)] == [True, False]


async def test_a_database_that_was_away_makes_nobody_look_dead(place: Place) -> None:
    """While nothing could be read, nothing was seen: the looks before do not count."""
    async with group(place) as world:
        a = world.joins("worker_a")
        b = world.joins("worker_b")
        await _look(a, b)
        await _look(b, times=3)

        class Away:
            async def write(self, *_: Any) -> Any:
                raise StoreUnavailable("away")

        there, b._db = b._db, Away()  # type: ignore[assignment]
        task = asyncio.ensure_future(b.run())
        await asyncio.to_thread(world.clock.advance_past_sleep, 1000)
        await asyncio.to_thread(world.clock.advance_past_sleep, 1000)
        task.cancel()
        b._db = there
        await _look(b, times=2)
        assert not b.is_gone("worker_a", await world.beats("worker_a"))


async def test_rows_of_the_long_gone_are_cleared(place: Place) -> None:
    async with group(place) as world:
        await _look(world.joins("worker_old"))
        world.clock.advance(3600 * 1000 + 1)
        await _look(world.joins("worker_new"))
        assert [row.id for row in await world.db.read(workers.all_)] == ["worker_new"]
        assert (await world.db.read(workers.all_))[0].active_runs == 7


class _Powerless:
    """A database whose user may not end what others hold."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def fence(self, name: str) -> None:
        raise StoreUnavailable("permission denied")


async def test_a_worker_counts_as_gone_though_nobody_may_end_what_it_holds(place: Place) -> None:
    async with group(place) as world:
        world.db = cast(Database, _Powerless(world.db))
        a, b = world.joins("worker_a"), world.joins("worker_b")
        await _look(a, b)
        await _look(b, times=5)
        assert b.is_gone("worker_a", await world.beats("worker_a"))
        assert world.told == ["worker_b"]
