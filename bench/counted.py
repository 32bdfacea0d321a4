"""Clew with its work counted: python -m bench.counted serve ...

Counts don't depend on the machine's mood, as times do. They stand in the file ``counts`` of the data
folder while the process lives, one 64-bit number for each of ``NAMES``; whoever measures reads them there.
"""

import mmap
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from clew.cli.main import cli
from clew.settings import load
from clew.store import postgres, sqlite
from clew.store.postgres import PostgresTransaction
from clew.store.sqlite import SqliteTransaction

FILE = "counts"


class Counts(NamedTuple):
    """What was counted.

    ``calls`` are calls of functions, Python's and built-in ones, in all threads: what stands here for
    instructions. ``statements`` leaves out those that only begin or end a transaction; ``commits`` are
    the transactions that write.
    """

    calls: float
    statements: float
    commits: float

    def since(self, before: "Counts", times: int) -> "Counts":
        """Return how much was counted since, for each of so many repetitions."""
        return Counts(*((now - then) / times for now, then in zip(self, before, strict=True)))


def read(data_dir: Path) -> Counts:
    """Return what a process has counted so far."""
    return Counts(*memoryview((data_dir / FILE).read_bytes()).cast("q"))


def _count(tally: "memoryview[int]") -> None:
    calls, statements, commits = range(3)

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_call"):
            tally[calls] += 1

    def counted(place: int, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def count(*args: Any, **kwargs: Any) -> Any:
            tally[place] += 1
            return function(*args, **kwargs)

        return count

    def each_counted(write: Callable[..., Any]) -> Callable[..., Any]:
        """Count what PostgreSQL makes one statement of, and SQLite doesn't."""

        @wraps(write)
        def count(tx: Any, guards: Any, then: Any = (), **options: Any) -> Any:
            tally[statements] += len(guards) + len(then)
            return write(tx, guards, then, **options)

        return count

    for transaction in (SqliteTransaction, PostgresTransaction):
        for name in ("one", "all", "run"):
            setattr(transaction, name, counted(statements, getattr(transaction, name)))
    PostgresTransaction.write = counted(statements, PostgresTransaction.write)  # type: ignore[method-assign]
    SqliteTransaction.write = each_counted(SqliteTransaction.write)  # type: ignore[method-assign]
    for store, name in ((sqlite, "_commit_group"), (postgres, "_commit")):
        setattr(store, name, counted(commits, getattr(store, name)))
    threading.setprofile(profile)
    sys.setprofile(profile)


if __name__ == "__main__":
    path = load().data_dir / FILE
    path.write_bytes(bytes(8 * len(Counts._fields)))
    with path.open("r+b") as file:
        _count(memoryview(mmap.mmap(file.fileno(), 0)).cast("q"))
    cli()
