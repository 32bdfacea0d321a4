"""SQLite: one writer thread with group commit, and readers beside it.

A durable commit costs a flush of the disk, so the transactions that wait at one moment share one
commit, each in a savepoint of its own: a failing one takes nothing of its neighbours with it. Nobody
is answered before the flush.

Reads of a few indexed rows take 6 to 50 microseconds, less than handing them to a thread, and run
where they are asked for. WAL mode keeps them from ever waiting for the writer. Anything that may
scan goes to a thread with a connection of its own.
"""

import asyncio
import logging
import queue
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from clew.store.database import (
    NO_ROOM,
    Conflict,
    P,
    Standing,
    StoreError,
    StoreFull,
    StoreFunction,
    T,
    is_full,
    is_passing,
)
from clew.store.lock import DatabaseLock
from clew.store.statement import Params, Row, Statement, Write

_GROUP = 128
"""Transactions in one commit, at most: bounds how long the first of them waits."""

_ROOM = 1024 * 1024
"""Bytes that a disk must take before a store that was full counts as well again."""

_log = logging.getLogger(__name__)


class SqliteTransaction:
    """The store's transaction on one connection. Its coroutines never suspend."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def hold(self, statement: Statement, params: Params) -> Row | None:
        """The one writer holds everything."""
        return await self.one(statement, params)

    async def one(self, statement: Statement, params: Params) -> Row | None:
        row: Row | None = self._connection.execute(statement.sqlite, params).fetchone()
        return row

    async def all(self, statement: Statement, params: Params) -> Sequence[Row]:
        return self._connection.execute(statement.sqlite, params).fetchall()

    async def run(self, statement: Statement, params: Params) -> int:
        return self._connection.execute(statement.sqlite, params).rowcount

    async def write(
        self, guards: Sequence[Write], then: Sequence[Write] = (), *, last: bool = False
    ) -> Row | None:
        selected: tuple[Any, ...] = ()
        for statement, params in guards:
            cursor = self._connection.execute(statement.sqlite, params)
            if statement.selects:
                if (row := cursor.fetchone()) is None:
                    return None
                selected += row
            elif not cursor.rowcount:
                return None
        for statement, params in then:
            self._connection.execute(statement.sqlite, params)
        return selected

    async def begin(self) -> None:
        """Whatever a job writes is one transaction."""


def read_beside(path: Path, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads, on a database that a server may own meanwhile.

    Raises:
        sqlite3.Error: the file can't be read.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        return _drive(function(SqliteTransaction(connection), *args, **kwargs))
    finally:
        connection.close()


def write_beside(path: Path, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in one short transaction, on a database that a server may own meanwhile.

    Raises:
        sqlite3.Error: the file can't be written, or has been busy for 30 seconds.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")  # else what hangs on a row outlives it
        connection.execute("BEGIN IMMEDIATE")
        result = _drive(function(SqliteTransaction(connection), *args, **kwargs))
        connection.execute("COMMIT")
        return result


class _Job(NamedTuple):
    """A transaction that waits for the writer."""

    make: Callable[[SqliteTransaction], Coroutine[Any, Any, Any]]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class SqliteDatabase:
    """A SQLite file, owned by this process until :meth:`close`.

    Raises:
        StoreError: another process owns the file, or it cannot be opened.
    """

    pgvector = None

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self._path = path
        self._synchronous = synchronous
        self._standing = _Standing(path)
        self._lock = DatabaseLock(path)
        self._lock.acquire(
            f"{path} is in use by another Clew server. Stop it, or choose another CLEW_DATABASE_URL."
        )
        try:
            self._reader = self._connect(read_only=True)
            try:
                writer = self._connect()
            except sqlite3.Error:
                self._reader.close()
                raise
        except sqlite3.Error as error:
            self._lock.release()
            raise StoreError(f"Cannot open the database {path}: {error}") from error
        self._read_transaction = SqliteTransaction(self._reader)
        self._scanners = ThreadPoolExecutor(2, thread_name_prefix="clew-scan")
        self._local = threading.local()
        self._scanning: list[sqlite3.Connection] = []
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(
            target=self._write_loop, args=(writer,), name="clew-writer", daemon=True
        )
        self._writer.start()

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA busy_timeout=30000")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    async def open(self) -> None:
        """The file was locked when this object was made."""

    # --- the ways in ---------------------------------------------------------------------------

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise StoreError("The store is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(lambda tx: function(tx, *args, **kwargs), loop, future))
        return await future

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await function(self._read_transaction, *args, **kwargs)

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        connection = self._reader
        connection.execute("BEGIN")
        try:
            return await function(self._read_transaction, *args, **kwargs)
        finally:
            connection.execute("COMMIT")

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            connection = self._scanner()
            connection.execute("BEGIN")
            try:
                return _drive(function(SqliteTransaction(connection), *args, **kwargs))
            finally:
                connection.execute("COMMIT")

        return await asyncio.get_running_loop().run_in_executor(self._scanners, run)

    async def fence(self, name: str) -> None:
        """There is no other process."""

    def refusing(self) -> str | None:
        return self._standing.trouble

    def _scanner(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(read_only=True)
            self._scanning.append(connection)
        return connection

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._writer.join)
        self._scanners.shutdown()
        for connection in self._scanning:
            connection.close()
        self._reader.close()
        self._lock.release()

    # --- the writer thread ---------------------------------------------------------------------

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        transaction, standing = SqliteTransaction(connection), self._standing
        with closing(connection):
            while (job := self._jobs.get()) is not None:
                group = [job]
                while len(group) < _GROUP and not self._jobs.empty():
                    following = self._jobs.get()
                    if following is None:
                        self._jobs.put(None)
                        break
                    group.append(following)
                outcomes = _commit_group(connection, transaction, group, standing)
                if standing.trouble is not None and any(error is None for _, _, error in outcomes):
                    standing.look_again()
                _deliver(outcomes)
            connection.execute("PRAGMA optimize")


class _Standing(Standing):
    """What becomes of a SQLite file's writes; of a full disk, in one kind of error."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._folder = path.resolve().parent

    def worded(self, error: BaseException) -> BaseException:
        """Return the error that a caller is told. Trouble of the store itself is noted."""
        if isinstance(error, sqlite3.IntegrityError):
            return Conflict(str(error))
        if not is_passing(error):
            return error
        if is_full(error) or self._no_room() in NO_ROOM:  # a quota is "disk I/O error" to SQLite
            error = StoreFull("the disk is full")
        self.refuses(error)
        return error

    def look_again(self) -> None:
        """After something was stored: is there room for more than that, too?"""
        if self._no_room() is None:
            self.takes()

    def _no_room(self) -> int | None:
        """Return the system's code for why a small file can't be written beside the database, if so."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.write(bytes(_ROOM))
        except OSError as error:
            return error.errno
        return None


_Outcome = tuple[_Job, Any, BaseException | None]


def _commit_group(
    connection: sqlite3.Connection, transaction: SqliteTransaction, group: list[_Job], standing: _Standing
) -> list[_Outcome]:
    """Run the group in one transaction. If the commit fails, every job of it has failed."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(group) == 1:
            return [_run_alone(connection, transaction, group[0], standing)]
        outcomes = [_run_in_savepoint(connection, transaction, job, standing) for job in group]
        connection.execute("COMMIT")
    except BaseException as error:
        if not is_passing(error):
            _log.exception("a group of %d transactions could not be committed", len(group))
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # a disk that fails here fails the next group too, in words
                connection.execute("ROLLBACK")
        told = standing.worded(error)
        return [(job, None, told) for job in group]
    return outcomes


