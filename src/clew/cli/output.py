"""What commands print: tables for people, JSON for programs, never anything that steers a terminal."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from clew.toolkit.tools.text import clean

_WIDE = 100_000
_GAP = 2
_LEAST = 12
"""Columns of characters that the last column of a table is cut to at most."""

_ESSENTIAL = frozenset(("id", "role", "status"))
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls of the second set, and what turns the direction of text or ends a line."""


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
    """Print JSON. What steers a terminal is escaped in it."""
    click.echo(without_controls(json.dumps(value, ensure_ascii=False, indent=2)))


def without_controls(text: str) -> str:
    """Return JSON that means the same, with what steers a terminal or hides text escaped."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of texts. On a terminal the last column is cut to fit; elsewhere nothing is.

    Where even that is not enough, columns are left out, from the right, but never ids, roles and statuses;
    a line says which.
    """
    cells = [[" ".join(clean(cell).split()) for cell in row] for row in rows]
    kept, room = _fitting(columns, cells) if sys.stdout.isatty() else (list(range(len(columns))), None)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place in kept:
        last = place == len(columns) - 1
        table.add_column(
            columns[place],
            no_wrap=True,
            overflow="ellipsis" if last else "ignore",
            max_width=room if last else None,
        )
    for row in cells:
        table.add_row(*(status_text(row[place]) for place in kept))
    show(table)
    if left_out := [name for place, name in enumerate(columns) if place not in kept]:
        say(f"(no room for: {', '.join(left_out)})")


def _fitting(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[list[int], int]:
    """Return the places of the columns that a terminal has room for, and the room for the last one."""
    widths = [max(map(cell_len, [name, *(row[at] for row in cells)])) for at, name in enumerate(columns)]
    kept, last = list(range(len(columns))), len(columns) - 1
    widths[last] = min(widths[last], _LEAST)
    droppable = [at for at in reversed(kept[1:last]) if columns[at] not in _ESSENTIAL]
    room = console().width
    while sum(widths[at] + _GAP for at in kept) - _GAP > room and droppable:
        kept.remove(droppable.pop(0))
    return kept, max(_LEAST, room - sum(widths[at] + _GAP for at in kept[:-1]))


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
