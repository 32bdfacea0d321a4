"""``clew keys``: the keys that are rows of the database, also while servers run on it."""

from hashlib import sha256
from typing import Any

import click

from clew import ids
from clew.cli import output
from clew.cli.beside import checked_name, on_database, on_database_of
from clew.cli.moments import seconds
from clew.cli.output import print_table, when
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.clock import SystemClock
from clew.core.projects import Project
from clew.store import keys as rows
from clew.store import projects
from clew.store.keys import OPERATOR, PROJECT, READ, KeyRow
from clew.store.statement import Transaction

_project = click.option(
    "--project", metavar="P", required=True, callback=checked_name, help="the key's project"
)


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
@click.option("--name", metavar="N", required=True, callback=checked_name, help="what to call the key by")
@click.option("--read-only", is_flag=True, help="it may look, and change nothing")
@click.option("--operator", is_flag=True, help="it may work in every project, and look after the server")
@click.option("--expires", metavar="AGE", help="how long it holds, such as 90d; by default until revoked")
@on_database
def add(project: str, name: str, read_only: bool, operator: bool, expires: str | None, **flags: Any) -> None:
    """Make a key, and print it: it is shown this once and kept nowhere."""
    if read_only and operator:
        raise Problem("a key is --read-only or --operator, not both", USAGE)
    role = OPERATOR if operator else READ if read_only else PROJECT
    now = SystemClock().now()
    until = None if expires is None else now + seconds(expires, "--expires") * 1000
    key = ids.new_api_key()
    row = KeyRow(_digest(key), project, name, role, now, until)
    if not on_database_of(flags, rows.add, row):
        raise Problem(
            f"{project} has a key {name} already: choose another name, or `clew keys rotate {name}`", USAGE
        )
    click.echo(key)


@keys.command("list")
@click.option("--project", metavar="P", callback=checked_name, help="only this project's")
@on_database
def list_keys(project: str | None, **flags: Any) -> None:
    """List keys: their names and what they may, never the keys."""
    now = SystemClock().now()
    found = [key for key in on_database_of(flags, rows.every) if project in (None, key.project)]
    print_table(
        ["project", "name", "role", "created", "holds until"],
        [(key.project, key.name, key.role, when(key.created_at // 1000), _end(key, now)) for key in found],
    )


@keys.command()
@click.argument("name", metavar="N", callback=checked_name)
@_project
@click.option("--overlap", metavar="AGE", default="1h", show_default=True, help="how long the old one holds")
@on_database
def rotate(name: str, project: str, overlap: str, **flags: Any) -> None:
    """Make the successor of a key, with its name and role, and print it. It holds until it is revoked."""
    now = SystemClock().now()
    key = ids.new_api_key()
    row = KeyRow(_digest(key), project, name, PROJECT, now)
    if not on_database_of(flags, rows.exchange, row, now + seconds(overlap, "--overlap") * 1000):
        raise _unknown(project, name)
    click.echo(key)


@keys.command()
@click.argument("name", metavar="N", callback=checked_name)
@_project
@on_database
def revoke(name: str, project: str, **flags: Any) -> None:
    """End a key, its predecessor too: within a second it opens nothing, and its streams end soon after."""
    if not on_database_of(flags, _revoke, project, name, SystemClock().now()):
        raise _unknown(project, name)
    output.say(f"{name} of {project} is revoked.")


async def _revoke(tx: Transaction, project: str, name: str, now: int) -> int:
    """Delete the keys of a name. The project stays known without any, to operators."""
    count = await rows.revoke(tx, project, name)
    if count and await projects.get(tx, project) is None:
        await projects.save(tx, Project(name=project, created_at=now))
    return count


def _unknown(project: str, name: str) -> Problem:
    return Problem(f"{project} has no key {name}: `clew keys list` shows those there are", NOT_FOUND)


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _end(key: KeyRow, now: int) -> str:
    if key.expires_at is None:
        return "revoked"
    return when(key.expires_at // 1000) if key.expires_at > now else "expired"
