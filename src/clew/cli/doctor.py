"""``clew doctor``."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clew.cli import server_file
from clew.cli.checks import HERE, WITHOUT_SERVER, Finding
from clew.cli.connection import Target, chosen, target
from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED
from clew.clock import SystemClock
from clew.settings import Settings

_MARKS = {"ok": "[green]ok[/]", "note": "[blue]note[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


@click.command(
    epilog="""\b
Exit code 1 if anything failed, else 0.
Example, as a daily check:
  clew doctor --json | jq '.[] | select(.level == "fail")'
"""
)
@click.option("as_json", "--json", is_flag=True, help="for programs: a list of findings")
@click.option(
    "--url", envvar="CLEW_URL", metavar="URL", help="ask this server, by default the one here  [CLEW_URL]"
)
@setting("database_url", "--database")
@setting("bus_url", "--bus")
@setting("model_url", "--model-url")
@setting("data_dir", "--data-dir")
def doctor(as_json: bool, url: str | None, data_dir: Path | None, **flags: Any) -> None:
    """Look at store, bus, model, clock and disk, and say what to do.

    A server that runs is asked, with an operator's key; without one, this shell's settings are tried out.
    """
    settings = load_settings(data_dir=data_dir, **flags)
    profile = click.get_current_context().find_root().params.get("profile")
    findings = asyncio.run(_examine(settings, _named(settings, url, profile)))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        Console().print(_table(findings))
    if any(finding.level == "fail" for finding in findings):
        sys.exit(FAILED)


def _named(settings: Settings, url: str | None, profile: str | None) -> Target | None:
    """Return the server that a flag or the environment name, None for the one that runs here."""
    if url is None and not profile:
        return None
    flagged = click.get_current_context().get_parameter_source("url") is ParameterSource.COMMANDLINE
    return chosen(settings, url, profile or None, given=flagged)


async def _examine(settings: Settings, where: Target | None) -> list[Finding]:
    clock = SystemClock()
    asked, told = await _ask_server(settings, where)
    checks = HERE if told or where is not None else (*HERE, *WITHOUT_SERVER)
    found = [finding for check in checks for finding in await check(settings, clock)]
    return [*found, *asked]


async def _ask_server(settings: Settings, where: Target | None) -> tuple[list[Finding], bool]:
    """Return what the server says of itself, and whether that is all there is to know."""
    if where is None and server_file.read(settings.data_dir) is None:
        return [Finding("server", "note", "none runs on this data directory")], False
    from clew.cli.server_checks import ask

    return await ask(target(settings, None) if where is None else where)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.level], finding.subject, escape(finding.text))
        if finding.advice is not None:
            table.add_row("", "", f"[dim]-> {escape(finding.advice)}[/]")
    return table
