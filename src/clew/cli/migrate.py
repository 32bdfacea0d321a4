"""``clew migrate``."""

import asyncio
import sqlite3
from pathlib import Path

import click

from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, Problem
from clew.settings import Settings
from clew.store.database import StoreError
from clew.store.schema import HEAD, prepare_sqlite, sqlite_version


@click.command(
    epilog="""\b
Servers and workers do the same when they start. Run it before them where several start at once,
or to know beforehand how long it takes; on PostgreSQL one waits for the other.
"""
)
@click.option("--check", is_flag=True, help="only say whether there is something to do: exit code 1 if so")
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def migrate(check: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Bring the database's schema to this version of Clew; make the tables if there are none."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    try:
        before = _version(settings)
        if before == HEAD:
            click.echo(f"The schema is {HEAD}, the newest that this Clew knows.")
            return
        if check:
            raise Problem(
                f"the schema is {before or 'not there'}; `clew migrate` brings it to {HEAD}", FAILED
            )
        _migrate(settings)
    except StoreError as error:
        raise Problem.of(error) from None
    except sqlite3.Error as error:
        raise Problem(f"The database can't be used: {error}. `clew doctor` may say why.") from None
    click.echo(f"The schema was {before or 'not there'} and is {HEAD} now.")


def _version(settings: Settings) -> str | None:
    if settings.on_postgres:
        from clew.store.postgres_schema import postgres_version

        return asyncio.run(postgres_version(settings.database_url or ""))
    return sqlite_version(settings.sqlite_path) if settings.sqlite_path.is_file() else None


def _migrate(settings: Settings) -> None:
    if settings.on_postgres:
        from clew.store.postgres_schema import prepare_postgres

        prepare_postgres(settings.database_url or "")
        return
    prepare_sqlite(settings.sqlite_path)
