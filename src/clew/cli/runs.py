"""``clew runs``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.options import SECONDS
from clew.cli.output import print_fields, print_json, when
from clew.cli.problems import FAILED, TIMED_OUT, USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.toolkit.records import TERMINAL

_WAIT = 30
"""Seconds for which one request waits for the run."""


def _tokens(run: dict[str, Any]) -> str:
    usage = run["usage"]
    return "" if usage is None else f"{usage['prompt_tokens']} + {usage['completion_tokens']}"


def _why(run: dict[str, Any]) -> str:
    error, cut = run["last_error"], run["incomplete_details"]
    if error is not None:
        return f"{error['code']}: {error['message']}"
    return "" if cut is None else str(cut["reason"])


COLUMNS = (
    Column("id", lambda run: run["id"]),
    Column("created", lambda run: when(run["created_at"])),
    Column("status", lambda run: run["status"]),
    Column("tokens", _tokens),
    Column("model", lambda run: run["model"]),
    Column("why", _why),
)


@click.group(
    epilog="""\b
Examples:
  clew runs watch                                    all that goes on, live
  clew runs watch run_...                            one run to its end
  clew runs list thread_...
  clew runs create thread_... --agent asst_... --wait
  clew runs show thread_... run_... --json
  clew runs cancel thread_... run_...
"""
)
def runs() -> None:
    """List, show, create, cancel and watch runs."""


@runs.command("list")
@click.argument("thread_id", metavar="THREAD")
@listing
@on_server
def list_runs(remote: Remote, thread_id: str, **wanted: Any) -> None:
    """List a thread's runs, newest first."""
    print_list(remote.service, ["threads", thread_id, "runs"], COLUMNS, wanted)


@runs.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@json_option
@on_server
def show(remote: Remote, thread_id: str, run_id: str, as_json: bool) -> None:
    """Show a run."""
    found = remote.service.request("GET", "threads", thread_id, "runs", run_id)
    (print_json if as_json else print_fields)(found)


@runs.command()
@click.argument("thread_id", metavar="THREAD")
@click.option("--agent", "agent_id", metavar="ID", help="who answers")
@click.option("--model", metavar="NAME", help="in place of the agent's")
@click.option("--instructions", help="in place of the agent's")
@click.option("--wait", "waits", is_flag=True, help="return when the run is over or waits for somebody")
@body_options
@json_option
@on_server
def create(
    remote: Remote,
    thread_id: str,
    agent_id: str | None,
    waits: bool,
    fields: TextIO | None,
    metadata: Sequence[str],
    as_json: bool,
    **known: str | None,
) -> None:
    """Start a run on a thread and print its id."""
    wanted = body(fields, metadata, assistant_id=agent_id, **known)
    if "assistant_id" not in wanted:
        raise Problem("say who answers: --agent asst_... (`clew agents list` shows which there are)", USAGE)
    path = ("threads", thread_id, "runs")
    made = remote.service.request("POST", *path, body=wanted)
    while waits and made["status"] in ("queued", "in_progress", "cancelling"):
        made = remote.service.request("GET", *path, made["id"], query={"wait": _WAIT})
    print_json(made) if as_json else click.echo(made["id"])
    if waits:
        _judge(made)


def _judge(run: dict[str, Any]) -> None:
    """Raise Problem unless a run that was waited for has completed."""
    status = run["status"]
    if status == "requires_action":
        raise Problem(f"the run waits for {_wanted(run)}: `clew runs show` says which")
    if status in TERMINAL and status != "completed":
        raise Problem(f"the run ended {status}: {_why(run) or 'see `clew runs show`'}", FAILED)


def _wanted(run: dict[str, Any]) -> str:
    asks = (run.get("required_action") or {}).get("type")
    return "approvals" if asks == "submit_tool_approval" else "tool outputs"


@runs.command()
@click.argument("thread_id", metavar="THREAD")
@click.argument("run_id", metavar="RUN")
@json_option
@on_server
def cancel(remote: Remote, thread_id: str, run_id: str, as_json: bool) -> None:
    """Ask a run to stop, and print what it is now."""
    found = remote.service.request("POST", "threads", thread_id, "runs", run_id, "cancel")
    print_json(found) if as_json else click.echo(found["status"])


@runs.command()
@click.argument("thread_id", metavar="[THREAD]", required=False)
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="for one run")
@click.option("--plain", is_flag=True, help="lines, also where there is a terminal")
@on_server
def watch(
    remote: Remote, thread_id: str | None, run_id: str | None, timeout: float | None, plain: bool
) -> int:
    """Watch runs live: all that are active and the newest, those of a thread, or one to its end.

    Full-screen on a terminal, otherwise a line for each thing that happens. The run that is chosen, or the
    newest active one, shows its answer as it is written. One run may be named by its id alone; the exit
    code then tells how it ended.
    """
    from clew.cli.watch import thread_of, watch_run, watch_runs

    if thread_id is not None and run_id is None and thread_id.startswith("run_"):
        thread_id, run_id = thread_of(remote.service, thread_id), thread_id
    if thread_id is not None and run_id is not None:
        return watch_run(remote.service, thread_id, run_id, timeout=timeout, plain=plain)
    if timeout is not None:
        raise Problem(f"--timeout is for one run: say which (it would be {TIMED_OUT} as exit code)", USAGE)
    return watch_runs(remote.service, thread_id, plain=plain)
