"""``clew secrets``."""

import asyncio
import sqlite3
from pathlib import Path

import click

from clew import ids
from clew.cli import keys
from clew.cli.files import write_private
from clew.cli.options import load_settings, setting
from clew.cli.problems import USAGE, Problem
from clew.clock import SystemClock
from clew.settings import Settings
from clew.store import installation, webhooks
from clew.store.database import Database, StoreError, StoreInUse
from clew.store.statement import Transaction
from clew.vault import Vault, code_key, fingerprint


@click.group()
def secrets() -> None:
    """The installation's secret, which its processes have in common."""


@secrets.command(
    epilog="""\b
With every process stopped:
  clew secrets rotate                                     makes a new secret.key
  CLEW_SECRET_KEY=$(openssl rand -hex 32) clew secrets rotate    takes this one

\b
What is sealed, the secrets of webhooks, is sealed anew. Where the former secret is not in secret.key,
--former names a file that holds it. Without it nothing is changed, unless --lost says that it is gone.
"""
)
@click.option(
    "--former",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="holds the former secret; by default secret.key",
)
@click.option("--lost", "is_lost", is_flag=True, help="go on where what is sealed can't be read any more")
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def rotate(former: Path | None, is_lost: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Put a new secret in the place of the one that is lost, or known to others."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    try:
        where, lost = _rotate(settings, former, is_lost=is_lost)
    except StoreInUse:
        raise Problem("Clew uses the database: stop every process on it first", USAGE) from None
    except StoreError as error:
        raise Problem.of(error) from None
    except sqlite3.Error as error:
        raise Problem(f"{settings.sqlite_path} can't be written: {error}. Nothing was changed") from None
    click.echo(f"The installation's secret is now the one in {where}.")
    if lost:
        click.echo(f"The secrets of these webhooks can't be read, make them anew: {', '.join(lost)}")
    if settings.on_postgres:
        click.echo("Give it to every process on this database before you start it.")


@secrets.command(
    name="code-key",
    epilog="""\b
On a machine that has the installation's secret:
  clew secrets code-key > code-key
On the machine of code workers:
  CLEW_CODE_KEY_FILE=code-key CLEW_BUS_URL=tls://bus:4222 clew code-worker

\b
It follows from the secret, which can't be found from it: it opens nothing that is sealed, and no other
message on the bus is believed for it. A new secret makes a new one.
""",
)
@setting("data_dir", "--data-dir")
def print_code_key(data_dir: Path | None) -> None:
    """Print what code workers have instead of the secret."""
    settings = load_settings(data_dir=data_dir)
    click.echo(code_key(keys.installation_secret(settings)))


def _rotate(settings: Settings, former: Path | None, *, is_lost: bool) -> tuple[str, list[str]]:
    """Change the secret, and what is known of it and sealed with it in the database.

    A new file lies beside the former one until the database knows it, and then takes its place: whenever
    this breaks off, the secret that the database knows is in one of them.

    Returns:
        Where the new one is, and the webhooks whose secrets can't be read.
    """
    from clew.engine.assemble import open_database

    db = open_database(settings, SystemClock(), "clew secrets rotate", exclusive=True)

    async def change() -> tuple[str, list[str]]:
        await db.open()
        try:
            known = await db.read(installation.said, installation.FINGERPRINT)
            return await _change(settings, db, known, former, is_lost=is_lost)
        finally:
            await db.close()

    return asyncio.run(change())


async def _change(
    settings: Settings, db: Database, known: str | None, former: Path | None, *, is_lost: bool
) -> tuple[str, list[str]]:
    path, new = keys.secret_path(settings), _new(settings)
    held = [each.read_bytes().strip() for each in (former, path, new) if each is not None and each.is_file()]
    before = next((each for each in held if fingerprint(each) == known), held[0] if held else None)
    given = settings.secret_key
    if given is None and new.is_file() and fingerprint(new.read_bytes().strip()) == known:
        new.replace(path)  # one that was cut off after the database knew it
        return str(path), []
    secret = (ids.new_secret_key() if given is None else given.reveal().strip()).encode()
    if fingerprint(secret) == known:
        raise Problem("CLEW_SECRET_KEY is the installation's secret already: set another one", USAGE)
    if given is None:
        write_private(new, secret + b"\n")
    try:
        lost = await db.write(_seal_anew, Vault(before), secret, is_lost)
    except Problem:
        if given is None:
            new.unlink(missing_ok=True)
        raise
    if given is not None:
        return "CLEW_SECRET_KEY", lost
    new.replace(path)
    return str(path), lost


async def _seal_anew(tx: Transaction, before: Vault, secret: bytes, is_lost: bool) -> list[str]:
    await installation.put(tx, installation.FINGERPRINT, fingerprint(secret))
    lost = await webhooks.reseal(tx, before, Vault(secret))
    if lost and not is_lost:
        raise Problem(
            "nothing was changed: no secret that is here opens those of these webhooks: "
            f"{', '.join(lost)}. --former names a file with the former secret; where that is gone: --lost",
            USAGE,
        )
    return lost


def _new(settings: Settings) -> Path:
    path = keys.secret_path(settings)
    return path.with_name(f"{path.name}.new")
