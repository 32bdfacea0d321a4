"""``clew files``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.problems import USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.cli.saving import plain_name, saved
from clew.cli.uploading import Uploads, found
from clew.core.files import UPLOADED_FOR

_COLUMNS = (
    Column("id", lambda file: file["id"]),
    Column("created", lambda file: when(file["created_at"])),
    Column("bytes", lambda file: f"{file['bytes']:,}"),
    Column("purpose", lambda file: file["purpose"]),
    Column("filename", lambda file: file["filename"]),
)


@click.group(
    epilog="""\b
Examples:
  clew files upload handbook.pdf
  clew files upload docs/ --store "$(clew stores create handbook)"
  clew files list
  clew files download file-...                        under its own name
  clew files content file-... | head
"""
)
def files() -> None:
    """Upload, list, read and delete files."""


@files.command()
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--purpose",
    type=click.Choice(UPLOADED_FOR),
    default="assistants",
    show_default=True,
    help="what they are for",
)
@click.option("--store", "store_id", metavar="STORE", help="a vector store that they are put into")
@on_server
def upload(remote: Remote, paths: Sequence[Path], purpose: str, store_id: str | None) -> None:
    """Upload files, and folders in all depths, and print their ids. Hidden and empty ones are left out."""
    wanted = found(paths)
    if store_id is not None:
        remote.service.request("GET", "vector_stores", store_id)
    with Uploads(remote.where) as uploads:
        for made in uploads.send(wanted, purpose):
            if store_id is not None:
                put = {"file_id": made["id"]}
                remote.service.request("POST", "vector_stores", store_id, "files", body=put)
            click.echo(made["id"])


@files.command("list")
@click.option("--purpose", metavar="PURPOSE", help="only those that are for this")
@listing
@on_server
def list_files(remote: Remote, purpose: str | None, **wanted: Any) -> None:
    """List files, newest first."""
    print_list(remote.service, ["files"], _COLUMNS, wanted, {"purpose": purpose})


@files.command()
@click.argument("file_id", metavar="FILE")
@json_option
@on_server
def show(remote: Remote, file_id: str, as_json: bool) -> None:
    """Show what is known of a file."""
    known = remote.service.request("GET", "files", file_id)
    (print_json if as_json else print_fields)(known)


@files.command()
@click.argument("file_id", metavar="FILE")
@on_server
def content(remote: Remote, file_id: str) -> None:
    """Write a file's bytes as they were uploaded, to a pipe or a file: a terminal they could steer."""
    if sys.stdout.isatty():
        raise Problem("this is a terminal: `clew files download` writes a file, or pipe it to `less`", USAGE)
    with Uploads(remote.where) as uploads:
        uploads.fetch(file_id, sys.stdout.buffer)


@files.command()
@click.argument("file_id", metavar="FILE")
@click.option(
    "--output",
    "-o",
    "into",
    type=click.Path(path_type=Path),
    default=Path(),
    help="the path to write it to, or a folder; by default this folder, under the file's own name",
)
@click.option("--force", is_flag=True, help="replace what is there")
@on_server
def download(remote: Remote, file_id: str, into: Path, force: bool) -> None:
    """Download a file and print where it is. What is there already stays, unless --force is given.

    The name that the server gives counts without folders and what could not be shown.
    """
    known = remote.service.request("GET", "files", file_id)
    path = into / plain_name(known["filename"], "file") if into.is_dir() else into
    with Uploads(remote.where) as uploads, saved(path, force=force) as file:
        uploads.fetch(file_id, file)
    click.echo(str(path))


@files.command()
@click.argument("file_ids", metavar="FILE...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, file_ids: Sequence[str]) -> None:
    """Delete files, out of every vector store too."""
    for file_id in file_ids:
        remote.service.request("DELETE", "files", file_id)
        click.echo(f"deleted {file_id}")
