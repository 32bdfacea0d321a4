"""The schema: migrations and tables say the same, and no database is spoiled by opening it."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from clew.store.database import StoreError
from clew.store.schema import HEAD, MIGRATIONS, alembic_config, prepare_sqlite, sqlite_version
from clew.store.sqlite import SqliteDatabase
from clew.store.tables import metadata
from tests.support.database import change, dump, miscounted_threads
from tests.support.older import BUSY_THREAD, LOCKS


def _is_table(name: str | None, kind: str, _: object) -> bool:
    """Whether the tables are to say it: full text has tables that only SQL can make."""
    return kind != "table" or not (name or "").startswith("chunk_words")


def _migrated(path: Path) -> Path:
    """Make a database by all migrations, one after the other."""
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return path


def _created(path: Path) -> Path:
    prepare_sqlite(path)
    return path


@pytest.mark.parametrize("make", [_migrated, _created])
def test_a_new_database_is_what_the_tables_say(tmp_path: Path, make: Any) -> None:
    engine = create_engine(f"sqlite:///{make(tmp_path / 'clew.db')}", poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _is_table}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrations_together_make_what_a_new_database_is(tmp_path: Path) -> None:
    migrated = _structure(_migrated(tmp_path / "migrated.db"))
    created = _structure(_created(tmp_path / "created.db"))
    assert migrated.keys() == created.keys()
    for table, structure in created.items():
        assert migrated[table] == structure, table


def _structure(path: Path) -> dict[str, Any]:
    """Return each table's columns, references and indexes with their conditions."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: _table(connection, name) for (name,) in sorted(names)}


def _table(connection: sqlite3.Connection, name: str) -> Any:
    columns = connection.execute(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{name}')")
    references = connection.execute(f"PRAGMA foreign_key_list('{name}')")
    written = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?"
    conditions = {index: _condition(sql) for index, sql in connection.execute(written, (name,))}
    indexes = []
    for _, index, unique, origin, partial in connection.execute(f"PRAGMA index_list('{name}')").fetchall():
        keys = connection.execute(f"SELECT name FROM pragma_index_info('{index}')").fetchall()
        label = index if origin == "c" else origin
        indexes.append((label, unique, partial, keys, conditions.get(index)))
    return columns.fetchall(), sorted(row[2:] for row in references), sorted(indexes, key=str)


def _condition(sql: str | None) -> str | None:
    return None if sql is None else " ".join(sql.split()).partition(" WHERE ")[2]


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    path = _created(tmp_path / "clew.db")
    before = path.read_bytes()
    prepare_sqlite(path)
    assert path.read_bytes() == before


def test_a_database_of_a_newer_clew_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = _created(tmp_path / "clew.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"written by a newer Clew \(schema 9999.*Upgrade Clew"):
        prepare_sqlite(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StoreError, match=r"clew\.db is not a Clew database"):
        prepare_sqlite(path)
    assert path.read_bytes() == b"Dear diary, " * 1000


@pytest.mark.parametrize("table", ["messages", "songs"])
def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "songs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"songs\.db is not a Clew database"):
        prepare_sqlite(path)
    assert path.read_bytes() == before


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        prepare_sqlite(tmp_path)


def test_the_lock_cannot_be_made_where_no_directory_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="lock file"):
        SqliteDatabase(tmp_path / "nowhere" / "clew.db")


def test_missing_directories_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    path = _created(tmp_path / "new" / "clew.db")
    assert path.parent.stat().st_mode & 0o077 == 0
    assert set(dump(path)) == set(metadata.tables)


def test_servers_that_start_at_the_same_time_on_a_new_file_do_not_trip_over_each_other(
    tmp_path: Path,
) -> None:
    program = (
        "import sys; from pathlib import Path; from clew.store.schema import prepare_sqlite;"
        "sys.stdin.readline(); prepare_sqlite(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "clew.db")]
    starting = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for each in starting:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    complaints = [each.communicate()[1] for each in starting]
    assert [each.returncode for each in starting] == [0] * 4, complaints


def _older(path: Path, version: str) -> Path:
    """Make a database as an older Clew would."""
    from alembic import command

    config = alembic_config()
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    return path


def test_threads_of_an_older_clew_know_their_locks(tmp_path: Path) -> None:
    path = _older(tmp_path / "clew.db", "0003")
    for statement in BUSY_THREAD:
        change(path, statement)
    serving = SqliteDatabase(path)
    try:
        with pytest.raises(StoreError, match="Stop it first"):
            prepare_sqlite(path)
        assert sqlite_version(path) == "0003"
    finally:
        asyncio.run(serving.close())
    prepare_sqlite(path)
    with closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT id, live_run, waiting FROM threads ORDER BY id").fetchall() == LOCKS
    assert miscounted_threads(path) == []


def test_runs_that_ended_with_an_older_clew_are_counted(tmp_path: Path) -> None:
    path = _older(tmp_path / "clew.db", "0001")
    rows = sqlite3.connect(path)
    rows.execute(
        "INSERT INTO threads (id, project, created_at, metadata, tool_resources, tokens_used) "
        "VALUES ('t', 'p', 1, '{}', '{}', 0)"
    )
    for number, (status, ended, error) in enumerate(
        [
            ("completed", "completed_at", None),
            ("failed", "failed_at", '{"code":"server_error","message":"It broke."}'),
            ("cancelled", "cancelled_at", None),
            ("expired", None, None),
            ("in_progress", None, None),
        ]
    ):
        columns = (
            "id, project, created_at, thread_id, assistant_id, expires_at, config, status, usage, turns, "
        )
        columns += "metadata, epoch, version, position, starts, last_error" + (f", {ended}" if ended else "")
        values = [f"r{number}", "p", 1000, "t", "a", 9000, '{"model":"m"}', status, '{"prompt_tokens":5}', 1]
        values += ["{}", 1, 1, 1, 1, error, *([4000] if ended else [])]
        marks = ", ".join("?" * len(values))
        rows.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", values)
    rows.commit()
    rows.close()
    prepare_sqlite(path)
    with closing(sqlite3.connect(path)) as rows:
        counted = rows.execute(
            "SELECT status, ended_at, code, model, total_ms, prompt_tokens FROM runs"
        ).fetchall()
    assert counted == [
        ("completed", 4000, None, "m", 3000, 5),
        ("failed", 4000, "server_error", "m", 3000, 5),
        ("cancelled", 4000, "cancelled", "m", 3000, 5),
        ("expired", 9000, "expired", "m", 8000, 5),
        ("in_progress", None, None, None, None, None),
    ]


def test_deliveries_of_an_older_clew_become_due_work(tmp_path: Path) -> None:
    path = _older(tmp_path / "clew.db", "0006")
    change(path, "INSERT INTO webhooks VALUES (7, 'wh_1', 'p', 1, 'http://x', '[]', 's', '{}', NULL, NULL)")
    change(path, "INSERT INTO deliveries VALUES (3, 7, 'p', 't', 'r', 5, 'run.completed', 10, 20, 2)")
    prepare_sqlite(path)
    columns = "kind, id, project, lane, created_at, due, attempts, owner, epoch, payload"
    with closing(sqlite3.connect(path)) as rows:
        moved = rows.execute(f"SELECT {columns} FROM due_work").fetchall()
    payload = '{"thread_id":"t","run_id":"r","position":5,"event":"run.completed"}'
    assert moved == [("webhook", "wh_1/r/5", "p", "wh_1", 10, 20, 2, None, 0, payload)]
