"""Runs, live: full-screen on a terminal, otherwise a line for each thing that happens."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

import anyio
import click

from clew.cli import output
from clew.cli.problems import Problem
from clew.cli.remote import code_of, in_words
from clew.toolkit.errors import NotFound, RunError
from clew.toolkit.monitor.monitor import RunMonitor
from clew.toolkit.monitor.views import LiveView, PlainView, View
from clew.toolkit.records import Run
from clew.toolkit.service import Service

EVERY = 1.0
"""Seconds between two looks."""

_THREADS, _RUNS = 20, 5
"""Of so many of the newest threads, so many of the newest runs are looked at."""

_PARALLEL = 8


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
        raise Problem(in_words(error), code_of(error)) from error
    return 0


def watch_runs(service: Service, thread_id: str | None, *, plain: bool) -> int:
    """Show runs until the person leaves; return the exit code."""
    if thread_id is not None:
        service.get_thread(thread_id)  # so that a wrong id is said at once
    if plain or not (sys.stdout.isatty() and sys.stdin.isatty()):
        asyncio.run(_print_changes(service, thread_id))
        return 0
    from clew.cli.watch_app import WatchApp

    WatchApp(service, thread_id).run()
    return 0


async def newest_runs(service: Service, thread_id: str | None) -> list[Run]:
    """Return the newest runs of a thread, or of the newest threads; newest first."""
    if thread_id is not None:
        return list((await service.alist_runs(thread_id, limit=_THREADS)).data)
    threads = (await service.alist_threads(limit=_THREADS)).data
    found: list[Run] = []
    limit = anyio.Semaphore(_PARALLEL)

    async def look(thread: str) -> None:
        async with limit:
            with suppress(NotFound):  # it was just deleted
                found.extend((await service.alist_runs(thread, limit=_RUNS)).data)

    async with anyio.create_task_group() as tasks:
        for thread in threads:
            tasks.start_soon(look, thread.id)
    return sorted(found, key=lambda run: run.created_at, reverse=True)


async def _print_changes(service: Service, thread_id: str | None) -> None:
    """Print a line for each run that is new or whose status has changed, for ever."""
    known: dict[str, str] = {}
    while True:
        for run in reversed(await newest_runs(service, thread_id)):
            if known.get(run.id) != run.status:
                known[run.id] = run.status
                click.echo("  ".join(line_of(run)))
        await asyncio.sleep(EVERY)


def line_of(run: Run) -> Sequence[str]:
    """Return what a list says of a run: when, status, tokens, its id and its thread's."""
    tokens = "" if run.usage is None else f"{run.usage.prompt_tokens} + {run.usage.completion_tokens}"
    return output.when(run.created_at), run.status, tokens, run.model, run.id, run.thread_id
