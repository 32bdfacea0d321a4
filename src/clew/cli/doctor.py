"""``clew doctor``."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clew.cli.checks import CHECKS, Finding
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
@setting("database_url", "--database")
@setting("bus_url", "--bus")
@setting("model_url", "--model-url")
@setting("data_dir", "--data-dir")
def doctor(as_json: bool, data_dir: Path | None, **flags: Any) -> None:
    """Look at store, bus, model, clock, disk and versions, and say what to do."""
    settings = load_settings(data_dir=data_dir, **flags)
    findings = asyncio.run(_examine(settings))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        Console().print(_table(findings))
    if any(finding.level == "fail" for finding in findings):
        sys.exit(FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    clock = SystemClock()
    return [finding for check in CHECKS for finding in await check(settings, clock)]


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
