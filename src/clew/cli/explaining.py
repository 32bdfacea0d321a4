"""How ``clew runs explain`` looks."""

import re

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from clew.cli.output import show, status_text
from clew.toolkit.records import Json
from clew.toolkit.tools.text import clean

_WIDTH = 100
"""Columns from which sentences are broken, also where there is more room."""

_BAR = 24
_WORD = re.compile(r"[^\s`]*`[^`]*`[^\s`]*|\S+")


def show_explanation(told: Json) -> None:
    """Print an explanation of a run: what is to be known, what to do, where the time went."""
    parts: list[RenderableType] = [_head(told)]
    for finding in told["findings"]:
        parts += [Text(""), _wrapped(finding["says"])]
        if finding["advice"]:
            parts.append(_wrapped(finding["advice"], "-> "))
    if times := told["times"]:
        parts += [Text(""), Text(f"Its time: {_seconds(told['total_ms'])}", style="bold")]
        parts += [_line(each, told["total_ms"]) for each in times]
    show(Group(*parts))


def _head(told: Json) -> Text:
    head = Text(f"{told['run_id']}  ", style="bold")
    head.append_text(status_text(told["status"]))
    return head.append(f"  on {told['thread_id']}", style="not bold")


def _wrapped(sentence: str, mark: str = "") -> RenderableType:
    """Return a sentence in lines of a bearable length; what it quotes may be anybody's words."""
    text = Text(" ".join(clean(sentence).split()))
    lines = _lines(text.plain, _WIDTH - len(mark) - 2)
    shown = "\n".join(lines)
    if not mark:
        return Text(shown)
    return Padding(Text(mark + shown.replace("\n", "\n" + " " * len(mark)), style="cyan"), (0, 0, 0, 2))


def _lines(text: str, width: int) -> list[str]:
    """Break a text into lines. A command in backticks stays whole, to be copied."""
    lines = [""]
    for word in _WORD.findall(text):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _line(spell: Json, total: int) -> Text:
    part = spell["ms"] / total if total else 0
    bar = "#" * max(1, round(part * _BAR))
    return Text(f"  {_seconds(spell['ms']):>9}  {bar:{_BAR}}  {clean(spell['says'])}")


def _seconds(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 600_000 else f"{ms / 60_000:.1f} min"
