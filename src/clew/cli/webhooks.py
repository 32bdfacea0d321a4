"""``clew webhooks``."""

from collections.abc import Sequence
from typing import Any

import click

from clew.cli import output
from clew.cli.bodies import pairs
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.remote import Remote, on_server
from clew.toolkit.records import Json

_EVENTS = [
    f"run.{status}"
    for status in ("completed", "failed", "incomplete", "cancelled", "expired", "requires_action")
]


def _trouble(webhook: Json) -> str:
    error = webhook["last_error"]
    if error is None:
        return ""
    again = error["next_attempt_at"]
    then = f"told again at {when(again)}" if again else "given up"
    return f"{error['message']} ({error['event']} of {error['run_id']}, {then})"


_COLUMNS = (
    Column("id", lambda webhook: webhook["id"]),
    Column("created", lambda webhook: when(webhook["created_at"])),
    Column("status", lambda webhook: webhook["status"]),
    Column("url", lambda webhook: webhook["url"]),
    Column("events", lambda webhook: _short(webhook["events"])),
    Column("trouble", _trouble),
)


def _short(events: Sequence[str]) -> str:
    return "all" if set(events) == set(_EVENTS) else ", ".join(name.removeprefix("run.") for name in events)


@click.group(
    epilog="""\b
Examples:
  clew webhooks add https://example.com/hook
  clew webhooks add https://example.com/hook --event run.failed --event run.expired
  clew webhooks list                                 which there are, and what they did not hear
  clew webhooks delete wh_...
  clew listen --forward http://127.0.0.1:3000/hook   before there is one
"""
)
def webhooks() -> None:
    """Have URLs told when runs end or wait for their client."""


@webhooks.command()
@click.argument("to", metavar="URL")
@click.option(
    "--event",
    "events",
    type=click.Choice(_EVENTS),
    multiple=True,
    help="what it is told; can be repeated.  [default: all]",
)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="can be repeated")
@json_option
@on_server
def add(remote: Remote, to: str, events: Sequence[str], metadata: Sequence[str], as_json: bool) -> None:
    """Have a URL told, and print the webhook's id. The secret that signs is shown now and never again."""
    wanted: Json = {"url": to}
    if events:
        wanted["events"] = list(events)
    if metadata:
        wanted["metadata"] = pairs(metadata)
    made = remote.service.request("POST", "webhooks", body=wanted)
    if as_json:
        print_json(made)
        return
    click.echo(made["id"])
    output.say(f"Its secret, which is not shown again: {made['secret']}")


@webhooks.command("list")
@listing
@on_server
def list_webhooks(remote: Remote, **wanted: Any) -> None:
    """List webhooks, newest first, with what they did not hear."""
    print_list(remote.service, ["webhooks"], _COLUMNS, wanted)


@webhooks.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@json_option
@on_server
def show(remote: Remote, webhook_id: str, as_json: bool) -> None:
    """Show a webhook, without its secret."""
    found = remote.service.request("GET", "webhooks", webhook_id)
    (print_json if as_json else print_fields)(found)


@webhooks.command()
@click.argument("webhook_ids", metavar="WEBHOOK...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, webhook_ids: Sequence[str]) -> None:
    """Delete webhooks. What they were still to be told is forgotten."""
    for webhook_id in webhook_ids:
        remote.service.request("DELETE", "webhooks", webhook_id)
        click.echo(f"deleted {webhook_id}")
