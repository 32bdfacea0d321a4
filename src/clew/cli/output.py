"""What commands print: tables for people, JSON for programs, never anything that steers a terminal."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from clew.toolkit.tools.text import clean

_WIDE = 100_000
_C1 = re.compile("[\x7f-\x9f]")

_STYLES = {
    "queued": "yellow",
    "in_progress": "cyan",
    "requires_action": "magenta",
    "cancelling": "yellow",
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "incomplete": "red",
}


def say(text: str) -> None:
    """Tell the person at the terminal something that is not the command's result."""
    click.echo(clean(text), err=True)


def print_json(value: Any) -> None:
    """Print JSON. Control characters of both sets are escaped in it."""
    click.echo(without_controls(json.dumps(value, ensure_ascii=False, indent=2)))


def without_controls(text: str) -> str:
    """Return JSON with the control characters escaped that JSON itself lets through."""
    return _C1.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of texts. On a terminal the last column is cut to fit; elsewhere nothing is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns, start=1):
        last = number == len(columns)
        table.add_column(column, no_wrap=True, overflow="ellipsis" if last else "ignore")
    for row in rows:
        table.add_row(*(status_text(cell) for cell in row))
    show(table)


def status_text(cell: str) -> Text:
    """Return a cell on one line, in its colour if it is a run's status."""
    return Text(" ".join(clean(cell).split()), style=_STYLES.get(cell, ""))


def print_fields(fields: dict[str, Any]) -> None:
    """Print what an object has, a line for each field that says something."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            table.add_row(name, Text(clean(_in_words(name, value))))
    show(table)


def console() -> Console:
    """Return rich's console for standard output: as wide as the terminal, or without bounds."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def show(what: RenderableType) -> None:
    """Print something that rich draws: in colours and to fit on a terminal, plain and whole elsewhere."""
    on_terminal = sys.stdout.isatty()
    printer = console()
    with printer.capture() as captured:
        printer.print(what)
    text = captured.get()
    click.echo(text if on_terminal else "\n".join(line.rstrip() for line in text.split("\n")), nl=False)


def _in_words(name: str, value: Any) -> str:
    if name.endswith("_at") and isinstance(value, int):
        return when(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def when(seconds: int | None) -> str:
    """Return a time of the API in this machine's time zone."""
    if not seconds:
        return ""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
