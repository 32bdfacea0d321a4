"""PostgreSQL: transactions that come into each other's way, and a server that goes away and comes back.

Where two of them race, the test holds one at a lock and waits until PostgreSQL says that the other stands
before it: nothing is left to chance.
"""

import asyncio
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from clew.clock import SystemClock
from clew.core.decisions import AddMessage, Decision, RunState
from clew.core.records import Run
from clew.core.states import RunStatus
from clew.store import agents, budgets, health, idempotency, line, messages, runs, threads
from clew.store.database import Conflict, StoreError, StoreFull, StoreUnavailable, Unstorable
from clew.store.idempotency import Answer
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_schema import prepare_postgres
from clew.store.statement import Statement, Transaction
from tests.support import store
from tests.support.cable import cable_to
from tests.support.database import dump
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.store import NOW, PROJECT, opened
from tests.support.waiting import Gate, until_somebody_waits, watching

pytestmark = pytest.mark.anyio


# --- one order in a thread -----------------------------------------------------------------------


async def test_who_writes_in_a_thread_waits_for_whoever_does_so(
    db: PostgresDatabase, postgres_url: str
) -> None:
    """A message and a run at the same time: whichever is second sees what the first has done."""
    await db.write(threads.add, store.thread())
    gate = Gate()

    async def start_run(tx: Transaction) -> None:
        await threads.lock(tx, PROJECT, "thread_1")
        await gate.wait()
        await runs.add(tx, store.run())

    starting = asyncio.ensure_future(db.write(start_run))
    await gate.reached.wait()
    looking = asyncio.ensure_future(db.write(threads.lock, PROJECT, "thread_1"))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await starting
    assert await looking == ("run_1", None)


async def test_messages_are_in_the_order_in_which_they_were_committed(db: PostgresDatabase) -> None:
    await db.write(threads.add, store.thread())
    committed: list[str] = []

    async def add(number: int) -> None:
        await db.write(messages.add, store.message(f"msg_{number}"))
        committed.append(f"msg_{number}")

    await asyncio.gather(*(add(number) for number in range(50)))
    there = await db.read(messages.newest, "thread_1", None, except_run="")
    assert len(there) == 50
    # Whoever heard of its commit before another one began stands before it.
    assert {message.id for message in there} == set(committed)
    rows = dump(db.url)["messages"]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)  # type: ignore[type-var]


async def test_two_changes_of_one_agent_are_both_kept(db: PostgresDatabase, postgres_url: str) -> None:
    await db.write(agents.add, store.agent())
    gate = Gate()

    async def change(tx: Transaction, /, stop: bool, **fields: Any) -> None:
        await agents.hold(tx, PROJECT, "asst_1")
        agent = await agents.get(tx, PROJECT, "asst_1")
        assert agent is not None
        if stop:
            await gate.wait()
        await agents.save(tx, replace(agent, **fields))

    first = asyncio.ensure_future(db.write(change, True, name="one"))
    await gate.reached.wait()
    second = asyncio.ensure_future(db.write(change, False, instructions="two"))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await asyncio.gather(first, second)
    agent = await db.read(agents.get, PROJECT, "asst_1")
    assert agent is not None
    assert (agent.name, agent.instructions) == ("one", "two")


async def test_what_waited_in_line_comes_after_what_was_said_meanwhile(db: PostgresDatabase) -> None:
    async def fill(tx: Transaction) -> None:
        await threads.add(tx, store.thread())
        await messages.add(tx, store.message("msg_first"))
        await messages.add(tx, store.message("msg_held", held=1))
        await messages.add(tx, store.message("msg_meanwhile"))
        await line.release(tx, "thread_1", NOW)
        await messages.add(tx, store.message("msg_last"))

    await db.write(fill)
    there = await db.read(messages.newest, "thread_1", None, except_run="")
    assert [message.id for message in there] == ["msg_first", "msg_meanwhile", "msg_held", "msg_last"]


async def test_tokens_of_many_runs_at_once_are_all_counted(db: PostgresDatabase) -> None:
    await asyncio.gather(*(db.write(budgets.count, PROJECT, 10, NOW) for _ in range(10)))
    assert await db.read(budgets.left_today, PROJECT, 1000, NOW) == 900


