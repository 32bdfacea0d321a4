"""``clew threads``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options
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
  clew threads delete "$thread"
"""
)
def threads() -> None:
    """List, show, create and delete threads."""


@threads.command("list")
@listing
@on_server
def list_threads(remote: Remote, **wanted: Any) -> None:
    """List threads, newest first."""
    print_list(remote.service, ["threads"], _COLUMNS, wanted)


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
@click.argument("thread_ids", metavar="THREAD...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, thread_ids: Sequence[str]) -> None:
    """Delete threads, with their messages, runs and steps."""
    for thread_id in thread_ids:
        remote.service.delete_thread(thread_id)
        click.echo(f"deleted {thread_id}")
