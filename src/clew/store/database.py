"""The seam between Clew and a database: the ways to run a store function.

A store function is ``async def f(tx, ...)``. It awaits nothing but its transaction, so that SQLite's
writer thread can drive it without an event loop, and PostgreSQL's driver can await the network.
"""

import errno
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

from clew.store.statement import Transaction

if TYPE_CHECKING:
    from clew.store.pgvector import Pgvector

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

StoreFunction: TypeAlias = Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]]


class Database(Protocol):
    """A store whose schema is ready."""

    @property
    def pgvector(self) -> "Pgvector | None":
        """PostgreSQL's extension for vectors; None where there is none, and before it is open."""
        ...

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

    def refusing(self) -> str | None:
        """Return why it took nothing when it was last written to; None if it did, or was never asked."""
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


class StoreFull(StoreUnavailable):
    """The disk below the database is full, or its owner's quota is used up. Nothing was stored."""


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

_FULL_ON_POSTGRES = "53100"
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""What the system says where nothing more fits: no space, no quota, no larger file."""

_READ_ONLY = "25006"
_PRIMARY = 0xFF
"""The part of SQLite's extended codes that says what kind of error it is."""


def is_passing(error: BaseException) -> bool:
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


def is_full(error: BaseException) -> bool:
    """Whether an error says that the store's disk takes nothing more."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    if isinstance(error, StoreFull):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & _PRIMARY == sqlite3.SQLITE_FULL)
    return getattr(error, "sqlstate", None) == _FULL_ON_POSTGRES


class Standing:
    """Whether a store takes what it is given. Its log has a line when that changes, and no other.

    Attributes:
        trouble: why it takes nothing, in a sentence's words; None while it does.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.trouble: str | None = None

    def refuses(self, error: BaseException) -> None:
        """Note that something was not stored, because of trouble of the store itself."""
        if self.trouble is None:
            advice = " Make room: it goes on by itself." if is_full(error) else ""
            _log.error("%s takes nothing: %s.%s What it was to keep is refused.", self._name, error, advice)
        self.trouble = "the store's disk is full" if is_full(error) else "the store takes nothing"

    def takes(self) -> None:
        """Note that something was stored."""
        if self.trouble is not None:
            _log.warning("%s takes what it is given again", self._name)
        self.trouble = None
