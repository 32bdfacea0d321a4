"""``clew runs``."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from clew.cli.bodies import body, body_options, changes
from clew.cli.lists import Column, json_option, listing, print_list
from clew.cli.moments import moment
from clew.cli.naming import RunPath, on_run, thread_of
from clew.cli.options import SECONDS
from clew.cli.output import print_fields, print_json, when
from clew.cli.problems import FAILED, TIMED_OUT, USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.clock import SystemClock
from clew.toolkit.records import TERMINAL, Json, RunStatus

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

_OF_PROJECT = (*COLUMNS[:3], Column("thread", lambda run: run["thread_id"]), *COLUMNS[3:])
STATUSES = [status.value for status in RunStatus]


@click.group(
    epilog="""\b
Examples:
  clew runs watch                                    all that goes on, live
  clew runs watch run_...                            one run to its end
  clew runs list --status failed --since 24h         what went wrong today
  clew runs list thread_...
  clew runs create thread_... --agent asst_... --wait
  clew runs explain run_...                          why it hangs, failed or took so long
  clew runs submit run_...                           which calls wait for an answer
  clew runs submit run_... --output look_up="A ball of thread." --wait
  clew runs show run_... --json
  clew runs cancel run_...
"""
)
def runs() -> None:
    """List, show, explain, create, answer, cancel and watch runs."""


@runs.command("list")
@click.argument("thread_id", metavar="[THREAD]", required=False)
@click.option(
    "--status", "statuses", type=click.Choice(STATUSES), multiple=True, help="can be given several times"
)
@click.option("--agent", "agent_id", metavar="ID", help="only this agent's")
@click.option("--since", metavar="WHEN", help="created then or later: an age such as 15m, 24h, or a date")
@click.option("--until", metavar="WHEN", help="created before; the same")
@listing
@on_server
def list_runs(
    remote: Remote,
    thread_id: str | None,
    statuses: Sequence[str],
    agent_id: str | None,
    since: str | None,
    until: str | None,
    **wanted: Any,
) -> None:
    """List runs, newest first: all of the project, or those of a thread."""
    now = SystemClock().now() // 1000
    only = {
        "status": ",".join(statuses) or None,
        "assistant_id": agent_id,
        "created_after": None if since is None else max(0, moment(since, "--since", now) - 1),
        "created_before": None if until is None else moment(until, "--until", now),
    }
    if thread_id is None:
        print_list(remote.service, ["runs"], _OF_PROJECT, wanted, only)
    elif any(value is not None for value in only.values()):
        remote.service.get_thread(thread_id)  # a list of what is not there would only be empty
        print_list(remote.service, ["runs"], COLUMNS, wanted, {**only, "thread_id": thread_id})
    else:
        print_list(remote.service, ["threads", thread_id, "runs"], COLUMNS, wanted)


@runs.command()
@json_option
@on_run
def show(remote: Remote, run: RunPath, as_json: bool) -> None:
    """Show a run."""
    found = remote.service.request("GET", *run)
    (print_json if as_json else print_fields)(found)


@runs.command()
@json_option
@on_run
def explain(remote: Remote, run: RunPath, as_json: bool) -> None:
    """Say why a run is where it is, what to do, and where its time went."""
    told = remote.service.request("GET", *run, "explanation")
    if as_json:
        print_json(told)
        return
    from clew.cli.explaining import show_explanation

    show_explanation(told)


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
    if waits:
        made = _over(remote, (*path, made["id"]), made)
    print_json(made) if as_json else click.echo(made["id"])
    if waits:
        _judge(made)


def _over(remote: Remote, path: Sequence[str], run: Json) -> Json:
    """Return a run when it is over or waits for somebody."""
    while run["status"] in ("queued", "in_progress", "cancelling"):
        run = remote.service.request("GET", *path, query={"wait": _WAIT})
    return run


def _judge(run: dict[str, Any]) -> None:
    """Raise Problem unless a run that was waited for has completed."""
    status = run["status"]
    if status == "requires_action":
        raise Problem(f"the run waits for {_wanted(run)}: `clew runs submit {run['id']}` shows which")
    if status in TERMINAL and status != "completed":
        why = f": {_why(run)}" if _why(run) else ""
        raise Problem(f"the run ended {status}{why} (`clew runs explain {run['id']}` says more)", FAILED)


def _wanted(run: dict[str, Any]) -> str:
    asks = (run.get("required_action") or {}).get("type")
    return "approvals" if asks == "submit_tool_approval" else "tool outputs"


@runs.command()
@json_option
@on_run
def cancel(remote: Remote, run: RunPath, as_json: bool) -> None:
    """Ask a run to stop, and print what it is now."""
    found = remote.service.request("POST", *run, "cancel")
    print_json(found) if as_json else click.echo(found["status"])


@runs.command()
@body_options
@json_option
@on_run
def update(
    remote: Remote, run: RunPath, fields: TextIO | None, metadata: Sequence[str], as_json: bool
) -> None:
    """Change a run's metadata, all of it, and print the run's id."""
    found = remote.service.request("POST", *run, body=changes(fields, metadata))
    print_json(found) if as_json else click.echo(found["id"])


@runs.command()
@click.option("--output", "texts", multiple=True, metavar="CALL=TEXT", help="the output of a call")
@click.option(
    "--output-file", "files", multiple=True, metavar="CALL=FILE", help="the same from a file; - is stdin"
)
@click.option(
    "--outputs", "everything", metavar="FILE", help="a JSON object of all outputs by call; - is stdin"
)
@click.option("--approve", "approved", multiple=True, metavar="CALL", help="have the server run a call")
@click.option("--deny", "denied", multiple=True, metavar="CALL", help="tell the model that it may not")
@click.option("--wait", "waits", is_flag=True, help="return when the run is over or waits for somebody")
@json_option
@on_run
def submit(
    remote: Remote,
    run: RunPath,
    texts: Sequence[str],
    files: Sequence[str],
    everything: str | None,
    approved: Sequence[str],
    denied: Sequence[str],
    waits: bool,
    as_json: bool,
) -> None:
    """Answer all the calls that a run waits for. Without answers, show the calls.

    CALL is a call's id, or the name of its function if no other call that waits has it.
    """
    from clew.cli import submitting

    found = remote.service.request("GET", *run)
    calls = submitting.open_calls(found)
    gives_outputs, decides = bool(texts or files or everything), bool(approved or denied)
    if not (gives_outputs or decides):
        print_json(calls) if as_json else submitting.show_open(found, calls)
        return
    submitting.check_kind(found, gives_outputs=gives_outputs, decides=decides)
    if decides:
        answers = submitting.approvals(calls, approved, denied)
    else:
        answers = submitting.outputs(calls, texts, files, everything)
    submitting.check_complete(calls, answers)
    sent = remote.service.request("POST", *run, "submit_tool_outputs", body=answers)
    if waits:
        sent = _over(remote, run, sent)
    print_json(sent) if as_json else click.echo(sent["status"])
    if waits:
        _judge(sent)


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
    from clew.cli.watch import watch_run, watch_runs

    if thread_id is not None and run_id is None and thread_id.startswith("run_"):
        thread_id, run_id = thread_of(remote.service, thread_id), thread_id
    if thread_id is not None and run_id is not None:
        return watch_run(remote.service, thread_id, run_id, timeout=timeout, plain=plain)
    if timeout is not None:
        raise Problem(f"--timeout is for one run: say which (it would be {TIMED_OUT} as exit code)", USAGE)
    return watch_runs(remote.service, thread_id, plain=plain)
