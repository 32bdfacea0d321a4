"""``clew backup`` and ``clew restore``."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from clew.blobs.copies import copy_missing
from clew.blobs.hold import holding
from clew.blobs.open import folder_of
from clew.cli import keys
from clew.cli.options import load_settings, setting
from clew.cli.problems import USAGE, Problem
from clew.cli.serve import without_password
from clew.settings import Settings
from clew.store import backup as copies
from clew.store.backup import Contents
from clew.store.database import StoreError

_SHOWN = ("agents", "threads", "messages", "runs", "steps")


@click.command(
    epilog="""\b
Examples:
  clew backup clew-2026-11-26.db
  clew backup clew-2026-11-26.db --files clew-files
  clew restore clew-2026-11-26.db      with the server stopped
"""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--files",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="copy the bytes of files to this folder, those that are not there yet: backups may share it",
)
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def backup(file: Path, folder: Path | None, database_url: str | None, data_dir: Path | None) -> None:
    """Copy the SQLite database to FILE, while the server runs, and check the copy."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    source = _sqlite(settings, "pg_dump --format=custom --file={file} {url}", file)
    blobs = _blobs(settings) if folder is not None else None
    with _problems(), holding(blobs) if blobs is not None else nullcontext():
        with _bar("Copying") as progress:
            contents = copies.back_up(source, file.absolute(), progress)
        click.echo(f"{file} holds {_summary(contents)}. It is whole: every page and reference was checked.")
        if blobs is not None and folder is not None:
            with _bar("Copying files") as progress:
                copied = copy_missing(blobs, folder.absolute(), progress)
            click.echo(f"{folder} holds the bytes of files: {copied:,} were copied.")
        elif contents.rows.get("files"):
            click.echo("The bytes of files are not in it: --files FOLDER copies them too.", err=True)


@click.command(
    epilog="""\b
Examples:
  clew restore clew-2026-11-26.db
  clew restore clew-2026-11-26.db --files clew-files
"""
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--files",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="the folder of `clew backup --files`: what is missing of it is put back",
)
@setting("database_url", "--database")
@setting("data_dir", "--data-dir")
def restore(file: Path, folder: Path | None, database_url: str | None, data_dir: Path | None) -> None:
    """Put a copy in the place of the SQLite database. The one that was there is kept aside."""
    settings = load_settings(database_url=database_url, data_dir=data_dir)
    database = _sqlite(settings, "pg_restore --clean --if-exists --dbname={url} {file}", file)
    blobs = _blobs(settings) if folder is not None else None
    with _bar("Restoring") as progress, _problems():
        contents, aside = copies.restore(file, database, progress)
    click.echo(f"{database} now holds {_summary(contents)}.")
    if blobs is not None and folder is not None:
        with _bar("Restoring files") as progress, _problems():
            copied = copy_missing(folder, blobs, progress)
        click.echo(f"{blobs} holds the bytes of files: {copied:,} were put back.")
    click.echo(f"Copies hold no keys: those in {settings.data_dir} are as they were.")
    if not settings.on_postgres and not keys.secret_path(settings).is_file() and settings.secret_key is None:
        click.echo("Secrets of webhooks are sealed with secret.key, which is not here: put it there too.")
    if aside is not None:
        click.echo(f"What was there before is {aside}; delete it when you need it no more.")


def _sqlite(settings: Settings, command: str, file: Path) -> Path:
    """Return the SQLite file; say how PostgreSQL does it, if the database is one."""
    if not settings.on_postgres:
        return settings.sqlite_path
    url = without_password(settings.database_url or "")
    raise Problem(f"PostgreSQL brings its own tools: {command.format(file=file, url=url)}", USAGE)


def _blobs(settings: Settings) -> Path:
    """Return the folder of blobs; say how else they are copied, if they lie elsewhere."""
    folder = folder_of(settings.files_url, settings.data_dir)
    if folder is None:
        raise Problem("--files: the bytes of files lie on S3; copy the bucket with its own tools", USAGE)
    return folder


def _summary(contents: Contents) -> str:
    counted = [f"{contents.rows[table]:,} {table}" for table in _SHOWN if table in contents.rows]
    return ", ".join(counted[:-1]) + f" and {counted[-1]}"


@contextmanager
def _bar(what: str) -> Iterator[copies.Progress]:
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise Problem.of(error) from None
    except sqlite3.Error as error:
        raise Problem(f"The database can't be read: {error}. `clew doctor` may say why.") from None
