"""SQLite: commits shared by those who wait, and nothing lost of what was acknowledged."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from clew.core.options import JsonObjectFormat
from clew.core.tools import FunctionDefinition, FunctionTool, OtherTool
from clew.store import agents, threads
from clew.store.database import Database, StoreError, StoreFull
from clew.store.sqlite import SqliteDatabase
from clew.store.statement import Statement, Transaction
from tests.support import store
from tests.support.database import copy_database, dump
from tests.support.store import PROJECT, opened

pytestmark = pytest.mark.anyio

SYNCHRONOUS, JOURNAL = Statement(text("PRAGMA synchronous")), Statement(text("PRAGMA journal_mode"))
FOREIGN_KEYS = Statement(text("PRAGMA foreign_keys"))


class Held:
    """Holds the writer inside a transaction, so that those who come meanwhile form one group."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._entered, self._released = threading.Event(), threading.Event()

    async def __aenter__(self) -> "Held":
        self._task = asyncio.ensure_future(self._db.write(self._wait))
        assert await asyncio.to_thread(self._entered.wait, 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        await self._task

    def release(self) -> None:
        self._released.set()

    async def _wait(self, tx: Transaction) -> None:
        self._entered.set()
        assert self._released.wait(10)


def _adding(*ids: str) -> Callable[[Transaction], Coroutine[Any, Any, str]]:
    async def add(tx: Transaction) -> str:
        for thread_id in ids:
            await threads.add(tx, store.thread(thread_id))
        return ids[-1]

    return add


async def _failing(tx: Transaction) -> None:
    await threads.add(tx, store.thread("thread_of_the_failing"))
    raise ZeroDivisionError("of its own making")


async def _wandering(tx: Transaction) -> None:
    await threads.add(tx, store.thread("thread_of_the_wandering"))
    await asyncio.sleep(0)


def _threads(path: Path) -> list[object]:
    return [row[1] for row in dump(path)["threads"]]


async def test_a_failing_transaction_takes_nothing_of_its_neighbours(database: Path) -> None:
    async with opened(database) as db:
        async with Held(db):
            group = asyncio.gather(
                db.write(_adding("thread_1")),
                db.write(_failing),
                db.write(_adding("thread_2", "thread_1")),  # an id that is taken
                db.write(_wandering),
                db.write(_adding("thread_3")),
                return_exceptions=True,
            )
            await asyncio.sleep(0)
        one, failed, doubled, wandered, three = await group
        assert (one, three) == ("thread_1", "thread_3")
        assert isinstance(failed, ZeroDivisionError)
        assert "UNIQUE" in str(doubled)
        assert "awaited something other than its transaction" in str(wandered)
        assert _threads(database) == ["thread_1", "thread_3"]


async def test_who_waits_together_is_committed_together_and_answered_after_that(database: Path) -> None:
    release = threading.Event()
    entered = threading.Event()

    async def last_of_the_group(tx: Transaction) -> None:
        entered.set()
        assert release.wait(10)

    async with opened(database) as db:
        async with Held(db):
            group = [asyncio.ensure_future(db.write(_adding(f"thread_{number}"))) for number in range(20)]
            last = asyncio.ensure_future(db.write(last_of_the_group))
            await asyncio.sleep(0)
        assert await asyncio.to_thread(entered.wait, 10)
        assert not any(write.done() for write in group), "somebody was answered before the commit"
        assert _threads(database) == []
        release.set()
        await asyncio.gather(*group, last)
        assert len(_threads(database)) == 20


async def test_transactions_happen_in_the_order_they_were_asked_for(database: Path) -> None:
    ids = [f"thread_{number}" for number in range(300)]
    async with opened(database) as db:
        await asyncio.gather(*(db.write(_adding(each)) for each in ids))
        assert _threads(database) == ids


async def test_an_acknowledged_write_is_in_the_files_whatever_becomes_of_the_process(
    database: Path, tmp_path: Path
) -> None:
    async with opened(database) as db:
        await db.write(_adding("thread_1"))
        crashed = copy_database(database, tmp_path / "as-a-crash-leaves-it.db")
    assert _threads(crashed) == ["thread_1"]


async def test_every_connection_flushes_at_each_commit_and_checks_references(database: Path) -> None:
    async def pragmas(tx: Transaction) -> list[Any]:
        return [
            row[0]
            for statement in (SYNCHRONOUS, JOURNAL, FOREIGN_KEYS)
            if (row := await tx.one(statement, {})) is not None
        ]

    async with opened(database) as db:
        for connection in (db.write, db.read, db.scan):
            assert await connection(pragmas) == [2, "wal", 1]


async def test_a_cancelled_writer_disturbs_nobody(database: Path) -> None:
    async with opened(database) as db:
        async with Held(db):
            impatient = asyncio.ensure_future(db.write(_adding("thread_1")))
            patient = asyncio.ensure_future(db.write(_adding("thread_2")))
            await asyncio.sleep(0)
            impatient.cancel()
        assert await patient == "thread_2"
        assert "thread_2" in _threads(database)


async def test_readers_write_nothing(database: Path) -> None:
    async with opened(database) as db:
        for reader in (db.read, db.scan):
            with pytest.raises(Exception, match="readonly"):
                await reader(_adding("thread_1"))
        assert _threads(database) == []
        await db.write(_adding("thread_2"))


async def test_a_read_sees_one_moment_of_the_database(database: Path) -> None:
    """Another's commit between two statements of one read does not show in the second."""

    async def twice(tx: Transaction) -> tuple[object, object]:
        before = await threads.get(tx, PROJECT, "thread_1")
        assert go_on.wait(10)
        return before, await threads.get(tx, PROJECT, "thread_1")

    go_on = threading.Event()
    async with opened(database) as db:
        reading = asyncio.ensure_future(db.scan(twice))
        await db.write(_adding("thread_0"))
        await db.write(_adding("thread_1"))
        go_on.set()
        before, after = await reading
        assert before == after


async def test_what_was_accepted_is_finished_before_closing(database: Path) -> None:
    db = SqliteDatabase(database)
    writes = [asyncio.ensure_future(db.write(_adding(f"thread_{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await db.close()
    assert len(await asyncio.gather(*writes)) == 50
    assert len(_threads(database)) == 50
    with pytest.raises(StoreError, match="closed"):
        await db.write(_adding("thread_late"))
    await db.close()


async def test_records_come_back_as_they_were_stored(database: Path) -> None:
    agent = store.agent(
        name="\x00 é 🧶 '\"",
        tools=[
            FunctionTool(function=FunctionDefinition(name="f", parameters={"n": [1, None, 1.5, 2**70]})),
            OtherTool(given={"type": "later", "later": None}),
        ],
        metadata={"k": "v"},
        response_format=JsonObjectFormat(),
        temperature=0.1,
    )
    async with opened(database) as db:
        await db.write(agents.add, agent)
        assert await db.read(agents.get, PROJECT, agent.id) == agent
        assert await db.read(agents.get, "beta", agent.id) is None
    async with opened(database) as db:
        assert await db.scan(agents.get, PROJECT, agent.id) == agent


async def test_a_full_disk_fails_what_does_not_fit_and_the_store_goes_on(database: Path) -> None:
    async def limit(tx: Transaction, pages: int) -> None:
        await tx.one(Statement(text(f"PRAGMA max_page_count = {pages}")), {})

    async def fill(tx: Transaction) -> None:
        await threads.add(tx, store.thread("thread_too_big", metadata={"a": "x" * 4_000_000}))

    async with opened(database) as db:
        await db.write(_adding("thread_before"))
        await db.write(limit, 1)  # no less than there are
        with pytest.raises(StoreFull, match="full"):
            await db.write(fill)
        assert db.refusing() == "the store's disk is full"
        assert await db.read(threads.get, PROJECT, "thread_too_big") is None
        await db.write(limit, 1_000_000)
        await db.write(_adding("thread_after"))
        assert db.refusing() is None
        await db.write(fill)
    assert _threads(database) == ["thread_before", "thread_after", "thread_too_big"]


def _by_its_name(database: Path) -> Path:
    return database


def _through_a_link(database: Path) -> Path:
    link = database.parent / "elsewhere" / "other.db"
    link.parent.mkdir()
    link.symlink_to(database)
    return link


def _through_a_linked_folder(database: Path) -> Path:
    link = database.parent.parent / f"link-to-{database.parent.name}"
    link.symlink_to(database.parent)
    return link / database.name


def _through_a_hard_link(database: Path) -> Path:
    link = database.parent / "elsewhere" / "other.db"
    link.parent.mkdir()
    link.hardlink_to(database)
    return link


@pytest.mark.parametrize(
    "name",
    [
        _by_its_name,
        _through_a_link,
        _through_a_linked_folder,
        pytest.param(
            _through_a_hard_link, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
        ),
    ],
)
async def test_a_second_server_on_the_same_file_is_told_so(
    database: Path, name: Callable[[Path], Path]
) -> None:
    async with opened(database):
        other = name(database)
        with pytest.raises(StoreError, match="in use by another Clew server"):
            SqliteDatabase(other)
        program = (
            "import sys; from pathlib import Path; from clew.store.sqlite import SqliteDatabase;"
            "SqliteDatabase(Path(sys.argv[1]))"
        )
        command = [sys.executable, "-c", program, str(other)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        assert done.returncode != 0
        assert f"{other} is in use by another Clew server. Stop it, or choose another" in done.stderr
    async with opened(other) as db:
        await db.write(_adding("thread_1"))
    assert _threads(database) == ["thread_1"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_who_is_refused_a_file_takes_no_locks_from_its_owner(database: Path) -> None:
    def locks() -> list[str]:
        inode = f":{database.stat().st_ino} "
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        return sorted(line.split(":", 1)[1] for line in lines if inode in line)

    async with opened(database) as db:
        await db.write(_adding("thread_1"))
        before = locks()
        assert any("POSIX" in line for line in before), "SQLite holds a lock on the file"
        assert any("FLOCK" in line for line in before), "and so do we"
        with pytest.raises(StoreError, match="in use"):
            SqliteDatabase(_through_a_hard_link(database))
        assert locks() == before
    assert locks() == []


@pytest.mark.parametrize("refused", [1, 2])
def test_a_store_that_cannot_be_opened_leaves_nothing_open(
    database: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    opened_here: list[sqlite3.Connection] = []

    class Watched(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            if len(opened_here) == refused:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(*args)

    def connect(path: Path, **options: Any) -> sqlite3.Connection:
        opened_here.append(Watched(path, **options))
        return opened_here[-1]

    with monkeypatch.context() as patched:
        patched.setattr("clew.store.sqlite.sqlite3.connect", connect)
        with pytest.raises(StoreError, match="disk I/O error"):
            SqliteDatabase(database)
    assert len(opened_here) == refused
    for connection in opened_here:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.cursor()
    asyncio.run(SqliteDatabase(database).close())  # the lock was given back
