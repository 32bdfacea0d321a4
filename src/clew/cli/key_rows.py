"""``clew keys``: the keys that are rows of the database, also while servers run on it."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import click

from clew import ids
from clew.cli import output
from clew.cli.moments import seconds
from clew.cli.options import load_settings, setting
from clew.cli.output import print_table, when
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.clock import SystemClock
from clew.settings import Settings
from clew.store import keys as rows
from clew.store.database import P, StoreError, StoreFunction, T
from clew.store.keys import OPERATOR, PROJECT, READ, KeyRow
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import write_beside

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_Command = TypeVar("_Command", bound=Callable[..., object])


def _checked(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not 1 to 64 letters, digits, '.', '_' or '-'", param=param)
    return value


def _on_database(command: _Command) -> _Command:
    return setting("database_url", "--database")(setting("data_dir", "--data-dir")(command))


_project = click.option("--project", metavar="P", required=True, callback=_checked, help="the key's project")


@click.group(
    epilog="""\b
Examples:
  clew keys add --project shop --name ci                   prints the key, once
  clew keys add --project shop --name board --read-only --expires 90d
  clew keys rotate ci --project shop --overlap 24h         the old key holds for another day
  clew keys revoke ci --project shop

\b
They work beside running servers, which know of it within a second. The key of CLEW_API_KEY, or of the
first start, is none of these: change the setting, or delete the file, and start again.
"""
)
def keys() -> None:
    """Give, list, exchange and revoke API keys."""


@keys.command()
@_project
@click.option("--name", metavar="N", required=True, callback=_checked, help="what to call the key by")
@click.option("--read-only", is_flag=True, help="it may look, and change nothing")
@click.option("--operator", is_flag=True, help="it may work in every project, and look after the server")
@click.option("--expires", metavar="AGE", help="how long it holds, such as 90d; by default until revoked")
@_on_database
def add(project: str, name: str, read_only: bool, operator: bool, expires: str | None, **flags: Any) -> None:
    """Make a key, and print it: it is shown this once and kept nowhere."""
    if read_only and operator:
        raise Problem("a key is --read-only or --operator, not both", USAGE)
    role = OPERATOR if operator else READ if read_only else PROJECT
    now = SystemClock().now()
    until = None if expires is None else now + seconds(expires, "--expires") * 1000
    key = ids.new_api_key()
    row = KeyRow(_digest(key), project, name, role, now, until)
    if not _write(flags, rows.add, row):
        raise Problem(
            f"{project} has a key {name} already: choose another name, or `clew keys rotate {name}`", USAGE
        )
    click.echo(key)


@keys.command("list")
@click.option("--project", metavar="P", callback=_checked, help="only this project's")
@_on_database
def list_keys(project: str | None, **flags: Any) -> None:
    """List keys: their names and what they may, never the keys."""
    now = SystemClock().now()
    found = [key for key in _write(flags, rows.every) if project in (None, key.project)]
    print_table(
        ["project", "name", "role", "created", "holds until"],
        [(key.project, key.name, key.role, when(key.created_at // 1000), _end(key, now)) for key in found],
    )


@keys.command()
@click.argument("name", metavar="N", callback=_checked)
@_project
@click.option("--overlap", metavar="AGE", default="1h", show_default=True, help="how long the old one holds")
@_on_database
def rotate(name: str, project: str, overlap: str, **flags: Any) -> None:
    """Make the successor of a key, with its name and role, and print it. It holds until it is revoked."""
    now = SystemClock().now()
    key = ids.new_api_key()
    row = KeyRow(_digest(key), project, name, PROJECT, now)
    if not _write(flags, rows.exchange, row, now + seconds(overlap, "--overlap") * 1000):
        raise _unknown(project, name)
    click.echo(key)


@keys.command()
@click.argument("name", metavar="N", callback=_checked)
@_project
@_on_database
def revoke(name: str, project: str, **flags: Any) -> None:
    """End a key, its predecessor too: within a second it opens nothing, and its streams end soon after."""
    if not _write(flags, rows.revoke, project, name):
        raise _unknown(project, name)
    output.say(f"{name} of {project} is revoked.")


def _unknown(project: str, name: str) -> Problem:
    return Problem(f"{project} has no key {name}: `clew keys list` shows those there are", NOT_FOUND)


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _end(key: KeyRow, now: int) -> str:
    if key.expires_at is None:
        return "revoked"
    return when(key.expires_at // 1000) if key.expires_at > now else "expired"


def _write(
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
