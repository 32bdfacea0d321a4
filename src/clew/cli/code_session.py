"""A session of the sandbox for somebody at a terminal. What comes out of it is as hostile as a model's."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import IO

import click

from clew.cli import output
from clew.cli.problems import FAILED, USAGE, Problem
from clew.cli.saving import plain_name, saved
from clew.clock import SystemClock
from clew.core.code import fit
from clew.sandbox.chosen import Chosen
from clew.sandbox.sandbox import DATA, Ran, SandboxTrouble, Session
from clew.settings import Settings
from clew.toolkit.tools.text import clean


@asynccontextmanager
async def opened(settings: Settings, files: Sequence[Path]) -> AsyncIterator[Session]:
    """Give a session with files in it.

    Raises:
        Problem: no sandbox holds here, or a file can't be put in.
    """
    names = [fit(path.name) for path in files]
    if len(set(names)) < len(names):
        raise Problem("two of the files have the same name", USAGE)
    chosen = Chosen(settings.sandbox, settings.sandbox_python, settings.data_dir, SystemClock())
    try:
        driver = await chosen.driver()
        output.say(f"Sandbox: {driver.name}. Python: {chosen.known().python or 'without packages'}.")
        session = await driver.start("by-hand")
        for name, path in zip(names, files, strict=True):
            await session.put(name, path)
        yield session
    except SandboxTrouble as trouble:
        raise Problem(trouble.message, FAILED) from None
    finally:
        await chosen.close()


async def run_source(settings: Settings, source: str, files: Sequence[Path], out: Path | None) -> bool:
    """Run a program as one cell; return whether it went well.

    Raises:
        Problem: there is no sandbox.
    """
    async with opened(settings, files) as session:
        ran = await session.run(source)
        await show(ran, session, out)
    return not (ran.raised or ran.ended)


async def show(ran: Ran, session: Session, out: Path | None) -> None:
    """Print what a cell printed; save what it showed and left, if there is a folder for that."""
    if ran.logs:
        click.echo(clean(ran.logs), nl=not ran.logs.endswith("\n"))
    if not (ran.plots or ran.left):
        return
    if out is None:
        output.say(f"({len(ran.plots)} plots and {len(ran.left)} files in {DATA}: --out FOLDER saves them.)")
        return
    for plot in ran.plots:
        with _new(out, "plot.png") as (path, file):
            file.write(plot.png)
        output.say(f"Saved {path}")
    for left in () if ran.ended else ran.left:
        try:
            with _new(out, plain_name(left.name, "file")) as (path, file):
                async for piece in session.take(left.name):
                    file.write(piece)
        except SandboxTrouble as trouble:
            output.say(f"{left.name} could not be saved: {trouble.message}")
            continue
        output.say(f"Saved {path}")
    if ran.unseen:
        output.say(f"{ran.unseen} more files were left, and not saved.")


@contextmanager
def _new(folder: Path, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """Give a new file under a name that nothing in a folder has yet; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = Path(name)
    for number in count(1):
        path = folder / (name if number == 1 else f"{wanted.stem}_{number}{wanted.suffix}")
        if not path.exists() and not path.is_symlink():
            break
    with saved(path, force=False) as file:
        yield path, file
