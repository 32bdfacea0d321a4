"""Copies of a SQLite database: taken while a server runs, checked, and put back.

A copy is one moment of the database. It is taken page by page inside one read transaction, so the server
goes on writing meanwhile and the copy does not begin anew (SQLite, "Online Backup API").
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from clew.store.database import StoreError
from clew.store.folders import private_directory
from clew.store.lock import DatabaseLock
from clew.store.schema import check_version, sqlite_version
from clew.store.tables import metadata

_PAGES = 2048
"""Pages that are copied between two reports of progress: 8 MB."""

Progress = Callable[[int, int], None]
"""Told of the pages that are copied, and of how many there are."""


class Contents(NamedTuple):
    """What a database holds: its schema's version, and the rows of each table."""

    version: str
    rows: dict[str, int]


def back_up(source: Path, target: Path, progress: Progress) -> Contents:
    """Copy a database to a new file, whether a server uses it or not; check the copy.

    The copy has another name until it is whole.

    Raises:
        StoreError: there is no database, ``target`` is there already, or the copy is not whole.
        OSError: ``target`` can't be written.
    """
    if not source.is_file():
        raise StoreError(f"There is no database at {source}.")
    if target.exists():
        raise StoreError(f"{target} is there already; nothing was copied over it.")
    with _draft(target) as draft:
        _copy(source, draft, progress)
        contents = check(draft)
        _flush(draft)
        os.link(draft, target)  # unlike a rename, this never replaces what has come there meanwhile
    _flush_directory(target.parent)
    return contents


def restore(source: Path, database: Path, progress: Progress) -> tuple[Contents, Path | None]:
    """Put a checked copy in the place of a database that no server uses.

    Return what it holds, and where the database is now that was there before.

    Raises:
        StoreError: a server runs, or ``source`` is not a whole database of this Clew or an older one.
    """
    contents = check(source)
    database = database.resolve()  # where it is a link, the link stays
    private_directory(database.parent)
    lock = DatabaseLock(database)
    lock.acquire(f"A server uses {database}. Stop it first.")
    try:
        with _draft(database) as draft:
            _copy(source, draft, progress)
            if check(draft) != contents:
                raise StoreError(f"The copy of {source} differs from it: try again.")
            _keep_owner(database, draft)
            _flush(draft)
            aside = _put_aside(database)
            draft.replace(database)
        _flush_directory(database.parent)
    finally:
        lock.release()
    return contents, aside


def check(path: Path) -> Contents:
    """Look at every page and every reference of a database; return what it holds.

    Raises:
        StoreError: it is damaged, or not a database of this Clew or an older one.
    """
    try:
        version = sqlite_version(path)
        if version is None:
            raise StoreError(f"{path} is empty.")
        check_version(str(path), version)
        with closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
            if found != "ok" or dangling is not None:
                raise StoreError(
                    f"{path} is damaged: {found if found != 'ok' else f'a row of {dangling[0]}'}"
                )
            return Contents(version, _count(connection))
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a whole Clew database: {error}") from error


def _count(connection: sqlite3.Connection) -> dict[str, int]:
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
        for table in metadata.tables
        if table in there
    }


def _copy(source: Path, target: Path, progress: Progress) -> None:
    def tell(_: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    with (
        closing(sqlite3.connect(source, isolation_level=None)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as writer,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on, one moment
        reader.backup(writer, pages=_PAGES, progress=tell)
        writer.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Give a new file beside ``target``, for its owner alone, that is gone afterwards unless it was moved."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _put_aside(database: Path) -> Path | None:
    """Move a database out of the way, with what belongs to it; return where it is now."""
    if not database.exists():
        return None
    number = 1
    while (aside := database.with_name(f"{database.name}.before-restore-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    database.replace(aside)
    return aside


def _keep_owner(database: Path, draft: Path) -> None:
    """Give a draft, and the lock file, to whoever owns the database: root restores for others."""
    if os.name == "nt" or os.geteuid() != 0:
        return  # nobody else may give a file away
    model = database if database.exists() else database.parent
    about = model.stat()
    for path in (draft, database.with_name(database.name + ".lock")):
        os.chown(path, about.st_uid, about.st_gid)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    with suppress(OSError):  # not every system can
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