def _run_alone(
    connection: sqlite3.Connection, transaction: SqliteTransaction, job: _Job, standing: _Standing
) -> _Outcome:
    """Run a transaction that has no neighbours: it needs no savepoint."""
    try:
        result = _drive(job.make(transaction))
    except Exception as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK")
        return job, None, standing.worded(error)
    connection.execute("COMMIT")
    return job, result, None


def _run_in_savepoint(
    connection: sqlite3.Connection, transaction: SqliteTransaction, job: _Job, standing: _Standing
) -> _Outcome:
    connection.execute("SAVEPOINT job")
    try:
        result = _drive(job.make(transaction))
    except Exception as error:
        if not connection.in_transaction:  # SQLite has given up all of it: the disk is full, or broken
            raise
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return job, None, standing.worded(error)
    connection.execute("RELEASE job")
    return job, result, None


def _drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a store function to its end. It awaits only its transaction, which never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a store function awaited something other than its transaction")


def _deliver(outcomes: list[_Outcome]) -> None:
    """Answer everybody in the group, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].loop, []).append(outcome)
    for loop, answered in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, answered)
        except RuntimeError:  # the loop was closed; what it asked for is committed all the same
            _log.warning("%d committed transactions had nobody left to tell", len(answered))


def _answer(outcomes: list[_Outcome]) -> None:
    for job, result, error in outcomes:
        if job.future.cancelled():
            continue
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
