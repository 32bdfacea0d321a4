"""Connections to PostgreSQL: how Clew's are made, kept, and known to be lost.

The pool is a list: a transaction begins and ends in one function, so nothing need be reset in between (see
decision 7).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg import Connection

_STATEMENTS = 1024
"""Statements that a connection keeps prepared."""

_COMMAND_TIMEOUT = 60
"""Seconds after which a statement without an answer counts as a lost connection."""

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,  # the connection was found closed
    asyncpg.InternalClientError,  # it was just being closed
)
"""What asyncpg raises when a connection, or the server, is no longer there."""

_IDLE = "3000"
"""Milliseconds after which a transaction whose process stands still is ended, for its rows' sake."""

BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Each statement but those of scans has one good plan, which walks along an index, in the order asked for.

While a table is small, PostgreSQL would rather read all of it, or all of a thread and sort that, and keeps
to that plan until the table is analysed: a list of 20 took 1.8 ms instead of 0.2 in the first minute. And
to plan a statement anew for its values, which it often does, cost a tenth of the turns.
"""


class ServerAway(Exception):
    """The connection broke, or could not be made: nothing was done that lasts."""


def is_away(error: BaseException) -> bool:
    """Whether the connection, or the server, is no longer there."""
    mistaken = isinstance(error, ValueError)  # asyncpg's word for a value of the wrong type
    return isinstance(error, AWAY) and not mistaken


def never_sent(error: BaseException) -> bool:
    """Whether asyncpg refused to send anything: the server's last word had come, its end not yet."""
    return isinstance(error, asyncpg.InternalClientError) and "cannot switch to state" in str(error)


class Pool:
    """Connections, the warmest first. One that breaks is replaced when it is next needed."""

    def __init__(self, url: str, size: int, application: str) -> None:
        self._url, self._application = url, application
        self._room = asyncio.Semaphore(size)
        self._free: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Give a connection with no transaction open; take it back unless it is broken.

        Raises:
            ServerAway: there is none, or it broke.
        """
        async with self._room:
            connection = None
            try:
                connection = await self._take()
                yield connection
            except Exception as error:
                if not is_away(error):
                    raise
                if connection is not None:
                    connection.terminate()
                raise ServerAway(first_line(error)) from error
            finally:
                if connection is not None:
                    self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        if connection.is_closed():
            return
        if connection.is_in_transaction() or self._closed:
            connection.terminate()
        else:
            self._free.append(connection)

    async def _take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return await connect(
            self._url,
            self._application,
            statement_cache_size=_STATEMENTS,
            max_cached_statement_lifetime=0,
        )

    async def close(self) -> None:
        self._closed = True
        while self._free:
            await self._free.pop().close(timeout=5)


def application_name(name: str) -> str:
    return f"clew {name}".strip()


async def connect(url: str, application: str = "clew", **options: Any) -> Connection:
    """Open a connection of Clew's own kind.

    Raises:
        OSError: nobody answers there.
        asyncpg.PostgresError: the server turns us away.
    """
    server_settings = {
        "application_name": application,
        "jit": "off",
        **BY_INDEX,
        "idle_in_transaction_session_timeout": _IDLE,
    }
    return await asyncpg.connect(
        url, command_timeout=_COMMAND_TIMEOUT, timeout=10, server_settings=server_settings, **options
    )


def unusable(error: BaseException) -> str:
    """Say in our words why a database cannot be used."""
    said = first_line(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        said = (
            f"its certificate is not trusted ({error.verify_message}). The authority that has signed it is "
            "named by sslrootcert=FILE in CLEW_DATABASE_URL; with verify-full it must hold the host's name"
        )
    return f"Cannot use the PostgreSQL database: {said}"


def first_line(error: BaseException) -> str:
    """Say what went wrong, in the first line of the driver's words."""
    return (str(error) or type(error).__name__).splitlines()[0]
