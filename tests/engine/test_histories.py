"""What is kept of threads is always what the database would say, whatever happens to them meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.engine.histories import Histories, as_told
from clew.engine.prompt import Told
from clew.store import line, messages, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from tests.support import store
from tests.support.database import Place, new_database
from tests.support.store import NOW, PROJECT, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(place: Place) -> AsyncIterator[Database]:
    async with opened(place) as db:
        await db.write(threads.add, store.thread())
        yield db


class Counted:
    """A database that counts the messages it reads."""

    def __init__(self, db: Database) -> None:
        self._db, self.read = db, 0

    async def fetch(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return self._count(await self._db.fetch(function, *args, **kwargs))

    async def scan(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return self._count(await self._db.scan(function, *args, **kwargs))

    def _count(self, found: Any) -> Any:
        self.read += len(found.messages if isinstance(found, messages.Numbered) else found)
        return found


async def _add(db: Database, *numbers: int, **fields: Any) -> None:
    async def add(tx: Transaction) -> None:
        for number in numbers:
            await messages.add(tx, store.message(f"msg_{number}", **fields))

    await db.write(add)


async def _true(db: Database, run_id: str = "run_x", limit: int | None = None) -> list[Told]:
    found = await db.read(messages.newest, "thread_1", limit, except_run=run_id)
    return as_told(found)


async def test_a_turn_reads_only_what_is_new(db: Database) -> None:
    await _add(db, *range(500))
    counted: Any = Counted(db)
    histories = Histories(counted)
    assert len(await histories.before("thread_1", "run_x", None)) == 500
    counted.read = 0
    await _add(db, 500, 501)
    assert await histories.before("thread_1", "run_x", None) == await _true(db)
    assert counted.read == 3, "the last that was known, and the two new ones"
    assert await histories.before("thread_1", "run_x", 50) == (await _true(db))[-50:]


async def test_a_window_of_an_unknown_thread_reads_no_more_than_the_window(db: Database) -> None:
    await _add(db, *range(300))
    counted: Any = Counted(db)
    assert await Histories(counted).before("thread_1", "run_x", 40) == await _true(db, limit=40)
    assert counted.read == 60


async def test_a_message_that_takes_a_deleted_ones_place_is_seen(db: Database) -> None:
    await _add(db, *range(100))
    histories = Histories(db)
    await histories.before("thread_1", "run_x", None)
    await db.write(messages.remove, PROJECT, "thread_1", "msg_99")
    await _add(db, 100)
    assert await histories.before("thread_1", "run_x", None) == await _true(db)
    await db.write(messages.remove, PROJECT, "thread_1", "msg_3")
    await _add(db, 101)
    assert await histories.before("thread_1", "run_x", None) == await _true(db)


async def test_what_a_run_wrote_itself_is_its_own_and_then_history(db: Database) -> None:
    await _add(db, *range(50))
    await _add(db, 50, run_id="run_1", role="assistant")
    histories = Histories(db)
    assert await histories.before("thread_1", "run_1", None) == await _true(db, "run_1")
    assert await histories.before("thread_1", "run_2", None) == await _true(db, "run_2")
    assert len(await histories.before("thread_1", "run_2", None)) == 51


async def test_a_thread_that_is_gone_has_no_history(db: Database) -> None:
    await _add(db, *range(50))
    histories = Histories(db)
    await histories.before("thread_1", "run_x", None)
    await db.write(threads.remove, PROJECT, "thread_1")
    assert list(await histories.before("thread_1", "run_x", None)) == []


async def test_no_more_is_kept_than_allowed(db: Database) -> None:
    await _add(db, *range(50))
    await db.write(threads.add, store.thread("thread_2"))
    await _add(db, *range(100, 150), thread_id="thread_2")
    tokens = sum(each.tokens for each in await _true(db))
    counted: Any = Counted(db)
    histories = Histories(counted, most_tokens=tokens + 10)
    for thread in ("thread_1", "thread_2", "thread_2", "thread_1"):
        counted.read = 0
        assert len(await histories.before(thread, "run_x", None)) == 50
    assert counted.read > 50, "it had made room for the other"


_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 30)),
        st.tuples(st.just("delete"), st.floats(0, 1, exclude_max=True)),
        st.tuples(st.just("hold"), st.just(0)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("ask"), st.sampled_from([None, 5, 30])),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(_OPERATIONS)
def test_it_agrees_with_the_database_after_anything(
    tmp_path_factory: pytest.TempPathFactory, operations: Sequence[tuple[str, Any]]
) -> None:
    place = new_database(tmp_path_factory.mktemp("histories") / "clew.db")
    asyncio.run(_play(place, operations))


async def _play(place: Path, operations: Sequence[tuple[str, Any]]) -> None:
    async with opened(place) as db:
        await db.write(threads.add, store.thread())
        await _add(db, *range(1000, 1025))
        histories, number = Histories(db), 0
        for name, value in operations:
            if name == "add":
                await _add(db, *range(number, number + value))
                number += value
            elif name == "delete":
                await _delete_some(db, value)
            elif name == "hold":
                held = await db.write(line.next_place, "thread_1")
                await _add(db, number, held=held)
                number += 1
            elif name == "release":
                await db.write(line.release, "thread_1", NOW)
            else:
                assert await histories.before("thread_1", "run_x", value) == await _true(db, limit=value)
        assert await histories.before("thread_1", "run_x", None) == await _true(db)


async def _delete_some(db: Database, share: float) -> None:
    found = await db.read(messages.newest, "thread_1", None, except_run="")
    if found:
        await db.write(messages.remove, PROJECT, "thread_1", found[int(share * len(found))].id)
