"""PostgreSQL: transactions of asyncpg on a small pool of connections.

The same store functions as on SQLite, with the same outcome: a transaction runs at READ COMMITTED, and
first holds the row of the thread (or agent) that it is about, so whatever happens in a thread happens in
one order. What it does in one statement needs no more (see decision 12). Two transactions that come into
each other's way are no error of the caller's: the one that PostgreSQL refuses is run again, and then sees
what the other one has done.

asyncpg was chosen by measurement: a transaction of four statements costs it 0.12 ms of CPU, psycopg 0.22
(0.26 with pipelines), and its own pool 0.17 (see decision 7).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
from asyncpg import Connection

from clew.clock import Clock
from clew.store.database import (
    CommitUnknown,
    Conflict,
    P,
    Standing,
    StoreError,
    StoreFull,
    StoreFunction,
    StoreInUse,
    StoreUnavailable,
    T,
    Unstorable,
)
from clew.store.pgvector import Pgvector, found_on
from clew.store.postgres_pool import (
    AWAY,
    Pool,
    ServerAway,
    application_name,
    connect,
    first_line,
    is_away,
    never_sent,
    unusable,
)
from clew.store.postgres_writes import composed, inserted_row
from clew.store.statement import Params, Row, Statement, Write

_ATTEMPTS = 5
"""How often a transaction is run that others come in the way of."""

_RECONNECT_TIMEOUT = 10_000
"""Milliseconds for which a server that is away (a restart, a failover) is waited for."""

_PAUSE = 100
"""Milliseconds between two attempts to reach it."""

_SCANS = 2
"""Transactions that may read many rows, at one time."""

_NUL = "a text holds the character NUL, which PostgreSQL cannot keep"

_IN_THE_WAY = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,  # the schema was changed meanwhile
)
PROCESSES_LOCK = 0x636C6578
"""The advisory lock that says whether a process is alone on the database. Held until it closes."""

_LONGEST_LOCK_WAIT = 3_000
"""Milliseconds for which that lock is waited for."""

_FENCE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = $1
      AND state <> 'idle' AND xact_start < clock_timestamp() - interval '1 second'"""

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SCAN = (
    f"{_SNAPSHOT}; SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; "
    "SET LOCAL plan_cache_mode = force_custom_plan"
)
"""A scan is planned as PostgreSQL finds best, for the values at hand. One round trip, as the other.

Always anew: a plan that is kept for a prepared statement outlives the settings it was made under, so a
kept one would be used by whatever else runs that statement on this connection, and the other way round.
"""

_log = logging.getLogger(__name__)


_Finish = Callable[[str, list[Any], str, str], Coroutine[Any, Any, Row | None]]


class PostgresTransaction:
    """The store's transaction on one connection.

    At READ COMMITTED every statement sees what is committed when it begins. So what is read before the
    first write needs no transaction, and BEGIN waits for that write: a write that is the first and the
    ``last`` is a transaction by itself.
    """

    __slots__ = ("_connection", "_finish", "begun", "done", "unsure")

    def __init__(self, connection: Connection, finish: "_Finish | None" = None) -> None:
        self._connection = connection
        self._finish = finish
        """Sees to the end of a write without BEGIN, under which the connection broke."""
        self.begun = False
        self.done = False
        """Whether all is written and committed, without BEGIN."""
        self.unsure = False
        """Whether a write without BEGIN is on its way."""

    async def begin(self) -> None:
        if self.done:
            raise RuntimeError("something is to be written after what was said to be the last")
        if not self.begun:
            await self._connection.execute("BEGIN")
            self.begun = True

    async def hold(self, statement: Statement, params: Params) -> Row | None:
        await self.begin()
        return await self.one(statement, params)

    async def one(self, statement: Statement, params: Params) -> Row | None:
        text, names = statement.postgres
        row: Row | None = await self._connection.fetchrow(text, *[params[name] for name in names])
        return row

    async def all(self, statement: Statement, params: Params) -> Sequence[Row]:
        text, names = statement.postgres
        rows: Sequence[Row] = await self._connection.fetch(text, *[params[name] for name in names])
        return rows

    async def run(self, statement: Statement, params: Params) -> int:
        await self.begin()
        text, names = statement.postgres
        status: str = await self._connection.execute(text, *[params[name] for name in names])
        return int(status.rpartition(" ")[2])

    async def write(
        self, guards: Sequence[Write], then: Sequence[Write] = (), *, last: bool = False
    ) -> Row | None:
        text, values = composed(guards, then)
        if self.begun or not last:
            await self.begin()
            return await self._written(text, values, guards)
        self.unsure = True
        try:
            row = await self._written(text, values, guards)
        except Exception as error:
            new = inserted_row(guards, then)
            if not is_away(error) or self._finish is None or new is None:
                raise
            self._connection.terminate()
            row = await self._finish(text, values, *new)
        self.unsure = False
        self.done = row is not None
        return row

    async def _written(self, text: str, values: list[Any], guards: Sequence[Write]) -> Row | None:
        row: Row | None = await self._connection.fetchrow(text, *values)
        return row if guards else ()


