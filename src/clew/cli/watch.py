"""Runs, live: full-screen on a terminal, otherwise a line for each thing that happens."""

import asyncio
import sys
from contextlib import aclosing

import click

from clew.cli import output
from clew.cli.problems import Problem
from clew.cli.remote import code_of, in_words
from clew.cli.watch_app import WatchApp
from clew.cli.watched import Board, news
from clew.toolkit.errors import RunError, ToolkitError
from clew.toolkit.monitor.monitor import RunMonitor
from clew.toolkit.monitor.views import LiveView, PlainView, View
from clew.toolkit.service import Service


def watch_run(service: Service, thread_id: str, run_id: str, *, timeout: float | None, plain: bool) -> int:
    """Follow one run to its end; return the exit code.

    Raises:
        Problem: it didn't complete, or not in time.
    """

    def view() -> View:
        return PlainView(sys.stdout) if plain or not sys.stdout.isatty() else LiveView(output.console())

    try:
        RunMonitor(service, timeout=timeout, view=view).watch(thread_id, run_id)
    except RunError as error:
        hint = f" (`clew runs explain {run_id}` says more)"
        raise Problem(in_words(error) + hint, code_of(error)) from error
    return 0


def watch_runs(service: Service, thread_id: str | None, *, plain: bool) -> int:
    """Show runs until the person leaves; return the exit code."""
    if thread_id is not None:
        service.get_thread(thread_id)  # so that a wrong id is said at once
    if plain or not (sys.stdout.isatty() and sys.stdin.isatty()):
        asyncio.run(_print_changes(service, thread_id))
        return 0
    WatchApp(service, thread_id).run()
    return 0


async def _print_changes(service: Service, thread_id: str | None) -> None:
    """Print a line for each run that is there, then for each change, for ever."""
    board, printed = Board(thread_id), dict[str, str]()

    def say(run_id: str, thread: str, agent: str, status: str, at: int) -> None:
        if printed.get(run_id) != status:
            printed[run_id] = status
            click.echo("  ".join((output.when(at), f"{status:15}", run_id, thread, agent)))

    async with aclosing(news(service)) as told:
        ready = False
        async for each in told:
            if isinstance(each, ToolkitError):
                output.say(f"{in_words(each)} Connecting again ...")
            elif each is None:
                ready = True
                await board.look(service)
                for run in reversed(board.runs.values()):
                    say(run.id, run.thread_id, run.agent_id or "", run.status, run.created_at)
                printed = {run_id: printed[run_id] for run_id in board.runs}
            elif board.hear(each) and ready:
                say(each.run, each.thread, each.agent, each.status, each.at)
