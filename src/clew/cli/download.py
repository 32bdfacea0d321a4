"""Fetching an embedded model with a progress bar."""

from pathlib import Path

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
            return pull(name, data_dir, tell).path
        except WeightsError as error:
            raise Problem.of(error) from None
