"""``clew agents``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options, changes
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.output import print_fields, print_json, when
from clew.cli.remote import Remote, on_server

_COLUMNS = (
    Column("id", lambda agent: agent["id"]),
    Column("created", lambda agent: when(agent["created_at"])),
    Column("model", lambda agent: agent["model"]),
    Column("tools", lambda agent: ", ".join(map(_tool, agent["tools"]))),
    Column("name", lambda agent: agent["name"] or ""),
)


def _tool(tool: dict[str, Any]) -> str:
    return str(tool.get("function", {}).get("name") or tool["type"])


@click.group(
    epilog="""\b
Examples:
  clew agents list
  clew agents create --model gpt-4o --name helper --instructions "Answer in one sentence."
  clew agents create --fields agent.json            tools and all, as the API takes them
  clew agents show asst_...
  clew agents update asst_... --instructions "Answer in Portuguese."
"""
)
def agents() -> None:
    """List, show, create, update and delete agents."""


@agents.command("list")
@listing
@on_server
def list_agents(remote: Remote, **wanted: Any) -> None:
    """List agents, newest first."""
    print_list(remote.service, ["assistants"], _COLUMNS, wanted)


@agents.command()
@click.argument("agent_id", metavar="AGENT")
@json_option
@on_server
def show(remote: Remote, agent_id: str, as_json: bool) -> None:
    """Show an agent."""
    found = remote.service.request("GET", "assistants", agent_id)
    (print_json if as_json else print_fields)(found)


@agents.command()
@click.option("--model", metavar="NAME", help="by default the server's own")
@click.option("--name")
@click.option("--description")
@click.option("--instructions", help="what it is told before every conversation")
@body_options
@json_option
@on_server
def create(
    remote: Remote, fields: TextIO | None, metadata: Sequence[str], as_json: bool, **known: str | None
) -> None:
    """Create an agent and print its id."""
    wanted = body(fields, metadata, **known)
    wanted.setdefault("model", remote.default_model())
    made = remote.service.request("POST", "assistants", body=wanted)
    print_json(made) if as_json else click.echo(made["id"])


@agents.command()
@click.argument("agent_id", metavar="AGENT")
@click.option("--model", metavar="NAME")
@click.option("--name")
@click.option("--description")
@click.option("--instructions", help="what it is told before every conversation")
@body_options
@json_option
@on_server
def update(
    remote: Remote,
    agent_id: str,
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
    **known: str | None,
) -> None:
    """Change an agent and print its id. What is not given stays; metadata and tools change as a whole.

    Runs that are under way go on as they began.
    """
    wanted = changes(fields, metadata, **known)
    made = remote.service.request("POST", "assistants", agent_id, body=wanted)
    print_json(made) if as_json else click.echo(made["id"])


@agents.command()
@click.argument("agent_ids", metavar="AGENT...", nargs=-1, required=True)
@on_server
def delete(remote: Remote, agent_ids: Sequence[str]) -> None:
    """Delete agents. Their runs and messages stay."""
    for agent_id in agent_ids:
        remote.service.delete_agent(agent_id)
        click.echo(f"deleted {agent_id}")
