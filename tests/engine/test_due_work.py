"""The kernel of due work, with a kind of the tests' own: parcels, which end as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from clew.core.due import Limits, Work
from clew.engine.due_work import Context, Done, DueWork, Failed, Kind, Later, Outcome
from clew.engine.presence import Presence, SoleWorker
from clew.process import Process
from clew.store import due_work, threads
from clew.store.database import Conflict, Database
from clew.store.due_work import Superseded
from clew.store.statement import Transaction
from clew.store.tables import due_work as table
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place, dump
from tests.support.ids import CountingIds
from tests.support.store import NOW, opened
from tests.support.waiting import until_so

pytestmark = pytest.mark.anyio

KIND = "parcel"
DELAYS = (1_000, 60_000)
ROOMY = Limits(8, 8, 8)


class Parcels(Kind):
    """Work that ends when and as the test says."""

    name = KIND

    def __init__(self, limits: Limits = ROOMY, *, notes_attempts: bool = False) -> None:
        self.limits, self.notes_attempts = limits, notes_attempts
        self.begun: list[Work] = []
        self.contexts: list[Context] = []
        self.interrupted: list[str] = []
        self.closed = False
        self._ends: dict[str, asyncio.Future[Outcome]] = {}

    async def perform(self, work: Work, context: Context) -> Outcome:
        end: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ends[work.id] = end
        self.begun.append(work)
        self.contexts.append(context)
        try:
            return await end
        except asyncio.CancelledError:
            self.interrupted.append(work.id)
            raise

    def end(self, work_id: str, outcome: Outcome | Exception) -> None:
        """Have what is under way end."""
        if isinstance(outcome, Exception):
            self._ends.pop(work_id).set_exception(outcome)
        else:
            self._ends.pop(work_id).set_result(outcome)

    async def has_begun(self, times: int) -> None:
        """Return when so much was begun."""
        await until(lambda: len(self.begun) == times)

    def delay(self, work: Work) -> int | None:
        return DELAYS[work.attempts] if work.attempts < len(DELAYS) else None

    def broken_off(self, work: Work) -> Failed:
        return Failed("It broke off.", partial(note, name=f"{work.id}_broke_off_{work.attempts}"))

    async def close(self) -> None:
        self.closed = True

    @property
    def ids(self) -> list[str]:
        """What was begun, in order."""
        return [work.id for work in self.begun]


class Others:
    """Whom a process of several takes to be gone."""

    alone = leads = False

    def __init__(self, worker: str, *gone: str) -> None:
        self.worker, self.gone = worker, set(gone)

    def is_gone(self, worker: str, beats: int | None) -> bool:
        return worker in self.gone


async def note(tx: Transaction, again: int | None = None, *, name: str) -> None:
    """Write a row that tells that a result was written, and with which next attempt."""
    await threads.add(tx, store.thread(f"{name}_{again}"))


async def until(holds: Callable[[], Any]) -> None:
    """Return when something holds; others have their turns meanwhile."""

    async def asked() -> bool:
        return bool(holds())

    await until_so(asked)


class Depot:
    """A database with due work, and processes that perform it."""

    def __init__(self, place: Place, db: Database) -> None:
        self.place, self.db, self.clock = place, db, ManualClock(NOW)
        self._running: list[DueWork] = []

    async def add(self, work_id: str, lane: str = "lane", project: str = "alpha", due: int = NOW) -> None:
        work = Work(
            kind=KIND, id=work_id, project=project, lane=lane, created_at=NOW, due=due, payload=[work_id]
        )
        await self.db.write(due_work.add, work)

    async def process(self, kind: Kind, presence: Presence | None = None) -> DueWork:
        """Start a process; without a presence it is the only one."""
        running = DueWork(
            self.db,
            [kind],
            presence=presence or SoleWorker("worker_1"),
            process=Process(self.clock, CountingIds()),
            shared=presence is not None,
        )
        await running.start()
        self._running.append(running)
        return running

    async def stop(self) -> None:
        for running in self._running:
            await running.stop()

    def rows(self) -> list[dict[str, Any]]:
        """Return what is still to be done, as it stands in the database."""
        names = [column.name for column in table.c]
        return [dict(zip(names, row, strict=True)) for row in dump(self.place)["due_work"]]

    async def is_due(self, due: int) -> None:
        """Return when the only work is due at a time."""
        await until(lambda: [row["due"] for row in self.rows()] == [due])

    def notes(self) -> list[str]:
        """Return what results have written."""
        return [str(row[1]) for row in dump(self.place)["threads"]]

    async def left_by(self, owner: str, attempts: int = 0) -> None:
        """Have everything claimed by a process that is there no more."""
        for work in await self.db.fetch(due_work.due, KIND, "lane", NOW, 99):
            assert await self.db.write(due_work.claim, work, owner, attempts)


@pytest.fixture
async def depot(place: Place) -> AsyncIterator[Depot]:
    async with opening(place) as depot:
        yield depot


@asynccontextmanager
async def opening(place: Place) -> AsyncIterator[Depot]:
    async with opened(place) as db:
        depot = Depot(place, db)
        try:
            yield depot
        finally:
            await depot.stop()


# --- outcomes --------------------------------------------------------------------------------------


async def test_what_is_done_goes_together_with_what_came_of_it(depot: Depot) -> None:
    await depot.add("one")
    kind = Parcels()
    told: list[int | None] = []
    await depot.process(kind)
    await until(lambda: kind.begun)
    assert kind.begun[0].payload == ["one"]
    assert depot.rows()[0]["owner"] is None, "the only process saves the claim"
    kind.end("one", Done(partial(note, name="done"), told.append))
    await until(lambda: told)
    assert (depot.rows(), depot.notes(), told) == ([], ["done_None"], [None])


async def test_what_fails_is_tried_again_at_its_times_and_then_given_up(depot: Depot) -> None:
    await depot.add("one")
    kind = Parcels()
    await depot.process(kind)
    for attempt, delay in enumerate(DELAYS):
        await kind.has_begun(attempt + 1)
        assert kind.begun[attempt].attempts == attempt
        kind.end("one", Failed(f"no {attempt}", partial(note, name=f"failed_{attempt}")))
        await depot.is_due(depot.clock.now() + delay)
        (row,) = depot.rows()
        assert (row["attempts"], row["last_error"]) == (attempt + 1, f"no {attempt}")
        await _asleep(depot, delay)
        depot.clock.advance(delay)
    await kind.has_begun(len(DELAYS) + 1)
    kind.end("one", Failed("no more", partial(note, name="failed")))
    await until(lambda: not depot.rows())
    assert depot.notes() == [f"failed_0_{NOW + 1_000}", f"failed_1_{NOW + 61_000}", "failed_None"]


async def _asleep(depot: Depot, delay: int) -> None:
    """Return when somebody will be woken at the end of ``delay``, or before."""
    await until(lambda: any(0 < asked <= delay for asked in depot.clock.asked))


async def test_after_a_final_failure_there_is_no_next_attempt(depot: Depot) -> None:
    await depot.add("one")
    kind = Parcels()
    await depot.process(kind)
    await until(lambda: kind.begun)
    kind.end("one", Failed("never", partial(note, name="final"), final=True))
    await until(lambda: not depot.rows())
    assert depot.notes() == ["final_None"]


async def test_what_is_raised_and_what_cannot_be_stored_are_failed_attempts(depot: Depot) -> None:
    async def unstorable(tx: Transaction) -> None:
        await note(tx, name="half_written")
        raise ValueError("no database takes this")

    for number in (1, 2):
        await depot.add(str(number))
    kind = Parcels()
    await depot.process(kind)
    await until(lambda: len(kind.begun) == 2)
    kind.end("1", ZeroDivisionError())
    kind.end("2", Done(unstorable))
    await until(lambda: [row["attempts"] for row in depot.rows()] == [1, 1])
    assert {row["last_error"] for row in depot.rows()} == {"It broke off."}
    assert "half_written_None" not in depot.notes()


async def test_periodic_work_is_due_again_and_begins_anew(depot: Depot) -> None:
    await depot.add("daily")
    kind = Parcels()
    await depot.process(kind)
    await until(lambda: kind.begun)
    await kind.contexts[0].progress({"at": 5})
    kind.end("daily", Later(NOW + 20_000, partial(note, name="swept")))
    await until(lambda: [row["due"] for row in depot.rows()] == [NOW + 20_000])
    await _asleep(depot, 20_000)
    depot.clock.advance(19_999)
    assert kind.ids == ["daily"]
    depot.clock.advance(1)
    await until(lambda: kind.ids == ["daily", "daily"])
    assert (kind.begun[1].progress, kind.begun[1].attempts) == (None, 0)
    assert depot.notes() == ["swept_None"]


async def test_who_gets_further_begins_to_count_again(depot: Depot) -> None:
    await depot.add("long")
    kind = Parcels()
    await depot.process(kind)
    for attempt, page in enumerate([None, {"page": 1}, {"page": 2}, {"page": 3}]):
        await kind.has_begun(attempt + 1)
        assert kind.begun[attempt].progress == page
        await kind.contexts[attempt].progress({"page": attempt + 1})
        kind.end("long", Failed("one page at a time"))
        await depot.is_due(depot.clock.now() + DELAYS[0])
        assert depot.rows()[0]["attempts"] == 1
        await _asleep(depot, DELAYS[0])
        depot.clock.advance(DELAYS[0])


# --- turns -----------------------------------------------------------------------------------------


async def test_a_lane_begins_what_is_longest_due_and_so_many_at_once(depot: Depot) -> None:
    for number, due in enumerate((NOW - 1, NOW - 3, NOW - 2, NOW + 1)):
        await depot.add(str(number), due=due)
    kind = Parcels(Limits(8, 8, 2))
    await depot.process(kind)
    await until(lambda: kind.ids == ["1", "2"])
    kind.end("2", Done())
    await until(lambda: kind.ids == ["1", "2", "0"])
    kind.end("1", Done())
    await until(lambda: len(depot.rows()) == 2)
    assert kind.ids == ["1", "2", "0"], "the last one is not due yet"
    await _asleep(depot, 1)
    depot.clock.advance(1)
    await until(lambda: kind.ids == ["1", "2", "0", "3"])


async def test_a_project_with_much_to_do_leaves_others_their_share(depot: Depot) -> None:
    for number in range(6):
        await depot.add(f"much_{number}", lane=f"much_{number % 3}", project="much", due=NOW - 10)
    await depot.add("little", lane="little", project="little")
    kind = Parcels(Limits(4, 3, 2))
    await depot.process(kind)
    await until(lambda: len(kind.begun) == 4)
    assert kind.ids[:2] == ["little", "much_0"]
    assert {work.lane for work in kind.begun[1:]} == {"much_0", "much_1", "much_2"}


async def test_what_is_added_is_begun_when_it_is_told_of(depot: Depot) -> None:
    kind = Parcels()
    running = await depot.process(kind)
    await _asleep(depot, 30_000)
    await depot.add("one")
    running.wake("a kind of somebody else")
    running.wake(KIND)
    await until(lambda: kind.ids == ["one"])


async def test_if_nobody_tells_it_is_found_all_the_same(depot: Depot) -> None:
    kind = Parcels()
    await depot.process(kind)
    await _asleep(depot, 30_000)
    await depot.add("one")
    depot.clock.advance(30_000)
    await until(lambda: kind.ids == ["one"])


# --- owners ----------------------------------------------------------------------------------------


async def test_of_several_processes_one_performs(depot: Depot) -> None:
    for number in range(6):
        await depot.add(str(number))
    kinds = [Parcels(), Parcels()]
    for number, kind in enumerate(kinds):
        await depot.process(kind, Others(f"worker_{number}"))
    await until(lambda: sum(len(kind.begun) for kind in kinds) == 6)
    assert sorted([*kinds[0].ids, *kinds[1].ids]) == [str(number) for number in range(6)]
    owners = {row["id"]: (row["owner"], row["epoch"]) for row in depot.rows()}
    for number, kind in enumerate(kinds):
        assert {owners[each] for each in kind.ids} <= {(f"worker_{number}", 1)}


async def test_what_a_process_left_that_has_gone_is_taken_over(depot: Depot) -> None:
    await depot.add("one")
    await depot.left_by("worker_dead")
    kind, presence = Parcels(), Others("worker_1")
    running = await depot.process(kind, presence)
    await _asleep(depot, 30_000)
    assert not kind.begun, "its owner may still live"
    presence.gone.add("worker_dead")
    running.look_at_owners()
    await until(lambda: kind.begun)
    assert (kind.begun[0].attempts, kind.begun[0].epoch) == (0, 3)
    kind.end("one", Done())
    await until(lambda: not depot.rows())


async def test_an_owner_that_was_taken_for_gone_can_write_nothing(depot: Depot) -> None:
    await depot.add("one")
    slow, quick = Parcels(), Parcels()
    await depot.process(slow, Others("worker_slow"))
    await until(lambda: slow.begun)
    await depot.process(quick, Others("worker_quick", "worker_slow"))
    await until(lambda: quick.begun)
    with pytest.raises(Superseded):
        await slow.contexts[0].progress({"too": "late"})
    told: list[int | None] = []
    slow.end("one", Done(partial(note, name="slow"), told.append))
    await quick.contexts[0].progress({"in": "time"})
    quick.end("one", Done(partial(note, name="quick")))
    await until(lambda: not depot.rows())
    assert (depot.notes(), told) == (["quick_None"], [])


async def test_an_attempt_that_kills_its_process_counts_where_attempts_are_noted(depot: Depot) -> None:
    await depot.add("one")
    await depot.left_by("worker_dead", attempts=1)
    kind = Parcels(notes_attempts=True)
    await depot.process(kind)
    await until(lambda: [row["owner"] for row in depot.rows()] == [None])
    assert [(row["due"], row["attempts"]) for row in depot.rows()] == [(NOW + DELAYS[0], 1)]
    await _asleep(depot, DELAYS[0])
    depot.clock.advance(DELAYS[0])
    await until(lambda: kind.begun)
    assert kind.begun[0].attempts == 1
    assert [(row["owner"], row["attempts"]) for row in depot.rows()] == [("worker_1", 2)]


async def test_what_killed_as_many_processes_as_it_may_is_given_up(depot: Depot) -> None:
    await depot.add("one")
    await depot.left_by("worker_dead", attempts=len(DELAYS) + 1)
    kind = Parcels(notes_attempts=True)
    await depot.process(kind)
    await until(lambda: not depot.rows())
    assert (depot.notes(), kind.begun) == ([f"one_broke_off_{len(DELAYS)}_None"], [])


@pytest.mark.parametrize("notes_attempts", [True, False])
async def test_who_stops_gives_back_and_counts_nothing(depot: Depot, notes_attempts: bool) -> None:
    await depot.add("one")
    kind = Parcels(notes_attempts=notes_attempts)
    running = await depot.process(kind, Others("worker_1"))
    await until(lambda: kind.begun)
    await running.stop()
    assert (kind.interrupted, kind.closed) == (["one"], True)
    assert [(row["owner"], row["attempts"], row["due"]) for row in depot.rows()] == [(None, 0, NOW)]
    other = Parcels(notes_attempts=notes_attempts)
    await depot.process(other, Others("worker_2"))
    await until(lambda: other.begun)
    assert other.begun[0].attempts == 0


# --- called off ------------------------------------------------------------------------------------


async def test_what_is_called_off_is_interrupted_and_writes_nothing(depot: Depot) -> None:
    await depot.add("one")
    await depot.add("two")
    kind = Parcels(notes_attempts=True)
    running = await depot.process(kind)
    await until(lambda: len(kind.begun) == 2)
    assert await depot.db.write(due_work.cancel, KIND, "one")
    assert not await depot.db.write(due_work.cancel, KIND, "one")
    running.look_at_owners(KIND)
    await until(lambda: kind.interrupted)
    assert kind.interrupted == ["one"]
    kind.end("two", Done(partial(note, name="two")))
    await until(lambda: not depot.rows())
    assert depot.notes() == ["two_None"]


async def test_what_was_called_off_and_added_again_is_other_work(depot: Depot) -> None:
    """The former attempt goes on in the only process, which holds no claim: it may not end the new work."""
    await depot.add("one")
    kind = Parcels()
    running = await depot.process(kind)
    await until(lambda: kind.begun)
    await depot.db.write(due_work.cancel_lane, KIND, "lane")
    await depot.add("one")
    former = kind._ends["one"]
    running.wake(KIND)
    await until(lambda: len(kind.begun) == 2)
    former.set_result(Done(partial(note, name="former")))
    kind.end("one", Done(partial(note, name="new")))
    await until(lambda: not depot.rows())
    assert depot.notes() == ["new_None"]


async def test_ids_of_a_kind_are_unique(depot: Depot) -> None:
    await depot.add("one")
    with pytest.raises(Conflict):
        await depot.add("one")
    other = replace(Work(kind="other", id="one", project="alpha", lane="l", created_at=NOW, due=NOW))
    await depot.db.write(due_work.add, other)
    assert len(depot.rows()) == 2
