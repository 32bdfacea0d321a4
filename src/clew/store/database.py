"""The seam between Clew and a database: the ways to run a store function.

A store function is ``async def f(tx, ...)``. It awaits nothing but its transaction, so that SQLite's
writer thread can drive it without an event loop, and PostgreSQL's driver can await the network.
"""

import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

from clew.store.statement import Transaction

P = ParamSpec("P")
T = TypeVar("T")

StoreFunction: TypeAlias = Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]]


class Database(Protocol):
    """A store whose schema is ready."""

    async def open(self) -> None:
        """Make sure that this process may use it.

        Raises:
            StoreError: it may not; the message says what to do.
        """
        ...

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in a transaction of its own; return when it is durably committed.

        An exception of the function rolls back what it wrote, and is raised here.
        """
        ...

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads with one statement a bounded number of rows, through an index."""
        ...

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads a bounded number of rows through an index, all as of one moment."""
        ...

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that may read many rows, without holding up anything else."""
        ...

    async def fence(self, name: str) -> None:
        """Have another process that counts as gone hold nothing any more."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...


class StoreError(Exception):
    """The store cannot be opened or used. The message says what to do."""


class StoreInUse(StoreError):
    """Another process has, or wants, the store to itself."""


class Conflict(StoreError):
    """The rows that are there do not allow those that were to be written."""


class StoreUnavailable(StoreError):
    """The database has not answered for too long. Nothing was stored."""


class CommitUnknown(StoreError):
    """The connection broke while a transaction was being committed: it may or may not have been."""


class Unstorable(StoreError):
    """A text that the database cannot keep, nor look for. The message says why."""


_PASSING_ON_SQLITE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )
)
_PASSING_ON_POSTGRES = ("08", "53", "57")
"""Classes of PostgreSQL's errors (SQLSTATE) that speak of the server and not of what it was asked."""

_READ_ONLY = "25006"
_PRIMARY = 0xFF
"""The part of SQLite's extended codes that says what kind of error it is."""


def is_passing(error: Exception) -> bool:
    """Whether an error tells of trouble of the store itself: full, away, read-only or busy.

    What was to be written has no part in it, and may well be written later.
    """
    if isinstance(error, StoreUnavailable | OSError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & _PRIMARY in _PASSING_ON_SQLITE
    state = getattr(error, "sqlstate", None) or ""
    return state[:2] in _PASSING_ON_POSTGRES or state == _READ_ONLY
