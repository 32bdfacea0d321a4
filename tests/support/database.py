"""Databases for tests: real SQLite files and PostgreSQL databases, copied from one that was migrated once."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from clew.clock import Clock
from clew.store.database import Database
from clew.store.postgres import PostgresDatabase
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.store.tables import metadata
from tests.support.aside import aside

Place: TypeAlias = Path | str
"""Where a database is: a SQLite file, or PostgreSQL's URL."""

TABLES = tuple(table.name for table in metadata.sorted_tables)


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clew.db"
        prepare_sqlite(path)
        return path.read_bytes()


def new_database(path: Path) -> Path:
    """Make an empty database, migrated to the newest schema, at ``path``."""
    path.write_bytes(_template())
    return path


def copy_database(source: Path, target: Path) -> Path:
    """Copy a database's files as a crash would leave them: what was not flushed to them is lost."""
    for suffix in ("", "-wal"):
        file = source.with_name(source.name + suffix)
        if file.exists():
            shutil.copyfile(file, target.with_name(target.name + suffix))
    return target


def open_place(place: Place, clock: Clock) -> Database:
    """Open a database, wherever it is."""
    return SqliteDatabase(place) if isinstance(place, Path) else PostgresDatabase(place, clock=clock)


def dump(place: Place) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, as a reader beside the server sees them."""
    if not isinstance(place, Path):
        return aside(lambda: _dump_postgres(place))
    connection = sqlite3.connect(place)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES
        }
    finally:
        connection.close()


_WRONG = """SELECT id FROM threads WHERE
    coalesce(live_run, '') <> coalesce((SELECT id FROM runs WHERE thread_id = threads.id AND held IS NULL
        AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action')), '')
    OR waiting <> (SELECT count(*) FROM runs WHERE thread_id = threads.id AND held IS NOT NULL)
        + (SELECT count(*) FROM messages WHERE thread_id = threads.id AND held IS NOT NULL)
    OR message_count <> (SELECT count(*) FROM messages WHERE thread_id = threads.id)"""


def miscounted_threads(place: Place) -> list[str]:
    """Return the threads whose rows say something else than their runs and messages do."""
    if not isinstance(place, Path):
        return [row[0] for row in aside(lambda: _query_postgres(place, _WRONG))]
    connection = sqlite3.connect(place)
    try:
        return [row[0] for row in connection.execute(_WRONG)]
    finally:
        connection.close()


async def _query_postgres(url: str, query: str) -> list[Any]:
    connection: Any = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def query(place: Place, statement: str) -> list[Any]:
    """Return rows as a reader beside the server sees them."""
    if not isinstance(place, Path):
        return aside(lambda: _query_postgres(place, statement))
    with closing(sqlite3.connect(place)) as connection:
        return list(connection.execute(statement))


def change(place: Place, statement: str) -> None:
    """Change rows behind the server's back."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as connection, connection:
            connection.execute(statement)
        connection.close()
    else:
        aside(lambda: _change_postgres(place, statement))


async def _change_postgres(url: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _dump_postgres(url: str) -> dict[str, list[tuple[object, ...]]]:
    connection: Any = await asyncpg.connect(url)
    try:
        return {
            table: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in TABLES
        }
    finally:
        await connection.close()
