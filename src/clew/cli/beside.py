"""What commands do on a database beside whoever else uses it: servers, workers, other commands."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from clew.cli.options import load_settings, setting
from clew.cli.problems import Problem
from clew.clock import SystemClock
from clew.settings import Settings
from clew.store.database import P, StoreError, StoreFunction, T
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import write_beside

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_Command = TypeVar("_Command", bound=Callable[..., object])


def checked_name(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the name of a project or key, as it may be written in paths."""
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not 1 to 64 letters, digits, '.', '_' or '-'", param=param)
    return value


def on_database(command: _Command) -> _Command:
    """Give a command the options that say which database."""
    return setting("database_url", "--database")(setting("data_dir", "--data-dir")(command))


def on_database_of(
    flags: dict[str, Path | str | None], function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a store function on the database of the settings, beside whoever else uses it.

    Raises:
        Problem: the database can't be used.
    """
    settings = load_settings(**flags)
    try:
        if settings.on_postgres:
            return asyncio.run(_on_postgres(settings, function, *args, **kwargs))
        prepare_sqlite(settings.sqlite_path)
        return write_beside(settings.sqlite_path, function, *args, **kwargs)
    except StoreError as error:
        raise Problem.of(error) from None
    except sqlite3.Error as error:
        raise Problem(f"{settings.sqlite_path} can't be written: {error}") from None


async def _on_postgres(
    settings: Settings, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    from clew.store.postgres import PostgresDatabase
    from clew.store.postgres_schema import postgres_version
    from clew.store.schema import HEAD

    url = settings.database_url or ""
    if await postgres_version(url) != HEAD:
        raise StoreError("The database's schema is not this Clew's: `clew migrate` first.")
    db = PostgresDatabase(url, clock=SystemClock(), connections=1)
    try:
        return await db.write(function, *args, **kwargs)
    finally:
        await db.close()
