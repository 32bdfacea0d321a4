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

_REASONED = Column("reasoning", lambda step: step["step_details"].get("reasoning") or "")
_reasoning = click.option(
    "--reasoning", is_flag=True, help="with what the model reasoned before it, where the model told"
)


def _include(reasoning: bool) -> dict[str, str | int]:
    """Return the query that asks for reasoning."""
    return {"include[]": "step_details.reasoning"} if reasoning else {}


@click.group(
    epilog="""\b
Examples:
  clew steps list thread_... run_... --order asc
  clew steps list thread_... run_... --reasoning
  clew steps show thread_... run_... step_... --json
"""
)
def steps() -> None:
    """List and show the steps of a run."""


@steps.command("list")
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@_reasoning
@listing
@on_server
def list_steps(remote: Remote, thread_id: str, run_id: str, reasoning: bool, **wanted: Any) -> None:
    """List a run's steps, newest first."""
    columns = (*_COLUMNS, _REASONED) if reasoning else _COLUMNS
    path = ["threads", thread_id, "runs", run_id, "steps"]
    print_list(remote.service, path, columns, wanted, _include(reasoning))


@steps.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@click.argument("step_id", metavar="STEP")
@_reasoning
@json_option
@on_server
def show(remote: Remote, thread_id: str, run_id: str, step_id: str, reasoning: bool, as_json: bool) -> None:
    """Show a step."""
    path = ("threads", thread_id, "runs", run_id, "steps", step_id)
    found = remote.service.request("GET", *path, query=_include(reasoning))
    (print_json if as_json else print_fields)(found)
