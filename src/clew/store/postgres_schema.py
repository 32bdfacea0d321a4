"""The schema of a PostgreSQL database: made from the tables, or brought to this version by Alembic."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, Dialect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from clew.store import pgvector
from clew.store.database import StoreError
from clew.store.full_text import POSTGRES_DDL
from clew.store.postgres import PROCESSES_LOCK
from clew.store.postgres_pool import connect, unusable
from clew.store.schema import HEAD, STANDSTILL, alembic_config, check_version
from clew.store.tables import metadata

T = TypeVar("T")

_LOCK = 0x636C6577  # "clew"
"""The advisory lock that one server at a time takes to look at the schema and to change it."""


def prepare_postgres(url: str) -> None:
    """Make the tables, or bring them to this version's schema; many servers may start at one time.

    Raises:
        StoreError: the database can't be reached, is another program's, was written by a newer Clew, or is to
            be changed in a way that processes which use it would not know.
    """
    if asyncio.run(_guarded(_prepare, url)) != HEAD:
        asyncio.run(_guarded(_upgrade, url))


async def postgres_version(url: str) -> str | None:
    """Return the schema's version of a database; None if it has no tables.

    Raises:
        StoreError: the database can't be reached, or is another program's.
    """

    async def look(url: str) -> str | None:
        connection = await connect(url)
        try:
            return await _version(connection)
        finally:
            await connection.close()

    return await _guarded(look, url)


async def _guarded(function: Callable[[str], Awaitable[T]], url: str) -> T:
    """Say in our words what is wrong with a database."""
    try:
        return await function(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise StoreError(unusable(error)) from error


async def _prepare(url: str) -> str:
    """Make the tables if there are none; return the version of those that are there."""
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            version = await _version(connection)
            if version is None:
                await _create(connection)
            else:
                check_version("The PostgreSQL database", version)
            await pgvector.prepare(connection)
            return version or HEAD
    finally:
        await connection.close()


async def _version(connection: Any) -> str | None:
    tables = {
        row[0]
        for row in await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        )
    }
    if "alembic_version" in tables:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    if tables & set(metadata.tables):
        raise StoreError("The PostgreSQL database holds tables of another program. Give Clew one of its own.")
    return None


def _make_indexes_partial() -> None:
    """Give indexes the conditions that they have on SQLite.

    In the tables' own words they would bring PostgreSQL's dialect, 3 MB of it, into every process on SQLite.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


async def _create(connection: Any) -> None:
    dialect: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    _make_indexes_partial()
    for table in metadata.sorted_tables:
        await connection.execute(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            await connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
    for ddl in POSTGRES_DDL:
        await connection.execute(ddl)
    await connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    await connection.execute("INSERT INTO alembic_version VALUES ($1)", HEAD)


def _make_sure_to_be_alone(connection: Connection) -> None:
    """Have no other process begin or go on until this transaction is over."""
    if not connection.execute(text(f"SELECT pg_try_advisory_xact_lock({PROCESSES_LOCK})")).scalar_one():
        raise StoreError(
            "Other Clew processes use this database, and could not go on beside what this version changes. "
            "Stop them all, then migrate."
        )


async def _upgrade(url: str) -> None:
    from alembic import command
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    def upgrade(connection: Connection) -> None:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        if version < STANDSTILL:
            _make_sure_to_be_alone(connection)
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(url), poolclass=NullPool
    )
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()
