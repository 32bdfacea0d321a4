"""The schema's version: brings a database to it with Alembic, or refuses one that is newer."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from clew.store.database import StoreError
from clew.store.folders import private_directory
from clew.store.full_text import SQLITE_DDL
from clew.store.lock import DatabaseLock
from clew.store.tables import metadata

MIGRATIONS = Path(__file__).with_name("migrations")

HEAD = max(path.name[:4] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
"""The newest migration. A database that has it is opened without loading Alembic (0.3 s)."""

STANDSTILL = "0009"
"""The newest migration that an older Clew cannot go on beside: it does not do what later ones rely on."""


def prepare_sqlite(path: Path) -> None:
    """Make the database, or bring it to this version's schema.

    Raises:
        StoreError: the file is not a Clew database, was written by a newer Clew, or is to be changed while a
            server uses it.
    """
    private_directory(path.parent)
    _make_private(path)
    try:
        version = sqlite_version(path)
        if version is None:
            _create_sqlite(path)
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a Clew database: {error}") from error
    if version is None or version == HEAD:
        return
    check_version(str(path), version)
    lock = DatabaseLock(path)
    lock.acquire(f"A server uses {path}. Stop it first: it would not know the new tables.")
    try:
        _upgrade(f"sqlite:///{path}")
    finally:
        lock.release()


def check_version(database: str, version: str) -> None:
    """Refuse a database whose schema is newer than this code.

    Raises:
        StoreError: with what to do.
    """
    if version > HEAD:
        raise StoreError(
            f"{database} was written by a newer Clew (schema {version}, this one knows {HEAD}). Upgrade Clew."
        )


def _make_private(path: Path) -> None:
    """Make the file, if it is not there, so that its owner alone can read it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"Cannot open the database {path}: {error.strerror}") from error


def _create_sqlite(path: Path) -> None:
    """Make a new database from the tables. A test holds them against the sum of the migrations."""
    dialect = sqlite.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [
        index
        for table in metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda each: str(each.name))
    ]
    statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    statements += SQLITE_DDL
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        if _tables(connection):
            return  # a server that started at the same time was quicker
        for statement in statements:
            connection.execute(statement)
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        connection.execute("COMMIT")
    finally:
        connection.close()


def sqlite_version(path: Path) -> str | None:
    """Return the schema's version of a database file; None if it is empty.

    Raises:
        sqlite3.Error: it is no database, or another program's.
    """
    connection = sqlite3.connect(path)
    try:
        tables = _tables(connection)
        if "alembic_version" not in tables:
            if tables:
                raise sqlite3.DatabaseError("it holds tables of another program")
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def alembic_config() -> Any:
    """Return Alembic's configuration; its ``attributes["connection"]`` is still to be given."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _upgrade(url: str) -> None:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = alembic_config()
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
