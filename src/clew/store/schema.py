"""The schema's version: brings a database to it with Alembic, or refuses one that is newer."""

import sqlite3
from pathlib import Path

from clew.store.database import StoreError

HEAD = "0001"
"""The newest migration. A database that has it is opened without loading Alembic (0.3 s)."""

MIGRATIONS = Path(__file__).with_name("migrations")


def prepare_sqlite(path: Path) -> None:
    """Make the database, or bring it to this version's schema.

    Raises:
        StoreError: the file is not a Clew database, or was written by a newer Clew.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        version = _sqlite_version(path)
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a Clew database: {error}") from error
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise StoreError(
            f"{path} was written by a newer Clew (schema {version}, this one knows {HEAD}). Upgrade Clew."
        )
    _upgrade(f"sqlite:///{path}")


def _sqlite_version(path: Path) -> str | None:
    connection = sqlite3.connect(path)
    try:
        exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        if not exists:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    finally:
        connection.close()


def _upgrade(url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
