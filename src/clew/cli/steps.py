"""``clew steps``."""

from collections.abc import Sequence
from typing import Any

import click

from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.naming import RunPath, on_run, run_path
from clew.cli.output import print_fields, print_json, when
from clew.cli.problems import USAGE, Problem
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
  clew steps list run_... --order asc
  clew steps list run_... --reasoning
  clew steps show run_... step_... --json
"""
)
def steps() -> None:
    """List and show the steps of a run."""


@steps.command("list")
@_reasoning
@listing
@on_run
def list_steps(remote: Remote, run: RunPath, reasoning: bool, **wanted: Any) -> None:
    """List a run's steps, newest first."""
    columns = (*_COLUMNS, _REASONED) if reasoning else _COLUMNS
    print_list(remote.service, [*run, "steps"], columns, wanted, _include(reasoning))


@steps.command()
@click.argument("step_ids", metavar="[THREAD] RUN STEP", nargs=-1, required=True)
@_reasoning
@json_option
@on_server
def show(remote: Remote, step_ids: Sequence[str], reasoning: bool, as_json: bool) -> None:
    """Show a step."""
    if len(step_ids) < 2:
        raise Problem("give the run's id and the step's", USAGE)
    path = (*run_path(remote.service, step_ids[:-1]), "steps", step_ids[-1])
    found = remote.service.request("GET", *path, query=_include(reasoning))
    (print_json if as_json else print_fields)(found)
