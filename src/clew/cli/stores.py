"""``clew stores``."""

from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from clew.cli import output
from clew.cli.bodies import body, body_options
from clew.cli.filling import counts_text, failures, put, trouble, uploaded, wait_for
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.options import SECONDS
from clew.cli.output import print_fields, print_json, print_table, when
from clew.cli.problems import USAGE, Problem
from clew.cli.reindexing import begin, model_text, needing, state_text, wait_until_reindexed
from clew.cli.remote import Remote, on_server
from clew.toolkit.records import Json
from clew.toolkit.tools.text import clean

_STORES = (
    Column("id", lambda store: store["id"]),
    Column("created", lambda store: when(store["created_at"])),
    Column("status", lambda store: store["status"]),
    Column("bytes", lambda store: f"{store['usage_bytes']:,}"),
    Column("files", lambda store: counts_text(store["file_counts"])),
    Column("model", model_text),
    Column("name", lambda store: store["name"] or ""),
)
_FILES = (
    Column("id", lambda file: file["id"]),
    Column("added", lambda file: when(file["created_at"])),
    Column("status", lambda file: file["status"]),
    Column("bytes", lambda file: f"{file['usage_bytes']:,}"),
    Column("trouble", trouble),
)


@click.group(
    epilog="""\b
Examples:
  store=$(clew stores create handbook)
  clew stores add "$store" docs/ notes.txt            uploads them, waits until all are read
  clew stores add "$store" file-...                   what was uploaded before
  clew stores files "$store" --filter failed          what could not be read, and why
  clew stores search "$store" "when is the canteen open?"
  clew stores reindex --all                           after the embedding model was changed
"""
)
def stores() -> None:
    """Create, list, fill, search, reindex and delete vector stores."""


@stores.command()
@click.argument("name", required=False)
@click.option(
    "--file", "file_ids", metavar="FILE", multiple=True, help="the id of an uploaded file; can be repeated"
)
@body_options
@json_option
@on_server
def create(
    remote: Remote,
    name: str | None,
    file_ids: Sequence[str],
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
) -> None:
    """Create a vector store and print its id. Files that are put into it are read in the background."""
    wanted = body(fields, metadata, name=name, file_ids=list(file_ids) or None)
    made = remote.service.request("POST", "vector_stores", body=wanted)
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
    """Show a vector store, and why files of it could not be read."""
    known = remote.service.request("GET", "vector_stores", store_id)
    if as_json:
        print_json(known)
        return
    told = {"file_counts": counts_text(known["file_counts"]), "reindexing": state_text(known["reindexing"])}
    print_fields({**known, **told})
    if known["needs_reindex"]:
        output.say(f"This server embeds with another model: run `clew stores reindex {store_id}`.")
    if known["file_counts"]["failed"]:
        for line in failures(remote.service, ["vector_stores", store_id]):
            click.echo(clean(f"failed: {line}"))


def _timeout_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--timeout", type=SECONDS, default=600.0, show_default=True, metavar="SECONDS", help="for the reading"
    )(command)


@stores.command()
@click.argument("store_id", metavar="STORE")
@click.argument("wanted", metavar="FILE|PATH...", nargs=-1, required=True)
@click.option("--wait/--no-wait", "waits", default=True, help="until they are read")
@_timeout_option
@on_server
def add(remote: Remote, store_id: str, wanted: Sequence[str], waits: bool, timeout: float) -> None:
    """Put files into a vector store: uploaded ones by their ids, others and whole folders by their paths.

    Exits with 1 if some could not be read, and says which and why; with 4 if they are still being read.
    """
    remote.service.request("GET", "vector_stores", store_id)
    file_ids: list[str] = []
    try:
        file_ids.extend(uploaded(remote, wanted))
    finally:  # what was uploaded before an error is not to be lost
        batches = put(remote.service, store_id, file_ids)
        for file_id in file_ids:
            click.echo(f"added {file_id}")
    if waits:
        wait_for(
            remote.service,
            [("vector_stores", store_id, "file_batches", batch["id"]) for batch in batches],
            timeout,
        )


@stores.command()
@click.argument("store_id", metavar="STORE")
@_timeout_option
@on_server
def wait(remote: Remote, store_id: str, timeout: float) -> None:
    """Wait until all of a vector store's files are read, with a bar.

    Exits with 1 if some could not be read, and says which and why; with 4 if they are still being read.
    """
    wait_for(remote.service, [("vector_stores", store_id)], timeout)


@stores.command()
@click.argument("store_ids", metavar="[STORE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="all of the project's that need it")
@click.option("--wait/--no-wait", "waits", default=True, help="until they have the new vectors")
@click.option(
    "--timeout", type=SECONDS, default=3600.0, show_default=True, metavar="SECONDS", help="for the waiting"
)
@on_server
def reindex(remote: Remote, store_ids: Sequence[str], all_: bool, waits: bool, timeout: float) -> None:
    """Give vector stores vectors of the model that the server embeds with now.

    For when that was changed. The vectors that are there serve until all new ones are made, which goes on in
    the server whatever becomes of this command; a store that needs none is left as it is. Exits with 1 if it
    was given up, and says why; with 4 if it still goes on.
    """
    if bool(store_ids) == all_:
        raise Problem("name stores, or say --all", USAGE)
    wanted = needing(remote.service) if all_ else list(dict.fromkeys(store_ids))
    begun = begin(remote.service, wanted)
    if waits:
        wait_until_reindexed(remote.service, begun, timeout)


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
    if page["warning"]:
        output.say(page["warning"])
    if as_json:
        print_json(page)
        return
    rows = [
        [f"{result['score']:.2f}", result["file_id"], result["filename"], _place(text), text["text"]]
        for result in page["data"]
        for text in result["content"]
    ]
    if rows:
        print_table(["score", "file", "filename", "place", "text"], rows)
    else:
        output.say("Nothing was found.")


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
    path = ("vector_stores", store_id, "files", file_id, "content")
    page = remote.service.request("GET", *path)
    if as_json:
        texts = list(page["data"])
        while page["has_more"]:
            page = remote.service.request("GET", *path, query={"after": page["next_page"]})
            texts += page["data"]
        print_json({**page, "data": texts})
        return
    while True:
        for text in page["data"]:
            click.echo(f"--- chunk {text['chunk']}, {_place(text)}\n{clean(text['text'])}")
        if not page["has_more"]:
            return
        page = remote.service.request("GET", *path, query={"after": page["next_page"]})


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
