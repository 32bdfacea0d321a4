"""``clew secrets``."""

import asyncio
from pathlib import Path

import click

from clew import ids
from clew.bus.seal import fingerprint
from clew.cli import keys
from clew.cli.files import write_private
from clew.cli.options import load_settings, setting
from clew.cli.problems import USAGE, Problem
from clew.clock import SystemClock
from clew.settings import Settings
from clew.store.database import StoreError, StoreInUse


@click.group()
def secrets() -> None:
    """The installation's secret, which its processes have in common."""


@secrets.command(
    epilog="""\b
With every process stopped:
  clew secrets rotate                                     makes a new secret.key
  CLEW_SECRET_KEY=$(openssl rand -hex 32) clew secrets rotate    takes this one
"""
)
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def rotate(database_url: str | None, data_dir: Path | None) -> None:
    """Put a new secret in the place of the one that is lost, or known to others."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    try:
        where = _rotate(settings)
    except StoreInUse:
        raise Problem("Clew uses the database: stop every process on it first", USAGE) from None
    except StoreError as error:
        raise Problem.of(error) from None
    click.echo(f"The installation's secret is now the one in {where}.")
    if settings.on_postgres:
        click.echo("Give it to every process on this database before you start it.")


def _rotate(settings: Settings) -> str:
    """Change the secret, and in a shared database what is known of it; return where it is."""
    if not settings.on_postgres:
        return _put(settings)[1]
    from clew.store import installation
    from clew.store.postgres import PostgresDatabase
    from clew.store.postgres_schema import prepare_postgres

    url = settings.database_url or ""
    prepare_postgres(url)

    async def change() -> str:
        db = PostgresDatabase(url, clock=SystemClock(), connections=2)
        await db.open()
        try:
            secret, where = _put(settings)
            await db.write(installation.put, installation.FINGERPRINT, fingerprint(secret))
            return where
        finally:
            await db.close()

    return asyncio.run(change())


def _put(settings: Settings) -> tuple[bytes, str]:
    """Take the secret that is set, or make a file with a new one; return it, and where it is."""
    if settings.secret_key is not None:
        return settings.secret_key.reveal().strip().encode(), "CLEW_SECRET_KEY"
    secret, path = ids.new_secret_key().encode(), keys.secret_path(settings)
    write_private(path, secret + b"\n")
    return secret, str(path)
