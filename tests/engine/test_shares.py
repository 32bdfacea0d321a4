"""Shares in memory: limits divided by the workers that live, and counts that always come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from clew.bus.dispatch import Dispatch
from clew.core.projects import Project, ProjectLimits
from clew.core.records import Run
from clew.engine.presence import SoleWorker
from clew.engine.shares import ShareKeeper, Shares
from clew.store import projects, runs, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from tests.support import store
from tests.support.database import Place
from tests.support.store import opened
from tests.support.wait import until_async


def _project(**limits: int) -> Project:
    return Project(name="a", created_at=0, limits=ProjectLimits(**limits))


def test_a_limit_is_divided_by_the_workers_and_is_never_nothing() -> None:
    shares = Shares()
    for workers, room in ((1, 5), (2, 2), (3, 1), (9, 1)):
        shares.set([_project(runs=5)], workers)
        entered = [shares.enter(f"run_{number}", "a") for number in range(6)]
        assert sum(entered) == room
        for number in range(6):
            shares.leave(f"run_{number}")
        assert shares.room("a") == room


def test_a_run_counts_once_and_one_that_goes_on_counts_whatever_the_limit() -> None:
    shares = Shares()
    told: list[str] = []
    shares.set([_project(runs=1)], 1)
    shares.on_room = told.append
    assert shares.enter("run_1", "a")
    assert shares.enter("run_1", "a")
    shares.note("run_2", "a")
    assert not shares.enter("run_3", "a")
    shares.leave("run_3")
    assert told == []
    shares.leave("run_1")
    shares.leave("run_1")
    assert told == ["a"]
    assert not shares.enter("run_3", "a")
    shares.leave("run_2")
    assert shares.enter("run_3", "a")


def test_projects_without_a_limit_are_not_counted() -> None:
    shares = Shares()
    shares.set([_project(streams=1)], 1)
    assert all(shares.enter(f"run_{number}", "a") for number in range(9))
    assert all(shares.enter(f"run_{number}", "b") for number in range(9))
    assert shares._at_work == {}
    assert shares.room("a") is None
    shares.set([], 1)
    assert (shares.knows("a"), shares.knows("b")) == (False, False)


# --- runs that wait in their rows -------------------------------------------------------------------


class Handed:
    """A dispatch that remembers what was handed to it, and never comes to an end with it."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def advance(self, run_id: str, *, project: str) -> None:
        self.runs.append(run_id)

    def at_work(self) -> set[str]:
        return set()

    def works_on(self, run_id: str) -> bool:
        return run_id in self.runs


class Kept:
    """A database with projects, what is at work, and how often the rows of waiting runs are read."""

    def __init__(self, db: Database) -> None:
        self.db, self.shares, self.handed = db, Shares(), Handed()
        self.asked: list[str] = []

    async def limited(self, name: str, limit: int | None) -> None:
        limits = ProjectLimits(runs=limit)
        await self.db.write(projects.save, Project(name=name, created_at=0, limits=limits))

    async def wait(self, number: int, project: str) -> None:
        """Store a run that waits for its project's share."""
        await self.db.write(_waiting_run, number, project)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        keeper = _Asked(self)
        await keeper.start()
        try:
            yield
        finally:
            await keeper.stop()


class _Asked(ShareKeeper):
    """A keeper of shares that notes which projects it asks about."""

    def __init__(self, kept: Kept) -> None:
        dispatch = cast("Dispatch", kept.handed)
        super().__init__(
            kept.db, kept.shares, dispatch=dispatch, presence=SoleWorker("worker_me"), works=True
        )
        self._asked = kept.asked

    async def _hand_on_of(self, project: str, room: int) -> None:
        await super()._hand_on_of(project, room)
        self._asked.append(project)


async def _waiting_run(tx: Transaction, number: int, project: str) -> None:
    thread, run_id = f"thread_{number}", f"run_{number}"
    await threads.add(tx, store.thread(thread, project=project))
    await runs.add(tx, store.run(run_id, thread, project=project))
    run = await runs.queued(tx, run_id)
    assert isinstance(run, Run)
    await projects.have_wait(tx, run)


@pytest.mark.anyio
async def test_only_projects_whose_runs_wait_or_leave_are_asked_about(place: Place) -> None:
    async with opened(place) as db:
        kept = Kept(db)
        for number in range(30):
            await kept.limited(f"project_{number}", 5)
        await kept.wait(1, "project_7")
        async with kept.keeping():
            await until_async(lambda: kept.handed.runs == ["run_1"])
            assert set(kept.asked) == {"project_7"}
            kept.asked.clear()
            assert kept.shares.enter("run_of_3", "project_3")
            kept.shares.leave("run_of_3")
            await until_async(lambda: "project_3" in kept.asked)
            assert set(kept.asked) <= {"project_3", "project_7"}


@pytest.mark.anyio
async def test_no_more_go_on_than_there_is_room_for(place: Place) -> None:
    async with opened(place) as db:
        kept = Kept(db)
        await kept.limited("a", 2)
        for number in (3, 1, 2):
            await kept.wait(number, "a")
        kept.shares.set([_project(runs=2)], 1)
        assert kept.shares.enter("run_at_work", "a")
        async with kept.keeping():
            await until_async(lambda: kept.asked.count("a") >= 2)
            assert kept.handed.runs == ["run_3"]
            kept.shares.leave("run_at_work")
            await until_async(lambda: kept.handed.runs == ["run_3", "run_1"])


@pytest.mark.anyio
async def test_a_run_that_is_stored_to_wait_as_the_limit_is_lifted_goes_on(place: Place) -> None:
    """Its process has not heard of it yet: nothing of the project ends afterwards that would tell."""
    async with opened(place) as db:
        kept = Kept(db)
        await kept.limited("a", 1)
        async with kept.keeping():
            await kept.limited("a", None)
            await until_async(lambda: kept.shares.of("a").runs is None)
            await asyncio.gather(*(kept.wait(number, "a") for number in range(3)))
            await until_async(lambda: len(kept.handed.runs) == 3)