class PostgresDatabase:
    """A PostgreSQL database, whose schema is ready (:mod:`clew.store.schema`). Connects on first use.

    Args:
        url: ``postgresql://user@host/database``; what it leaves out, PGPASSWORD and its like say.
        connections: how many there are at most.
        name: who this process is, to those who may have to :meth:`fence` it off.
        reconnect_timeout: milliseconds for which a server that is away is waited for.
        alone: whether this process is the only one on the database.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        name: str = "",
        connections: int = 16,
        reconnect_timeout: int = _RECONNECT_TIMEOUT,
        alone: bool = True,
    ) -> None:
        self.url, self._alone = url, alone
        self.pgvector: Pgvector | None = None
        self._pool = Pool(url, connections, application_name(name))
        self._lock_holder: Connection | None = None
        self._standing = Standing("The database")
        self._clock, self._reconnect_timeout = clock, reconnect_timeout
        self._scans = asyncio.Semaphore(_SCANS)
        self._writes: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def open(self) -> None:
        """Take this process's lock on the database: the only one, or one of several.

        Raises:
            StoreError: another process has the database to itself.
        """
        try:
            self._lock_holder = await connect(self.url)
            locked = await self._take_lock(self._lock_holder)
            self.pgvector = await found_on(self._lock_holder, self.url)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreError(unusable(error)) from error
        if not locked:
            await self._lock_holder.close()
            raise StoreInUse(
                "Another Clew process uses this database. "
                "Several need a bus: set CLEW_BUS_URL for all of them."
            )

    async def _take_lock(self, connection: Connection) -> bool:
        """Take the lock; the server may take a moment to notice that its last owner has died."""
        lock = "pg_try_advisory_lock" if self._alone else "pg_try_advisory_lock_shared"
        deadline = self._clock.now() + min(self._reconnect_timeout, _LONGEST_LOCK_WAIT)
        while not await connection.fetchval(f"SELECT {lock}($1)", PROCESSES_LOCK):
            if self._clock.now() >= deadline:
                return False
            await self._clock.sleep(_PAUSE)
        return True

    # --- the ways in ---------------------------------------------------------------------------

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in a transaction of its own; return when it is durably committed.

        A caller that is cancelled meanwhile stops waiting; what it asked for is done all the same.

        Raises:
            Conflict: rows are in its way, however often it is tried.
            CommitUnknown: the connection broke at the commit.
            StoreFull: its disk is full.
            StoreUnavailable: the server is away for too long.
            Unstorable: a text holds the character NUL.
        """
        if self._closed:
            raise StoreError("The store is closed.")
        task = asyncio.ensure_future(self._write(function, *args, **kwargs))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        deadline = self._clock.now() + self._reconnect_timeout
        attempts = 0
        while True:
            try:
                async with self._pool.connection() as connection:
                    transaction = PostgresTransaction(connection, self._finish)
                    result = await _commit(connection, transaction, function, *args, **kwargs)
                if self._standing.trouble is not None:
                    self._standing.takes()
                return result
            except asyncpg.DiskFullError as error:
                self._standing.refuses(error)
                raise StoreFull(f"The database's disk is full: {first_line(error)}") from error
            except _IN_THE_WAY as error:
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise Conflict(first_line(error)) from error
                _log.debug("a transaction is run again: %s", error)
            except asyncpg.CharacterNotInRepertoireError:
                raise Unstorable(_NUL) from None
            except ServerAway as away:
                await self._wait_for_server(away, deadline)

    async def _finish(self, text: str, values: list[Any], table: str, id: str) -> Row | None:
        """Find out whether a statement has been committed that inserts a row, and run it if not.

        The first attempt may still be under way. Of the two, one at most can be committed: their row has
        the same id. On a connection of its own, for those of the pool may all be held by whoever asks this.

        Raises:
            CommitUnknown: the server is away for too long.
        """
        deadline = self._clock.now() + self._reconnect_timeout
        is_there = f"SELECT 1 FROM {table} WHERE id = $1"  # noqa: S608 - a table of ours
        while True:
            try:
                connection = await connect(self.url)
                try:
                    if await connection.fetchval(is_there, id):
                        return ()
                    row: Row | None = await connection.fetchrow(text, *values)
                    return () if row is None and await connection.fetchval(is_there, id) else row
                except asyncpg.UniqueViolationError:
                    if await connection.fetchval(is_there, id):
                        return ()
                    raise
                finally:
                    connection.terminate()
            except (*AWAY, asyncpg.ReadOnlySQLTransactionError) as error:
                if self._clock.now() >= deadline:
                    raise CommitUnknown("The connection broke while something was being stored.") from error
                await self._clock.sleep(_PAUSE)

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads with one statement: such a statement is a transaction of its own.

        Raises:
            StoreUnavailable, Unstorable: as of :meth:`write`.
        """
        deadline = self._clock.now() + self._reconnect_timeout
        while True:
            try:
                async with self._pool.connection() as connection:
                    return await function(PostgresTransaction(connection), *args, **kwargs)
            except asyncpg.CharacterNotInRepertoireError:
                raise Unstorable(_NUL) from None
            except ServerAway as away:
                await self._wait_for_server(away, deadline)

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads a bounded number of rows, all as of one moment."""
        return await self._as_of_one_moment(_SNAPSHOT, lambda tx: function(tx, *args, **kwargs))

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that may read many rows; only a few of these at one time."""
        async with self._scans:
            return await self._as_of_one_moment(_SCAN, lambda tx: function(tx, *args, **kwargs))

    async def _as_of_one_moment(
        self, begin: str, function: Callable[[PostgresTransaction], Coroutine[Any, Any, T]]
    ) -> T:
        deadline = self._clock.now() + self._reconnect_timeout
        while True:
            try:
                async with self._pool.connection() as connection:
                    await connection.execute(begin)
                    try:
                        return await function(PostgresTransaction(connection))
                    finally:
                        await connection.execute("COMMIT")
            except asyncpg.CharacterNotInRepertoireError:
                raise Unstorable(_NUL) from None
            except ServerAway as away:
                await self._wait_for_server(away, deadline)

    async def fence(self, name: str) -> None:
        """End what another process has had open for more than a second: it stands still, or is very slow.

        PostgreSQL itself does not always notice: a process that stops between two messages of one
        statement holds its locks for ever.
        """
        connection = await connect(self.url)  # those of the pool may all wait for just these locks
        try:
            await connection.execute(_FENCE, application_name(name))
        finally:
            await connection.close()

    def refusing(self) -> str | None:
        """Return why it took nothing when it was last written to, if its disk was full."""
        return self._standing.trouble

    async def _wait_for_server(self, away: ServerAway, deadline: int) -> None:
        """Pause before the next attempt.

        Raises:
            StoreUnavailable: the server has been away for too long.
        """
        if self._clock.now() >= deadline:
            raise StoreUnavailable(f"The database does not answer: {away}") from away
        await self._clock.sleep(_PAUSE)

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._pool.close()
        if self._lock_holder is not None:
            self._lock_holder.terminate()


async def _commit(
    connection: Connection,
    transaction: PostgresTransaction,
    function: StoreFunction[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a store function, and commit what it has begun.

    Raises:
        CommitUnknown: the connection broke at the commit.
    """
    try:
        result = await function(transaction, *args, **kwargs)
    except asyncpg.ReadOnlySQLTransactionError as error:
        connection.terminate()
        raise ServerAway("it has become a standby") from error
    except BaseException as error:
        if transaction.unsure and is_away(error) and not never_sent(error):
            raise CommitUnknown("The connection broke while something was being stored.") from error
        if transaction.begun:
            with suppress(Exception):  # where the connection is broken, nothing is left to roll back
                await connection.execute("ROLLBACK")
        raise
    if not transaction.begun:
        return result
    if connection.is_closed():
        raise ServerAway("the connection broke before the commit")
    try:
        await connection.execute("COMMIT")
    except asyncpg.IdleInTransactionSessionTimeoutError as error:
        raise ServerAway("the process stood still for too long") from error
    except Exception as error:
        if never_sent(error):
            raise ServerAway("the connection broke before the commit") from error
        if is_away(error):
            raise CommitUnknown("The connection broke while something was being stored.") from error
        raise
    return result
