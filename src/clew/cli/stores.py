"""``clew stores``."""

import time
from collections.abc import Sequence
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clew.cli.bodies import body, body_options
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, print_table, when
from clew.cli.problems import Problem
from clew.cli.remote import Remote, on_server
from clew.toolkit.records import Json
from clew.toolkit.tools.text import clean

_LOOK_SECONDS = 0.3
"""Seconds between two looks at how far the reading is."""


def _counts(store: Json) -> str:
    counts = store["file_counts"]
    told = [f"{counts[name]:,} {name}" for name in ("in_progress", "failed", "cancelled") if counts[name]]
    return ", ".join([f"{counts['completed']:,} of {counts['total']:,}", *told])


def _trouble(file: Json) -> str:
    error = file["last_error"]
    return "" if error is None else f"{error['code']}: {error['message']}"


_STORES = (
    Column("id", lambda store: store["id"]),
    Column("created", lambda store: when(store["created_at"])),
    Column("status", lambda store: store["status"]),
    Column("bytes", lambda store: f"{store['usage_bytes']:,}"),
    Column("files", _counts),
    Column("name", lambda store: store["name"] or ""),
)
_FILES = (
    Column("id", lambda file: file["id"]),
    Column("added", lambda file: when(file["created_at"])),
    Column("status", lambda file: file["status"]),
    Column("bytes", lambda file: f"{file['usage_bytes']:,}"),
    Column("trouble", _trouble),
)


@click.group(
    epilog="""\b
Examples:
  store=$(clew stores create handbook)
  clew files upload docs/ --store "$store"
  clew stores wait "$store"                           until all are read
  clew stores files "$store" --filter failed          what could not be read, and why
  clew stores search "$store" "when is the canteen open?"
"""
)
def stores() -> None:
    """Create, list, fill, search and delete vector stores."""


@stores.command()
@click.argument("name", required=False)
@body_options
@json_option
@on_server
def create(
    remote: Remote, name: str | None, fields: TextIO | None, metadata: Sequence[str], as_json: bool
) -> None:
    """Create a vector store and print its id."""
    made = remote.service.request("POST", "vector_stores", body=body(fields, metadata, name=name))
    print_json(made) if as_json else click.echo(made["id"])


@stores.command("list")
@listing
@on_server
def list_stores(remote: Remote, **wanted: Any) -> None:
    """List vector stores, newest first, with how many of their files are read."""
    print_list(remote.service, ["vector_stores"], _STORES, wanted)


@stores.command()
@click.argument("store_id", metavar="STORE")
@json_option
@on_server
def show(remote: Remote, store_id: str, as_json: bool) -> None:
    """Show a vector store."""
    known = remote.service.request("GET", "vector_stores", store_id)
    (print_json if as_json else print_fields)(known)


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.argument("file_ids", metavar="FILE...", nargs=-1, required=True)
@on_server
def add(remote: Remote, store_id: str, file_ids: Sequence[str]) -> None:
    """Put uploaded files into a vector store. They are read in the background."""
    for file_id in file_ids:
        remote.service.request("POST", "vector_stores", store_id, "files", body={"file_id": file_id})
        click.echo(f"added {file_id}")


@stores.command()
@click.argument("store_id", metavar="STORE")
@on_server
def wait(remote: Remote, store_id: str) -> None:
    """Wait until all of a vector store's files are read, with a bar; exit with 1 if some could not be."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        while True:
            known = remote.service.request("GET", "vector_stores", store_id)
            counts = known["file_counts"]
            bar.update(task, completed=counts["total"] - counts["in_progress"], total=counts["total"])
            if not counts["in_progress"]:
                break
            time.sleep(_LOOK_SECONDS)
    click.echo(_counts(known))
    if counts["failed"]:
        raise Problem(f"some could not be read: `clew stores files {store_id} --filter failed` says why")


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.option(
    "--filter",
    "status",
    type=click.Choice(["in_progress", "completed", "failed", "cancelled"]),
    help="only those of this status",
)
@listing
@on_server
def files(remote: Remote, store_id: str, status: str | None, **wanted: Any) -> None:
    """List a vector store's files, newest first, with what could not be read of them."""
    print_list(remote.service, ["vector_stores", store_id, "files"], _FILES, wanted, {"filter": status})


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.argument("query")
@click.option(
    "--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="how many passages at most"
)
@json_option
@on_server
def search(remote: Remote, store_id: str, query: str, limit: int, as_json: bool) -> None:
    """Search a vector store: the best passages first, each with its score and where it stands."""
    wanted = {"query": query, "max_num_results": limit}
    page = remote.service.request("POST", "vector_stores", store_id, "search", body=wanted)
    if as_json:
        print_json(page)
        return
    rows = [
        [f"{result['score']:.2f}", result["file_id"], result["filename"], _place(text), text["text"]]
        for result in page["data"]
        for text in result["content"]
    ]
    print_table(["score", "file", "filename", "place", "text"], rows)


def _place(text: Json) -> str:
    page = "" if text["page"] is None else f"page {text['page']}, "
    return f"{page}lines {text['first_line']}-{text['last_line']}"


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.argument("file_id", metavar="FILE")
@json_option
@on_server
def content(remote: Remote, store_id: str, file_id: str, as_json: bool) -> None:
    """Print what was read of a file, chunk by chunk."""
    read = remote.service.request("GET", "vector_stores", store_id, "files", file_id, "content")
    if as_json:
        print_json(read)
        return
    for text in read["data"]:
        click.echo(f"--- chunk {text['chunk']}, {_place(text)}\n{clean(text['text'])}")


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.argument("file_ids", metavar="FILE...", nargs=-1, required=True)
@on_server
def remove(remote: Remote, store_id: str, file_ids: Sequence[str]) -> None:
    """Take files out of a vector store. The files themselves stay."""
    for file_id in file_ids:
        remote.service.request("DELETE", "vector_stores", store_id, "files", file_id)
        click.echo(f"removed {file_id}")


@stores.command()
@click.argument("store_ids", metavar="STORE...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, store_ids: Sequence[str]) -> None:
    """Delete vector stores. Their files stay."""
    for store_id in store_ids:
        remote.service.request("DELETE", "vector_stores", store_id)
        click.echo(f"deleted {store_id}")
