"""Vector stores that are given the vectors of another model, from a terminal, and waited for."""

import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clew.cli import output
from clew.cli.problems import TIMED_OUT, Problem
from clew.toolkit.records import Json
from clew.toolkit.service import Service

_LOOK_SECONDS = 0.3
"""Seconds between two looks at how far it is."""

_PAGE = 100
_WORDS_ALONE = "words alone"


def model_text(store: Json) -> str:
    """Return who made a store's vectors, and whether it needs others or gets them."""
    model = store["embedding_model"] or _WORDS_ALONE
    state = store["reindexing"]
    if state is not None and state["error"] is None:
        return f"{model} (reindexing)"
    return f"{model} (needs reindex)" if store["needs_reindex"] else model


def state_text(state: Json | None) -> str | None:
    """Return how far a store is that gets other vectors."""
    if state is None:
        return None
    model = state["embedding_model"] or _WORDS_ALONE
    text = f"{state['files_done']:,} of {state['files']:,} files, to {model}"
    return text if state["error"] is None else f"{text}; given up: {state['error']}"


def needing(service: Service) -> list[str]:
    """Return the project's stores that need other vectors and have not expired, newest first."""
    query: dict[str, str | int] = {"limit": _PAGE}
    found: list[str] = []
    while True:
        page = service.request("GET", "vector_stores", query=query)
        found += [each["id"] for each in page["data"] if _needs(each)]
        if not page["has_more"]:
            return found
        query["after"] = page["last_id"]


def _needs(store: Json) -> bool:
    return store["status"] != "expired" and (store["needs_reindex"] or store["reindexing"] is not None)


def begin(service: Service, store_ids: Sequence[str]) -> list[str]:
    """Begin with stores, say so, and return those that need it.

    Raises:
        ToolkitError: one is not there, or has expired; those before it have begun.
    """
    begun = []
    for store_id in store_ids:
        store = service.request("POST", "vector_stores", store_id, "reindex")
        if store["reindexing"] is None:
            click.echo(f"{store_id} has the vectors of {store['embedding_model'] or 'nobody'} already")
        else:
            click.echo(f"reindexing {store_id}")
            begun.append(store_id)
    if not store_ids:
        output.say("No vector store needs it.")
    return begun


def wait_until_reindexed(service: Service, store_ids: Sequence[str], timeout: float) -> None:
    """Wait until stores have their new vectors, with a bar on a terminal; then say how many have.

    Raises:
        Problem: some were given up, of which stderr says why; or the time is over.
    """
    if not store_ids:
        return
    given_up, left = _watched(service, store_ids, timeout)
    click.echo(f"{len(store_ids) - len(given_up) - len(left):,} of {len(store_ids):,} reindexed")
    for store_id, error in given_up.items():
        output.say(f"{store_id}: {error}")
    if left:
        raise Problem(f"{len(left):,} still go on after {timeout:g} s", TIMED_OUT)
    if given_up:
        raise Problem(f"{len(given_up):,} were given up; their old vectors still serve")


def _watched(service: Service, store_ids: Sequence[str], timeout: float) -> tuple[dict[str, str], list[str]]:
    """Return why stores were given up, and those that still go on when the time is over."""
    until = time.monotonic() + timeout
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    given_up: dict[str, str] = {}
    left = list(store_ids)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {each: bar.add_task(each, total=None) for each in left}
        while True:
            for store_id in tuple(left):
                state = service.request("GET", "vector_stores", store_id)["reindexing"]
                if state is not None:
                    bar.update(tasks[store_id], completed=state["files_done"], total=state["files"])
                if state is not None and state["error"] is None:
                    continue
                left.remove(store_id)
                bar.remove_task(tasks[store_id])
                if state is not None:
                    given_up[store_id] = state["error"]
            seconds = until - time.monotonic()
            if not left or seconds <= 0:
                return given_up, left
            time.sleep(min(_LOOK_SECONDS, seconds))
