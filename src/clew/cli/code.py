"""``clew code``: the sandbox of this machine, set up and tried by hand."""

import asyncio
import sys
from pathlib import Path

import click

from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, Problem
from clew.settings import Settings


@click.group()
def code() -> None:
    """Set up and try the sandbox in which code_interpreter runs code, on this machine."""


@code.command(
    epilog="""\b
Servers and workers on this data directory use it from the next session of code on.
"""
)
@click.option("--again", is_flag=True, help="make it anew, with this version's packages")
@click.option("--wasm", is_flag=True, help="instead fetch Pyodide, which the sandbox wasm runs in Deno")
@setting("data_dir", "--data-dir")
def setup(again: bool, wasm: bool, data_dir: Path | None) -> None:
    """Install a Python for code with numpy, pandas, matplotlib, openpyxl and pillow.

    It lies in the data directory. Its packages are fetched from PyPI, each held to its hash.
    """
    from clew.sandbox.setup import CannotSetUp, outdated, program, set_up

    settings = load_settings(data_dir=data_dir)
    if wasm:
        _set_up_wasm(settings)
        return
    there = program(settings.data_dir)
    if there is not None and not again:
        old = "; this version of Clew has other packages, --again installs them"
        click.echo(f"It is there already: {there}{old if outdated(settings.data_dir) else ''}", err=True)
        return
    try:
        made = set_up(settings.data_dir, lambda step: click.echo(step, err=True))
    except CannotSetUp as error:
        raise Problem(str(error), FAILED) from None
    click.echo(f"Done: {made}", err=True)
    if settings.sandbox_python is not None:
        click.echo(f"It is not used: CLEW_SANDBOX_PYTHON is {settings.sandbox_python}", err=True)


def _set_up_wasm(settings: Settings) -> None:
    from rich.console import Console

    from clew.cli.download import fetched
    from clew.sandbox.wasm.pyodide import ARCHIVE, fetch_pyodide

    click.echo(
        f"{ARCHIVE.title} ({ARCHIVE.licence}), {ARCHIVE.size / 1e6:.1f} MB unless it is there", err=True
    )
    console = Console(stderr=True)
    made = fetched(ARCHIVE.title, lambda tell: fetch_pyodide(settings.data_dir, tell), console)
    click.echo(f"Done: {made}", err=True)


_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@code.command(
    epilog="""\b
Exit code 1 if the code raised or had to be ended, else 0.
Example:
  clew code run sums.py --file points.csv --out results
"""
)
@click.argument("program", metavar="FILE", type=_FILE)
@click.option("--file", "-f", "files", metavar="F", multiple=True, type=_FILE, help="put F into /mnt/data")
@click.option(
    "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="save plots and files"
)
@setting("data_dir", "--data-dir")
def run(program: Path, files: tuple[Path, ...], out: Path | None, data_dir: Path | None) -> None:
    """Run FILE in the sandbox, as a model's code would be.

    What it prints is printed, with its errors. Its plots, and what it leaves in /mnt/data, go into FOLDER,
    where nothing is replaced.
    """
    from clew.cli.code_session import run_source

    settings = _settings(data_dir)
    try:
        source = program.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{program} is not UTF-8: byte {error.start + 1}", FAILED) from None
    if not asyncio.run(run_source(settings, source, files, out)):
        sys.exit(FAILED)


@code.command()
@click.option("--file", "-f", "files", metavar="F", multiple=True, type=_FILE, help="put F into /mnt/data")
@click.option(
    "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="save plots and files"
)
@setting("data_dir", "--data-dir")
def shell(files: tuple[Path, ...], out: Path | None, data_dir: Path | None) -> None:
    """Type cells into a session of the sandbox, which keeps its variables.

    A line is a cell; one that opens a block goes on until an empty line. Ctrl-C interrupts, Ctrl-D ends.
    """
    from clew.cli.code_shell import Shell

    settings = _settings(data_dir)
    Shell(settings, files, out).talk()


def _settings(data_dir: Path | None) -> Settings:
    settings = load_settings(data_dir=data_dir)
    if settings.sandbox == "off":
        raise Problem("CLEW_SANDBOX is off: code is run nowhere", FAILED)
    if settings.sandbox == "remote":
        raise Problem("CLEW_SANDBOX is remote: try the sandbox where a code worker runs, with auto", FAILED)
    return settings
