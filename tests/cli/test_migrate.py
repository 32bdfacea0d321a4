"""``clew migrate``: the schema as this version wants it, on either database."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner, Result
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from clew.cli.main import cli
from clew.store.schema import HEAD, alembic_config
from clew.store.sqlite import SqliteDatabase
from tests.support.database import new_database
from tests.support.postgres import PostgresServer


def _clew(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def _older(path: Path) -> None:
    """Make a database as the first Clew made it, with a run in it."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def test_an_older_database_is_brought_to_this_version(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"
    _older(path)
    checked = _clew("migrate", "--check", "--data-dir", tmp_path)
    assert (checked.exit_code, checked.output) == (
        1,
        f"Error: the schema is 0001; `clew migrate` brings it to {HEAD}\n",
    )
    done = _clew("migrate", "--data-dir", tmp_path)
    assert (done.exit_code, done.output) == (0, f"The schema was 0001 and is {HEAD} now.\n")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT worker FROM runs").fetchall() == []
    assert _clew("migrate", "--check", "--data-dir", tmp_path).exit_code == 0


def test_a_database_that_is_not_there_is_made(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert _clew("migrate", "--check", "--data-dir", home).exit_code == 1
    assert not home.exists()
    done = _clew("migrate", "--data-dir", home)
    assert (done.exit_code, done.output) == (0, f"The schema was not there and is {HEAD} now.\n")


def test_a_database_that_a_server_uses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clew.db"
    _older(path)
    new_database(tmp_path / "other.db").replace(tmp_path / "served.db")
    held = SqliteDatabase(path)
    try:
        done = _clew("migrate", "--data-dir", tmp_path)
        assert done.exit_code == 1
        assert "Stop it first" in done.output
    finally:
        asyncio.run(held.close())


def test_postgres(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE migrated")
    url = postgres.url("migrated")
    assert _clew("migrate", "--check", "--database", url).exit_code == 1
    done = _clew("migrate", "--database", url)
    assert (done.exit_code, done.output) == (0, f"The schema was not there and is {HEAD} now.\n")
    assert _clew("migrate", "--check", "--database", url).exit_code == 0
    postgres.drop_database("migrated")


@pytest.mark.parametrize("url", ["postgresql://clew@127.0.0.1:1/clew", "postgresql://clew@127.0.0.1:x/clew"])
def test_a_database_that_cannot_be_reached_is_said_in_one_line(url: str) -> None:
    done = _clew("migrate", "--database", url)
    assert done.exit_code in (1, 2)
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
