"""``clew steps``."""

from typing import Any

import click

from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.remote import Remote, on_server


def _did(step: dict[str, Any]) -> str:
    details = step["step_details"]
    if details["type"] == "message_creation":
        return str(details["message_creation"]["message_id"])
    return "; ".join(map(_call, details["tool_calls"]))


def _call(call: dict[str, Any]) -> str:
    function = call.get("function")
    if function is None:
        return str(call["type"])
    output = "" if function.get("output") is None else f" -> {function['output']}"
    return f"{function['name']}({function['arguments']}){output}"


def _tokens(step: dict[str, Any]) -> str:
    return "" if step["usage"] is None else str(step["usage"]["total_tokens"])


_COLUMNS = (
    Column("id", lambda step: step["id"]),
    Column("created", lambda step: when(step["created_at"])),
    Column("type", lambda step: step["type"]),
    Column("status", lambda step: step["status"]),
    Column("tokens", _tokens),
    Column("did", _did),
)


@click.group(
    epilog="""\b
Examples:
  clew steps list thread_... run_... --order asc
  clew steps show thread_... run_... step_... --json
"""
)
def steps() -> None:
    """List and show the steps of a run."""


@steps.command("list")
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@listing
@on_server
def list_steps(remote: Remote, thread_id: str, run_id: str, **wanted: Any) -> None:
    """List a run's steps, newest first."""
    print_list(remote.service, ["threads", thread_id, "runs", run_id, "steps"], _COLUMNS, wanted)


@steps.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@click.argument("step_id", metavar="STEP")
@json_option
@on_server
def show(remote: Remote, thread_id: str, run_id: str, step_id: str, as_json: bool) -> None:
    """Show a step."""
    found = remote.service.request("GET", "threads", thread_id, "runs", run_id, "steps", step_id)
    (print_json if as_json else print_fields)(found)
