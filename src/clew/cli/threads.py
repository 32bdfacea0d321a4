"""``clew threads``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options, changes, pairs
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.remote import Remote, on_server

_COLUMNS = (
    Column("id", lambda thread: thread["id"]),
    Column("created", lambda thread: when(thread["created_at"])),
    Column("metadata", lambda thread: ", ".join(f"{k}={v}" for k, v in thread["metadata"].items())),
)


@click.group(
    epilog="""\b
Examples:
  clew threads list --limit 5
  thread=$(clew threads create --metadata customer=42)
  clew threads list --metadata customer=42
  clew threads update "$thread" --metadata customer=42 --metadata state=closed
  clew threads delete "$thread"
"""
)
def threads() -> None:
    """List, show, create, update and delete threads."""


@threads.command("list")
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    help="only those that have it; can be repeated",
)
@listing
@on_server
def list_threads(remote: Remote, metadata: Sequence[str], **wanted: Any) -> None:
    """List threads, newest first."""
    only = {f"metadata[{key}]": value for key, value in pairs(metadata).items()}
    print_list(remote.service, ["threads"], _COLUMNS, wanted, only)


@threads.command()
@click.argument("thread_id", metavar="THREAD")
@json_option
@on_server
def show(remote: Remote, thread_id: str, as_json: bool) -> None:
    """Show a thread. What was said in it: clew messages list."""
    found = remote.service.request("GET", "threads", thread_id)
    (print_json if as_json else print_fields)(found)


@threads.command()
@body_options
@json_option
@on_server
def create(remote: Remote, fields: TextIO | None, metadata: Sequence[str], as_json: bool) -> None:
    """Create a thread and print its id."""
    made = remote.service.request("POST", "threads", body=body(fields, metadata))
    print_json(made) if as_json else click.echo(made["id"])


@threads.command()
@click.argument("thread_id", metavar="THREAD")
@click.option("--token-budget", type=click.IntRange(min=1), help="tokens that all its runs may use together")
@body_options
@json_option
@on_server
def update(
    remote: Remote,
    thread_id: str,
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
    token_budget: int | None,
) -> None:
    """Change a thread and print its id. What is not given stays; metadata changes as a whole."""
    wanted = changes(fields, metadata, token_budget=token_budget)
    made = remote.service.request("POST", "threads", thread_id, body=wanted)
    print_json(made) if as_json else click.echo(made["id"])


@threads.command()
@click.argument("thread_ids", metavar="THREAD...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, thread_ids: Sequence[str]) -> None:
    """Delete threads, with their messages, runs and steps."""
    for thread_id in thread_ids:
        remote.service.delete_thread(thread_id)
        click.echo(f"deleted {thread_id}")
