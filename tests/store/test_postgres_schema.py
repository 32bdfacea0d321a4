"""The schema of PostgreSQL: a new database and a migrated one are the same."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from clew.clock import SystemClock
from clew.store.database import StoreError
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_pool import connect
from clew.store.postgres_schema import postgres_version, prepare_postgres
from clew.store.schema import HEAD, alembic_config
from clew.store.tables import metadata
from tests.support.database import miscounted_threads
from tests.support.older import BUSY_THREAD, LOCKS
from tests.support.postgres import PostgresServer
from tests.support.wait import until


def _with(url: str, work: Any) -> Any:
    """Run synchronous SQLAlchemy on a database."""

    async def run() -> Any:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: connect(url), poolclass=NullPool
        )
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    return asyncio.run(run())


def _migrate(connection: Connection, version: str = "head") -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def _structure(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    return {
        table: (
            [(each["name"], str(each["type"]), each["nullable"]) for each in inspector.get_columns(table)],
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted(map(_reference, inspector.get_foreign_keys(table))),
            sorted(map(_index, inspector.get_indexes(table))),
            sorted(str(each["column_names"]) for each in inspector.get_unique_constraints(table)),
        )
        for table in sorted(inspector.get_table_names())
    }


def _reference(key: Any) -> str:
    return str((key["constrained_columns"], key["referred_table"], key["options"]))


def _index(index: Any) -> str:
    where = index.get("dialect_options", {}).get("postgresql_where")
    return str((index["name"], index["column_names"], index["unique"], where))


@pytest.fixture
def migrated(postgres: PostgresServer) -> Any:
    postgres.execute("CREATE DATABASE by_migrations")
    url = postgres.url("by_migrations")
    _with(url, _migrate)
    yield url
    postgres.drop_database("by_migrations")


def test_the_migrations_together_make_what_a_new_database_is(migrated: str, postgres_url: str) -> None:
    by_migrations, new = _with(migrated, _structure), _with(postgres_url, _structure)
    assert by_migrations.keys() == new.keys()
    for table, structure in new.items():
        assert by_migrations[table] == structure, table


def test_a_new_database_is_what_the_tables_say(postgres_url: str) -> None:
    def compare(connection: Connection) -> list[Any]:
        options = {"include_name": lambda name, kind, _: kind != "table" or name != "chunk_words"}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert _with(postgres_url, compare) == []


def test_an_older_database_is_brought_to_this_version_with_what_it_holds(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE older")
    url = postgres.url("older")
    _with(url, lambda connection: _migrate(connection, "0001"))
    columns = "id, project, created_at, metadata, tool_resources, tokens_used"
    postgres.execute(
        f"INSERT INTO threads ({columns}) VALUES ('thread_1', 'p', 1, '{{}}', '{{}}', 0)", "older"
    )
    assert asyncio.run(postgres_version(url)) == "0001"
    prepare_postgres(url)
    assert asyncio.run(postgres_version(url)) == HEAD
    assert [row[0] for row in postgres.query("SELECT id FROM threads", database="older")] == ["thread_1"]
    postgres.drop_database("older")


def test_an_older_clew_does_not_go_on_beside_a_schema_that_it_would_not_keep_right(
    postgres: PostgresServer,
) -> None:
    postgres.execute("CREATE DATABASE locks")
    url = postgres.url("locks")
    _with(url, lambda connection: _migrate(connection, "0003"))
    for statement in BUSY_THREAD:
        postgres.execute(statement, "locks")

    async def migrate_beside_a_process() -> None:
        process = PostgresDatabase(url, clock=SystemClock(), alone=False)
        await process.open()
        with pytest.raises(StoreError, match="Stop them all, then migrate"):
            await asyncio.to_thread(prepare_postgres, url)
        await process.close()

    asyncio.run(migrate_beside_a_process())
    assert asyncio.run(postgres_version(url)) == "0003"
    until(lambda: not postgres.query("SELECT FROM pg_locks WHERE locktype = 'advisory'", database="locks"))
    prepare_postgres(url)
    rows = postgres.query("SELECT id, live_run, waiting FROM threads ORDER BY id", database="locks")
    assert [tuple(row) for row in rows] == LOCKS
    assert miscounted_threads(url) == []
    postgres.drop_database("locks")


def test_a_database_of_a_newer_clew_or_of_another_program_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_database("newer")
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", "newer")
    with pytest.raises(StoreError, match=r"written by a newer Clew \(schema 9999"):
        prepare_postgres(url)
    postgres.execute("DROP TABLE alembic_version", "newer")
    with pytest.raises(StoreError, match="tables of another program"):
        prepare_postgres(url)
    postgres.drop_database("newer")
    with pytest.raises(StoreError, match='database "newer" does not exist'):
        prepare_postgres(url)


def test_tables_beside_clews_own_do_not_matter(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE shared")
    postgres.execute("CREATE TABLE songs (title text)", "shared")
    prepare_postgres(postgres.url("shared"))
    assert asyncio.run(postgres_version(postgres.url("shared"))) == HEAD
    postgres.drop_database("shared")
