"""Several writes in one: all of them or none, on either database.

On PostgreSQL they are one statement, which must also be right when it had to wait for somebody else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from clew.clock import SystemClock
from clew.core.decisions import AddMessage, AddStep, Decision, RunState
from clew.core.records import Run, Usage
from clew.core.states import CallResult, CallState, RunStatus, StepStatus
from clew.core.webhooks import Webhook
from clew.store import due_work, line, messages, runs, steps, threads, webhooks
from clew.store.database import CommitUnknown
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_writes import composed
from clew.store.statement import Transaction, Write
from tests.support import store
from tests.support.cable import Cable, cable_to
from tests.support.database import Place, dump, miscounted_threads
from tests.support.postgres import PostgresServer
from tests.support.store import NOW, PROJECT, opened
from tests.support.waiting import Gate, until_somebody_waits

pytestmark = pytest.mark.anyio

THREAD = {"thread_id": "thread_1"}


async def _live(tx: Transaction) -> None:
    await threads.add(tx, store.thread())
    await runs.add(tx, store.run(status=RunStatus.IN_PROGRESS))


def _ending(run: Run, **fields: Any) -> tuple[RunState, Decision]:
    """Return a decision that ends a run with a message, a step that called two functions, and one without."""
    ended: dict[str, Any] = {"state": CallState.DONE, "result": CallResult.OK, "ended_at": NOW}
    calls = [store.call(f"call_{n}", "step_a", index=n, name="look_up", output="x", **ended) for n in (1, 2)]
    done: dict[str, Any] = {"status": StepStatus.COMPLETED, "completed_at": NOW}
    writes = (
        AddMessage(store.message("msg_answer", run_id=run.id)),
        AddStep(store.step("step_b", type="message_creation", message_id="msg_answer", **done)),
        AddStep(store.step("step_a", calls=calls, **done)),
    )
    usage = Usage(prompt_tokens=3, completion_tokens=4)
    over = replace(run, status=RunStatus.COMPLETED, completed_at=NOW, usage=usage, **fields)
    return RunState(run), Decision(RunState(over), writes)


# --- on either database ----------------------------------------------------------------------------


async def test_the_rest_is_written_if_every_guard_has_found_its_row(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_live)

        async def write(tx: Transaction, version: int) -> Any:
            change = runs._change(store.run(version=version), store.run(status=RunStatus.QUEUED), NOW)
            guards = [Write(threads.HOLD_FOR_RUN, THREAD), change]
            row = await tx.write(guards, [messages.insertion(store.message(f"msg_{version}"))])
            return None if row is None else tuple(row)

        assert await db.write(write, 7) is None
        assert await db.write(write, 0) == ("run_1", 0, False)
        assert [row[1] for row in dump(place)["messages"]] == ["msg_0"]


async def test_what_a_run_brings_is_all_there_in_its_order(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_live)
        run = store.run(status=RunStatus.IN_PROGRESS)
        applied = await db.write(runs.apply, *_ending(run), NOW, last=True)
        assert (applied.released, applied.told_webhooks, applied.moved) == (None, False, True)
        assert [step.id for step in await db.read(steps.of_run, "run_1")] == ["step_b", "step_a"]
        rows = dump(place)
        assert [len(rows[table]) for table in ("messages", "steps", "calls")] == [1, 2, 2]
        lock = await db.write(threads.lock, PROJECT, "thread_1")
        assert lock == (None, None)
        assert miscounted_threads(place) == []


async def test_webhooks_that_want_it_are_told_in_the_same_transaction(place: Place) -> None:
    def webhook(id: str, *events: str) -> Webhook:
        return Webhook(
            id=id, project=PROJECT, created_at=NOW, url="https://x", events=list(events), secret="s"
        )

    async with opened(place) as db:
        await db.write(_live)
        await db.write(webhooks.add, webhook("wh_1", "run.completed", "run.failed"), 9)
        await db.write(webhooks.add, webhook("wh_2", "run.failed"), 9)
        await db.write(webhooks.add, replace(webhook("wh_3", "run.completed"), project="beta"), 9)
        run = store.run(status=RunStatus.IN_PROGRESS)
        applied = await db.write(runs.apply, *_ending(run, position=5), NOW, last=True)
        assert applied.told_webhooks
        told = await db.fetch(due_work.due, "webhook", "wh_1", NOW, 9)
        assert [
            (each.lane, each.project, each.payload["event"], each.payload["position"]) for each in told
        ] == [("wh_1", PROJECT, "run.completed", 5)]
        assert len(dump(place)["due_work"]) == 1


async def test_a_decision_on_another_version_leaves_nothing(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_live)
        before = dump(place)
        stale = store.run(status=RunStatus.IN_PROGRESS, version=3)
        for last in (True, False):
            with pytest.raises(runs.Changed):
                await db.write(runs.apply, *_ending(stale), NOW, last=last)
        assert dump(place) == before


async def test_the_line_goes_on_when_the_run_is_over(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_live)
        await db.write(messages.add, store.message("msg_waits", held=1))
        await db.write(runs.add, store.run("run_2", held=2))
        run = store.run(status=RunStatus.IN_PROGRESS)
        applied = await db.write(runs.apply, *_ending(run), NOW, last=True)
        assert applied.released == "run_2"
        assert await db.write(threads.lock, PROJECT, "thread_1") == ("run_2", None)
        assert miscounted_threads(place) == []


async def test_a_run_that_leaves_the_line_leaves_the_lock_alone(place: Place) -> None:
    async with opened(place) as db:
        await db.write(_live)
        await db.write(runs.add, store.run("run_2", held=1))
        left = store.run("run_2", held=None, status=RunStatus.CANCELLED, cancelled_at=NOW)
        before = RunState(store.run("run_2", held=1))
        applied = await db.write(runs.apply, before, Decision(RunState(left), ()), NOW)
        assert applied.released is None
        assert await db.write(threads.lock, PROJECT, "thread_1") == ("run_1", None)
        assert miscounted_threads(place) == []


# --- on PostgreSQL, where others are in the way ----------------------------------------------------


async def test_parameters_of_several_statements_are_kept_apart() -> None:
    guards = [Write(threads.JOIN_LINE, {"thread_id": "a"}), Write(threads.HOLD_FOR_RUN, {"thread_id": "b"})]
    text, values = composed(guards, [Write(threads.JOIN_LINE, {"thread_id": "c"})])
    assert values == ["a", "b", "c"]
    assert text.index("$1") < text.index("$2") < text.index("$3")
    assert text.endswith("SELECT g1.* FROM g0, g1")
    alone, _ = composed((), [messages.insertion(store.message())])
    assert alone.startswith("INSERT INTO messages")


async def test_nothing_follows_what_was_said_to_be_the_last(db: PostgresDatabase, postgres_url: str) -> None:
    async def write(tx: Transaction) -> None:
        await threads.add(tx, store.thread(), last=True)
        await threads.add(tx, store.thread("thread_2"))

    with pytest.raises(RuntimeError, match="after what was said to be the last"):
        await db.write(write)
    assert [row[1] for row in dump(postgres_url)["threads"]] == ["thread_1"]


async def test_where_more_is_to_come_the_last_waits_for_it(db: PostgresDatabase, postgres_url: str) -> None:
    async def write(tx: Transaction) -> None:
        await tx.begin()
        await threads.add(tx, store.thread(), last=True)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.write(write)
    assert not dump(postgres_url)["threads"]


async def test_a_message_that_waited_for_a_new_run_is_refused(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(threads.add, store.thread())
    gate = Gate()

    async def start(tx: Transaction) -> None:
        assert await runs.add(tx, store.run())
        await gate.wait()

    starting = asyncio.ensure_future(db.write(start))
    await gate.reached.wait()
    adding = asyncio.ensure_future(db.write(messages.add_if_free, store.message()))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await starting
    assert await adding is False
    assert miscounted_threads(postgres_url) == []


async def test_of_two_runs_that_look_at_one_time_one_is_stored(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(threads.add, store.thread())
    ways = [db.write(runs.add, store.run(f"run_{n}"), tokens_used=0, last=True) for n in range(8)]
    assert sorted(await asyncio.gather(*ways)) == [False] * 7 + [True]
    assert len(dump(postgres_url)["runs"]) == 1


async def test_tokens_that_were_used_meanwhile_are_noticed(db: PostgresDatabase) -> None:
    await db.write(threads.add, store.thread(tokens_used=5))
    assert not await db.write(runs.add, store.run(), tokens_used=4, last=True)
    assert await db.write(runs.add, store.run(), tokens_used=5, last=True)


async def test_who_joins_the_line_while_the_run_ends_is_let_in(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(_live)
    gate = Gate()

    async def join(tx: Transaction) -> None:
        place = await line.next_place(tx, "thread_1")
        await runs.add(tx, store.run("run_2", held=place))
        await gate.wait()

    joining = asyncio.ensure_future(db.write(join))
    await gate.reached.wait()
    run = store.run(status=RunStatus.IN_PROGRESS)
    ending = asyncio.ensure_future(db.write(runs.apply, *_ending(run), NOW, last=True))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await joining
    assert (await ending).released == "run_2"
    assert miscounted_threads(postgres_url) == []


async def test_a_run_that_was_changed_while_its_thread_was_waited_for_is_left_alone(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(_live)
    gate = Gate()
    run = store.run(status=RunStatus.IN_PROGRESS)
    cancelling = Decision(RunState(replace(run, status=RunStatus.CANCELLING)), ())

    async def cancel(tx: Transaction) -> None:
        await runs.apply(tx, RunState(run), cancelling, NOW)
        await gate.wait()

    asking = asyncio.ensure_future(db.write(cancel))
    await gate.reached.wait()
    ending = asyncio.ensure_future(db.write(runs.apply, *_ending(run), NOW, last=True))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await asking
    with pytest.raises(runs.Changed):
        await ending
    rows = dump(postgres_url)
    assert not rows["messages"]
    assert not rows["steps"]
    assert miscounted_threads(postgres_url) == []


@pytest.fixture
async def cable(postgres_url: str) -> AsyncIterator[Cable]:
    async with cable_to(postgres_url) as cable:
        yield cable


async def test_what_was_stored_though_the_answer_was_lost_is_not_stored_twice(
    cable: Cable, postgres_url: str
) -> None:
    """The statement is prepared before: the one answer that is lost is that of the commit."""
    db = PostgresDatabase(cable.url, clock=SystemClock(), connections=2)
    await db.write(threads.add, store.thread("thread_0"), last=True)
    await db.write(messages.add_if_free, store.message("msg_0", "thread_0"))
    await db.write(runs.add, store.run("run_0", "thread_0"), tokens_used=0, last=True)
    cable.cut_at_next_answer()
    await db.write(threads.add, store.thread(), last=True)
    await db.write(messages.add_if_free, store.message("msg_1"))  # on a new connection: prepares
    cable.cut_at_next_answer()
    assert await db.write(messages.add_if_free, store.message("msg_2"))
    await db.write(threads.add, store.thread("thread_2"), last=True)
    assert await db.write(runs.add, store.run("run_1"), tokens_used=0, last=True)
    cable.cut_at_next_answer()
    assert await db.write(runs.add, store.run("run_2", "thread_2"), tokens_used=0, last=True)
    await db.close()
    rows = dump(postgres_url)
    assert [row[1] for row in rows["threads"]] == ["thread_0", "thread_1", "thread_2"]
    assert [row[1] for row in rows["messages"]] == ["msg_0", "msg_1", "msg_2"]
    assert [row[1] for row in rows["runs"]] == ["run_0", "run_1", "run_2"]
    assert miscounted_threads(postgres_url) == []


async def test_nobody_is_told_that_nothing_was_stored_who_cannot_find_out(postgres_url: str) -> None:
    async with cable_to(postgres_url) as cable:
        db = PostgresDatabase(cable.url, clock=SystemClock(), reconnect_timeout=150)
        await db.write(threads.add, store.thread("thread_0"), last=True)
        cable.cut_for_good_at_next_answer()
        with pytest.raises(CommitUnknown):
            await db.write(threads.add, store.thread(), last=True)
        await db.close()
    assert len(dump(postgres_url)["threads"]) == 2


async def test_what_was_not_stored_when_the_connection_broke_is_stored(
    db: PostgresDatabase, postgres: PostgresServer, postgres_url: str
) -> None:
    await db.write(threads.add, store.thread())
    async with somebody_who_holds("thread_1", postgres_url):
        adding = asyncio.ensure_future(db.write(messages.add_if_free, store.message()))
        await until_somebody_waits(postgres_url)
        postgres.cut_connections(postgres_url.rpartition("/")[2])
        assert await adding
    assert [row[1] for row in dump(postgres_url)["messages"]] == ["msg_1"]
    assert miscounted_threads(postgres_url) == []


async def test_who_decides_by_what_was_read_with_it_is_told_that_the_outcome_is_open(
    db: PostgresDatabase, postgres: PostgresServer, postgres_url: str
) -> None:
    await db.write(_live)
    async with somebody_who_holds("thread_1", postgres_url):
        before, decision = _ending(store.run(status=RunStatus.IN_PROGRESS))
        alone = replace(decision, writes=decision.writes[:1])
        ending = asyncio.ensure_future(db.write(runs.apply, before, alone, NOW, last=True))
        await until_somebody_waits(postgres_url)
        postgres.cut_connections(postgres_url.rpartition("/")[2])
        with pytest.raises(CommitUnknown):
            await ending


@asynccontextmanager
async def somebody_who_holds(thread_id: str, url: str) -> AsyncIterator[None]:
    """Have another process hold a thread until the end, or until its connection is cut."""
    other, gate = PostgresDatabase(url, clock=SystemClock()), Gate()

    async def hold(tx: Transaction) -> None:
        await threads.hold(tx, PROJECT, thread_id)
        await gate.wait()
        raise ZeroDivisionError

    holding = asyncio.ensure_future(other.write(hold))
    await gate.reached.wait()
    yield
    gate.opened.set()
    with pytest.raises(ZeroDivisionError):
        await holding
    await other.close()
