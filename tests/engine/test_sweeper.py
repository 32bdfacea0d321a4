"""The sweep: finds what nobody works on, and leaves alone what is on its way to a worker."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from clew.core.decisions import RunState
from clew.core.states import RunStatus
from clew.engine.sweeper import Sweeper
from clew.store import runs, threads
from clew.store.statement import Transaction
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.store import opened

pytestmark = pytest.mark.anyio


class Handed:
    """A dispatch that remembers to whom runs were handed, and works on them for ever."""

    ready = True

    def __init__(self) -> None:
        self.runs: list[str] = []

    def advance(self, run_id: str, claimed: RunState | None = None) -> None:
        self.runs.append(run_id)

    def interrupt(self, run_id: str) -> None: ...

    def wake_at(self, due: int) -> None: ...

    def works_on(self, run_id: str) -> bool:
        return run_id in self.runs


async def _insert(tx: Transaction, number: int, expires_at: int) -> None:
    thread = f"thread_{number}"
    await threads.add(tx, store.thread(thread))
    run = store.run(f"run_{number}", thread, status=RunStatus.QUEUED)
    await runs.add(tx, replace(run, expires_at=expires_at))


async def test_a_run_on_its_way_to_a_worker_is_not_taken_up(database: Path) -> None:
    clock, dispatch = ManualClock(), Handed()
    async with opened(database) as db:
        sweeper = Sweeper(db, dispatch=dispatch, clock=clock)

        async def create(number: int) -> None:
            await db.write(_insert, number, clock.now() + 600_000)
            dispatch.advance(f"run_{number}")

        for number in range(150):
            await asyncio.gather(create(number), sweeper._sweep())
        await sweeper._sweep()
    assert sorted(dispatch.runs) == sorted(f"run_{number}" for number in range(150))


async def test_a_run_that_nobody_works_on_is_taken_up_once(database: Path) -> None:
    clock, dispatch = ManualClock(), Handed()
    async with opened(database) as db:
        await db.write(_insert, 1, clock.now() + 600_000)
        sweeper = Sweeper(db, dispatch=dispatch, clock=clock)
        await sweeper._sweep()
        await sweeper._sweep()
    assert dispatch.runs == ["run_1"]
