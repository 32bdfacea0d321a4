"""How a command's arguments name a run: by its id, with its thread's in front if that is known."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.cli.remote import Remote, on_server
from clew.toolkit.service import Service

RunPath = tuple[str, str, str, str]
"""Where a run is in the API: ``"threads", thread_id, "runs", run_id``."""


def on_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a server, and the arguments ``[THREAD] RUN`` as ``run``, a :data:`RunPath`."""

    @click.argument("run_ids", metavar="[THREAD] RUN", nargs=-1, required=True)
    @on_server
    @wraps(command)
    def found(remote: Remote, run_ids: Sequence[str], **arguments: Any) -> Any:
        return command(remote, run=run_path(remote.service, run_ids), **arguments)

    return found


def run_path(service: Service, ids: Sequence[str]) -> RunPath:
    """Return where a run is.

    Raises:
        Problem: there are too many ids, or no such run.
    """
    if len(ids) > 2:
        raise Problem("give one run: its id, or its thread's id and its own", USAGE)
    thread_id, run_id = ids if len(ids) == 2 else (thread_of(service, ids[0]), ids[0])
    return "threads", thread_id, "runs", run_id


def thread_of(service: Service, run_id: str) -> str:
    """Return the id of the thread that a run is on.

    Raises:
        Problem: there is no such run.
    """
    from clew.cli.watched import find_run

    found = find_run(service, run_id)
    if found is None:
        raise Problem(f"No run found with id '{run_id}'.", NOT_FOUND)
    return found.thread_id
