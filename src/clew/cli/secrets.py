"""``clew secrets``."""

import asyncio
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
from clew.store.database import StoreError, StoreInUse
from clew.store.statement import Transaction
from clew.vault import Vault, fingerprint


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
--former names a file that holds it.
"""
)
@click.option(
    "--former",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="holds the former secret; by default secret.key",
)
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def rotate(former: Path | None, database_url: str | None, data_dir: Path | None) -> None:
    """Put a new secret in the place of the one that is lost, or known to others."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    try:
        where, lost = _rotate(settings, former or keys.secret_path(settings))
    except StoreInUse:
        raise Problem("Clew uses the database: stop every process on it first", USAGE) from None
    except StoreError as error:
        raise Problem.of(error) from None
    click.echo(f"The installation's secret is now the one in {where}.")
    if lost:
        click.echo(f"The secrets of these webhooks can't be read, make them anew: {', '.join(lost)}")
    if settings.on_postgres:
        click.echo("Give it to every process on this database before you start it.")


def _rotate(settings: Settings, former: Path) -> tuple[str, list[str]]:
    """Change the secret, and what is known of it and sealed with it in the database.

    The former one is kept beside the new one until that is done.

    Returns:
        Where the new one is, and the webhooks whose secrets can't be read.
    """
    from clew.engine.assemble import open_database

    before = Vault(former.read_bytes().strip() if former.is_file() else None)

    db = open_database(settings, SystemClock(), "clew secrets rotate")

    async def change() -> tuple[str, list[str]]:
        await db.open()
        try:
            secret, where = _put(settings)
            lost = await db.write(_seal_anew, before, secret)
        finally:
            await db.close()
        _aside(settings).unlink(missing_ok=True)
        return where, lost

    return asyncio.run(change())


async def _seal_anew(tx: Transaction, before: Vault, secret: bytes) -> list[str]:
    await installation.put(tx, installation.FINGERPRINT, fingerprint(secret))
    return await webhooks.reseal(tx, before, Vault(secret))


def _put(settings: Settings) -> tuple[bytes, str]:
    """Take the secret that is set, or make a file with a new one; return it, and where it is."""
    if settings.secret_key is not None:
        return settings.secret_key.reveal().strip().encode(), "CLEW_SECRET_KEY"
    secret, path = ids.new_secret_key().encode(), keys.secret_path(settings)
    if path.is_file():
        write_private(_aside(settings), path.read_bytes())
    write_private(path, secret + b"\n")
    return secret, str(path)


def _aside(settings: Settings) -> Path:
    path = keys.secret_path(settings)
    return path.with_name(f"{path.name}.former")
