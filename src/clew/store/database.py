"""The seam between Clew and a database: the ways to run a store function.

A store function is ``async def f(tx, ...)``. It awaits nothing but its transaction, so that SQLite's
writer thread can drive it without an event loop, and PostgreSQL's driver can await the network.
"""

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


class Conflict(StoreError):
    """The rows that are there do not allow those that were to be written."""


class StoreUnavailable(StoreError):
    """The database has not answered for too long. Nothing was stored."""


class CommitUnknown(StoreError):
    """The connection broke while a transaction was being committed: it may or may not have been."""


class Unstorable(StoreError):
    """A text that the database cannot keep. The message says why."""
