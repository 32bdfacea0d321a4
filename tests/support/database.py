"""Databases for tests: real SQLite files, copied from one that was migrated once."""

import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from clew.store.schema import prepare_sqlite
from clew.store.tables import metadata

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


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, as a reader beside the server sees them."""
    connection = sqlite3.connect(path)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES
        }
    finally:
        connection.close()
