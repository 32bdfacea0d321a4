"""Fetching with a progress bar."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from clew.cli.problems import NOT_FOUND, Problem

_T = TypeVar("_T")


def pull_with_bar(name: str, data_dir: Path, console: Console) -> Path:
    """Fetch the weights called ``name``, unless they are here; return where they are.

    Raises:
        Problem: the name is unknown, or no source could serve the weights.
    """
    from clew.model.embedded import WeightsError, find, pull

    try:
        find(name)
    except WeightsError as error:
        raise Problem(str(error), NOT_FOUND) from None
    return fetched(name, lambda tell: pull(name, data_dir, tell).path, console)


def fetched(name: str, fetch: Callable[[Callable[[int, int, str], None]], _T], console: Console) -> _T:
    """Return what ``fetch`` fetches; it is given what shows how far it is: bytes done, bytes in all, what.

    Raises:
        Problem: it can't be had.
    """
    from clew.weights.errors import WeightsError

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def tell(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        try:
            return fetch(tell)
        except WeightsError as error:
            raise Problem.of(error) from None