# --- races that the rows decide ------------------------------------------------------------------


async def _with_live_run(tx: Transaction) -> None:
    await threads.add(tx, store.thread())
    await runs.add(tx, store.run(status=RunStatus.IN_PROGRESS))


def _ending(run: Run) -> tuple[RunState, Decision]:
    done = replace(run, status=RunStatus.COMPLETED, completed_at=NOW)
    return RunState(run), Decision(RunState(done), (AddMessage(store.message(run_id=run.id)),))


async def test_a_thread_that_is_deleted_while_its_run_ends_takes_everything_with_it(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(_with_live_run)
    gate = Gate()

    async def delete(tx: Transaction) -> None:
        await threads.hold(tx, PROJECT, "thread_1")
        await gate.wait()
        await threads.remove(tx, PROJECT, "thread_1")

    owned = await db.write(runs.claim, "run_1", "worker_1", NOW)
    assert owned is not None
    before, decision = _ending(owned.run)
    deleting = asyncio.ensure_future(db.write(delete))
    await gate.reached.wait()
    ending = asyncio.ensure_future(db.write(runs.apply, before, decision, NOW))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    await deleting
    with pytest.raises(runs.ClaimLost):
        await ending
    assert not any(dump(postgres_url).values())


async def test_of_two_claims_at_once_both_are_made_one_after_the_other(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(_with_live_run)
    gate = Gate()

    async def claim(tx: Transaction) -> RunState | None:
        claimed = await runs.claim(tx, "run_1", "worker_1", NOW)
        await gate.wait()
        return claimed

    first = asyncio.ensure_future(db.write(claim))
    await gate.reached.wait()
    second = asyncio.ensure_future(db.write(runs.claim, "run_1", "worker_2", NOW))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    one, two = await first, await second
    assert one is not None
    assert two is not None
    assert (one.run.epoch, two.run.epoch, two.run.worker) == (1, 2, "worker_2")
    with pytest.raises(runs.ClaimLost):
        await db.write(runs.apply, *_ending(one.run), NOW)
    await db.write(runs.apply, *_ending(two.run), NOW)


async def test_of_two_equal_requests_with_one_key_the_second_is_told_what_the_first_did(
    db: PostgresDatabase, postgres_url: str
) -> None:
    gate = Gate()

    async def once(tx: Transaction, stop: bool) -> str:
        before = await idempotency.given(tx, PROJECT, "key")
        if before is not None:
            return before.body
        body = "first" if stop else "second"
        answer = Answer(project=PROJECT, key="key", fingerprint="f", created_at=NOW, body=body)
        await idempotency.keep(tx, answer)
        if stop:
            await gate.wait()
        return body

    first = asyncio.ensure_future(db.write(once, True))
    await gate.reached.wait()
    second = asyncio.ensure_future(db.write(once, False))
    await until_somebody_waits(postgres_url)
    gate.opened.set()
    assert [await first, await second] == ["first", "first"]


async def test_a_deadlock_is_nobodys_error(db: PostgresDatabase, postgres_url: str) -> None:
    for name in ("thread_1", "thread_2"):
        await db.write(threads.add, store.thread(name))
    met = asyncio.Barrier(2)
    attempts = 0

    async def take(tx: Transaction, *names: str) -> None:
        nonlocal attempts
        attempts += 1
        await threads.hold(tx, PROJECT, names[0])
        if attempts <= 2:
            await met.wait()
        await threads.hold(tx, PROJECT, names[1])

    one = db.write(take, "thread_1", "thread_2")
    two = db.write(take, "thread_2", "thread_1")
    await asyncio.gather(one, two)
    assert attempts > 2


# --- what is refused -----------------------------------------------------------------------------


async def test_rows_that_cannot_both_be_there_are_a_conflict(db: PostgresDatabase) -> None:
    await db.write(threads.add, store.thread())
    with pytest.raises(Conflict):
        await db.write(threads.add, store.thread())


async def test_a_text_with_a_nul_is_refused_in_words(db: PostgresDatabase) -> None:
    with pytest.raises(Unstorable, match="NUL"):
        await db.write(agents.add, store.agent(name="a\0b"))


@pytest.mark.parametrize("way", ["fetch", "read", "scan"])
async def test_so_is_one_that_is_looked_for(db: PostgresDatabase, way: str) -> None:
    with pytest.raises(Unstorable, match="NUL"):
        await getattr(db, way)(agents.get, "p", "asst_\0")
    assert await getattr(db, way)(agents.get, "p", "asst_none") is None


async def test_a_full_disk_is_told_of_until_something_is_stored_again(db: PostgresDatabase) -> None:
    raising = "DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"

    async def fill(tx: Transaction) -> None:
        await tx.run(Statement(text(raising)), {})

    with pytest.raises(StoreFull, match="could not extend file"):
        await db.write(fill)
    assert db.refusing() == "the store's disk is full"
    await db.fetch(health.ping)
    assert db.refusing() == "the store's disk is full"
    await db.write(health.touch)
    assert db.refusing() is None


async def test_a_failing_function_leaves_nothing_and_its_connection_is_used_again(
    db: PostgresDatabase, postgres_url: str
) -> None:
    async def fail(tx: Transaction) -> None:
        await threads.add(tx, store.thread())
        raise ZeroDivisionError

    for _ in range(40):
        with pytest.raises(ZeroDivisionError):
            await db.write(fail)
    assert dump(postgres_url)["threads"] == []
    async with watching(postgres_url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert await connection.fetchval(query) <= 3


async def test_readers_write_nothing(db: PostgresDatabase) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await db.read(threads.add, store.thread())


async def test_a_read_sees_one_moment(db: PostgresDatabase) -> None:
    gate = Gate()

    async def look_twice(tx: Transaction) -> list[bool]:
        first = await threads.get(tx, PROJECT, "thread_1")
        await gate.wait()
        second = await threads.get(tx, PROJECT, "thread_1")
        return [first is not None, second is not None]

    looking = asyncio.ensure_future(db.read(look_twice))
    await gate.reached.wait()
    await db.write(threads.add, store.thread())
    gate.opened.set()
    assert await looking == [False, False]


async def test_more_writers_than_connections_all_get_their_turn(postgres_url: str) -> None:
    db = PostgresDatabase(postgres_url, clock=SystemClock(), connections=2)
    await asyncio.gather(*(db.write(threads.add, store.thread(f"thread_{n}")) for n in range(50)))
    await db.close()
    assert len(dump(postgres_url)["threads"]) == 50


async def test_a_cancelled_writer_is_done_all_the_same(db: PostgresDatabase, postgres_url: str) -> None:
    gate = Gate()

    async def add(tx: Transaction) -> None:
        await threads.add(tx, store.thread())
        await gate.wait()

    writing = asyncio.ensure_future(db.write(add))
    await gate.reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.opened.set()
    await db.close()
    assert len(dump(postgres_url)["threads"]) == 1
    with pytest.raises(StoreError, match="closed"):
        await db.write(threads.add, store.thread("thread_2"))


# --- the server goes away ------------------------------------------------------------------------


async def test_a_connection_that_is_cut_costs_nobody_anything(
    db: PostgresDatabase, postgres: PostgresServer, postgres_url: str
) -> None:
    await db.write(threads.add, store.thread())
    name = postgres_url.rpartition("/")[2]
    cut = False

    async def add(tx: Transaction) -> None:
        nonlocal cut
        await threads.add(tx, store.thread("thread_2"))
        if not cut:
            cut = True
            assert postgres.cut_connections(name)
        await messages.add(tx, store.message(thread_id="thread_2"))

    await db.write(add)
    postgres.cut_connections(name)
    assert await db.read(threads.get, PROJECT, "thread_2") is not None
    rows = dump(postgres_url)
    assert (len(rows["threads"]), len(rows["messages"])) == (2, 1)


async def test_a_commit_that_could_not_even_be_sent_is_not_unknown(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """For a moment the driver knows the server's last word, but not yet the connection's end."""
    gate = Gate()

    async def add(tx: Transaction) -> None:
        await tx.begin()
        await threads.add(tx, store.thread())
        await gate.wait()

    async with cable_to(postgres_url) as cable, opened(cable.url) as db:
        adding = asyncio.ensure_future(db.write(add))
        await gate.reached.wait()
        cable.hide_next_end()
        assert postgres.cut_connections(postgres_url.rpartition("/")[2])
        await cable.end_hidden.wait()
        assert not await db.read(threads.get, PROJECT, "thread_1")  # which takes long enough to hear of it
        gate.opened.set()
        await adding
    assert len(dump(postgres_url)["threads"]) == 1


async def test_a_process_that_stands_still_in_a_transaction_holds_nobody_up_for_long(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await db.write(_with_live_run)
    gate = Gate()

    async def stand_still(tx: Transaction) -> RunState | None:
        claimed = await runs.claim(tx, "run_1", "worker_1", NOW)
        await gate.wait()
        return claimed

    standing = asyncio.ensure_future(db.write(stand_still))
    await gate.reached.wait()
    async with opened(postgres_url) as other, asyncio.timeout(5):
        taken = await other.write(runs.claim, "run_1", "worker_2", NOW)
    assert taken is not None
    gate.opened.set()
    again = await standing
    assert again is not None
    assert again.run.epoch == taken.run.epoch + 1, "what it did before it stood still does not count"


async def test_a_process_that_stopped_within_a_statement_is_fenced_off(postgres_url: str) -> None:
    db = PostgresDatabase(postgres_url, clock=SystemClock(), name="worker_1")
    await db.write(_with_live_run)
    gate, closed = Gate(), asyncio.Event()

    async def stop(tx: Any) -> None:
        tx._connection.add_termination_listener(lambda _: closed.set())
        await runs.claim(tx, "run_1", "worker_1", NOW)
        await tx._connection.prepare("SELECT 42")  # and never executed: to PostgreSQL that is not idle
        await gate.wait()

    stopped = asyncio.ensure_future(db.write(stop))
    await gate.reached.wait()
    async with opened(postgres_url) as other, asyncio.timeout(5):
        claiming = asyncio.ensure_future(other.write(runs.claim, "run_1", "worker_2", NOW))
        while not claiming.done():
            await other.fence("worker_1")
            await asyncio.wait((claiming,), timeout=0.05)
        assert await claiming is not None
        await closed.wait()  # the locks go a moment before the connection does
    gate.opened.set()
    await stopped
    await db.close()


async def test_a_server_that_is_away_for_long_is_said_to_be_so() -> None:
    with running_postgres() as server:
        db = PostgresDatabase(server.new_database("away"), clock=SystemClock(), reconnect_timeout=150)
        await db.write(threads.add, store.thread())
        server.stop()
        for attempt in (db.read(threads.get, PROJECT, "x"), db.write(threads.add, store.thread("thread_2"))):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await attempt
        server.start()
        assert await db.read(threads.get, PROJECT, "thread_1") is not None
        await db.close()


async def test_without_a_bus_one_process_at_a_time_uses_a_database(postgres_url: str) -> None:
    async def opened_as(alone: bool) -> PostgresDatabase:
        db = PostgresDatabase(postgres_url, clock=SystemClock(), reconnect_timeout=100, alone=alone)
        await db.open()
        return db

    first = await opened_as(True)
    for alone in (True, False):
        with pytest.raises(StoreError, match="Another Clew process uses this database"):
            await opened_as(alone)
    await first.close()
    several = [await opened_as(False), await opened_as(False)]
    with pytest.raises(StoreError, match="CLEW_BUS_URL"):
        await opened_as(True)
    for db in several:
        await db.close()


async def test_servers_that_start_at_the_same_time_make_the_tables_once(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE made_by_many")
    url = postgres.url("made_by_many")
    await asyncio.gather(*(asyncio.to_thread(prepare_postgres, url) for _ in range(4)))
    async with opened(url) as db:
        await db.write(threads.add, store.thread())
    postgres.drop_database("made_by_many")
