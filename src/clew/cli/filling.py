"""Files put into a vector store from a terminal, and waited for until they are read."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clew.cli import output
from clew.cli.problems import TIMED_OUT, USAGE, Problem
from clew.cli.remote import Remote
from clew.cli.uploading import Uploads, found
from clew.core.stores import MOST_IN_BATCH
from clew.ids import FILE
from clew.toolkit.records import Json
from clew.toolkit.service import Service

_LOOK_SECONDS = 0.3
"""Seconds between two looks at how far the reading is."""

_PAGE = 100
"""Failed files that are told of at most, which is one page; a list shows all."""


def counts_text(counts: Json) -> str:
    """Return how many files are read, of how many, and what has become of the others."""
    told = [f"{counts[name]:,} {name}" for name in ("in_progress", "failed", "cancelled") if counts[name]]
    return ", ".join([f"{counts['completed']:,} of {counts['total']:,}", *told])


def uploaded(remote: Remote, wanted: Sequence[str]) -> Iterator[str]:
    """Yield ids of files: those that were given, and those of paths, which are uploaded.

    What is on the disk is a path, whatever its name.

    Raises:
        Problem: one is neither, or can't be read.
        ToolkitError: the server refused one.
    """
    if "" in wanted:  # a shell's variable that is not set; as a path it would be all of this folder
        raise Problem("a file's id or path is empty", USAGE)
    paths = [Path(each) for each in wanted if Path(each).exists()]
    ids = [each for each in wanted if not Path(each).exists()]
    for each in ids:
        if not each.startswith(FILE):
            raise Problem(f"{each!r} is neither a file or folder here nor the id of a file", USAGE)
    files = found(paths) if paths else []  # looked at before anything is sent
    yield from ids
    with Uploads(remote.where) as uploads:
        for made in uploads.send(files, "assistants"):
            yield str(made["id"])


def put(service: Service, store_id: str, file_ids: Sequence[str]) -> list[Json]:
    """Put files into a store and return the batches that they are in, each of which is taken whole or not.

    Raises:
        ToolkitError: there is no such store or file, or it is full.
    """
    return [
        service.request(
            "POST",
            "vector_stores",
            store_id,
            "file_batches",
            body={"file_ids": list(file_ids[at : at + MOST_IN_BATCH])},
        )
        for at in range(0, len(file_ids), MOST_IN_BATCH)
    ]


def wait_for(service: Service, paths: Sequence[Sequence[str]], timeout: float) -> None:
    """Wait until files of stores or batches are read, with a bar on a terminal; then say how many are.

    Args:
        paths: where the stores or batches are in the API.
        timeout: seconds that all of it may take.

    Raises:
        Problem: some could not be read, of which stderr says why; or the time is over.
    """
    counts = _settled(service, paths, timeout)
    click.echo(counts_text(counts))
    for path in paths if counts["failed"] else ():
        for line in failures(service, path):
            output.say(line)
    if counts["in_progress"]:
        raise Problem(f"{counts['in_progress']:,} are still to be read after {timeout:g} s", TIMED_OUT)
    if counts["failed"]:
        raise Problem(f"{counts['failed']:,} could not be read")


def _settled(service: Service, paths: Sequence[Sequence[str]], timeout: float) -> Json:
    """Return counts in which nothing is in progress, or the last ones within the time."""
    until = time.monotonic() + timeout
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        while True:
            each = [service.request("GET", *path)["file_counts"] for path in paths]
            counts = {name: sum(one[name] for one in each) for name in each[0]}
            bar.update(task, completed=counts["total"] - counts["in_progress"], total=counts["total"])
            left = until - time.monotonic()
            if not counts["in_progress"] or left <= 0:
                return counts
            time.sleep(min(_LOOK_SECONDS, left))


def failures(service: Service, path: Sequence[str]) -> Iterator[str]:
    """Yield a line for each file of a store or a batch that could not be read: its id, its name, and why."""
    query: dict[str, str | int] = {"filter": "failed", "limit": _PAGE, "order": "asc"}
    page = service.request("GET", *path, "files", query=query)
    for file in page["data"]:
        name = service.request("GET", "files", file["id"])["filename"]
        yield f"{file['id']} {name}: {trouble(file)}"
    if page["has_more"]:
        yield f"(and others: `clew stores files {path[1]} --filter failed --all` lists them)"


def trouble(file: Json) -> str:
    """Return why a file of a store could not be read; nothing if it was."""
    error = file["last_error"]
    return "" if error is None else f"{error['code']}: {error['message']}"
