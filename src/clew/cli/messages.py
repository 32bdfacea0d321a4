"""``clew messages``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options, changes, text_of
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.remote import Remote, on_server
from clew.cli.talk import unfinished


def _text(message: dict[str, Any]) -> str:
    parts = (part.get("text", {}).get("value") or f"[{part['type']}]" for part in message["content"])
    reason = (message.get("incomplete_details") or {}).get("reason")
    return "\n".join(parts) + unfinished(message.get("status"), reason)


_COLUMNS = (
    Column("id", lambda message: message["id"]),
    Column("created", lambda message: when(message["created_at"])),
    Column("role", lambda message: message["role"]),
    Column("text", _text),
)


@click.group(
    epilog="""\b
Examples:
  clew messages list thread_... --order asc
  clew messages create thread_... "Where is the way out?"
  clew messages create thread_... - < question.txt
  clew messages list thread_... --run run_...        what one run wrote
  clew messages show thread_... msg_...
  clew messages update thread_... msg_... --metadata seen=yes
"""
)
def messages() -> None:
    """List, show, create, update and delete messages of a thread."""


@messages.command("list")
@click.argument("thread_id", metavar="THREAD")
@click.option("--run", "run_id", metavar="ID", help="only what this run wrote")
@listing
@on_server
def list_messages(remote: Remote, thread_id: str, run_id: str | None, **wanted: Any) -> None:
    """List a thread's messages, newest first."""
    print_list(remote.service, ["threads", thread_id, "messages"], _COLUMNS, wanted, {"run_id": run_id})


@messages.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("message_id", metavar="MESSAGE")
@json_option
@on_server
def show(remote: Remote, thread_id: str, message_id: str, as_json: bool) -> None:
    """Show a message, with its whole text."""
    found = remote.service.request("GET", "threads", thread_id, "messages", message_id)
    if as_json:
        print_json(found)
    else:
        print_fields({**found, "content": _text(found)})


@messages.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("text")
@click.option("--role", type=click.Choice(["user", "assistant"]), default="user", show_default=True)
@body_options
@json_option
@on_server
def create(
    remote: Remote,
    thread_id: str,
    text: str,
    role: str,
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
) -> None:
    """Add a message to a thread and print its id; a TEXT of - is read from stdin. Nobody answers yet."""
    wanted = body(fields, metadata, role=role, content=text_of(text))
    made = remote.service.request("POST", "threads", thread_id, "messages", body=wanted)
    print_json(made) if as_json else click.echo(made["id"])


@messages.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("message_id", metavar="MESSAGE")
@body_options
@json_option
@on_server
def update(
    remote: Remote,
    thread_id: str,
    message_id: str,
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
) -> None:
    """Change a message's metadata, all of it, and print the message's id. What was said stays."""
    wanted = changes(fields, metadata)
    made = remote.service.request("POST", "threads", thread_id, "messages", message_id, body=wanted)
    print_json(made) if as_json else click.echo(made["id"])


@messages.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("message_ids", metavar="MESSAGE...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, thread_id: str, message_ids: Sequence[str]) -> None:
    """Delete messages: later lists and later runs don't see them."""
    for message_id in message_ids:
        remote.service.delete_message(thread_id, message_id)
        click.echo(f"deleted {message_id}")
