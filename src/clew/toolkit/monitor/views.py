"""A run on a screen: a table that moves, or lines for a log. What is shown is never markup."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clew.toolkit._time import REAL_TIME, Time
from clew.toolkit.monitor.events import (
    ConnectionDropped,
    Event,
    MessageWritten,
    RunEnded,
    StatusChanged,
    StepChanged,
    TextDelta,
    TextRestarted,
    ToolFinished,
    ToolsRequested,
)
from clew.toolkit.records import Run, Step
from clew.toolkit.tools.results import ToolResult
from clew.toolkit.tools.text import clean, mask

_STYLES = {
    "queued": "yellow",
    "in_progress": "cyan",
    "requires_action": "magenta",
    "cancelling": "yellow",
    "completed": "green",
}
_SHOWN = 60
_LAST_TEXT = 500


class View(Protocol):
    """Shows one run. Entered before it starts, left when it has ended."""

    def __call__(self, event: Event, /) -> None:
        """Show an event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ViewMaker(Protocol):
    """Makes a view for each run."""

    def __call__(self) -> View:
        """Return a new view."""
        ...


def view_named(name: str) -> ViewMaker:
    """Return what makes the view called ``live``, ``plain`` or ``auto`` (live in a terminal).

    Raises:
        ValueError: there is none of that name.
    """
    if name == "auto":
        name = "live" if sys.stderr.isatty() else "plain"
    if name == "live":
        return LiveView
    if name == "plain":
        return PlainView
    raise ValueError(f"there is no view {name!r}: use auto, live or plain")


class PlainView:
    """One line for each thing that happens, for logs and for terminals that can do no more."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr

    def __call__(self, event: Event, /) -> None:
        line = describe(event)
        if line:
            print(f"{event.seconds:8.3f} s  {line}", file=self._file, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def describe(event: Event) -> str:
    """Return an event as one line of text, empty for pieces of text."""
    if isinstance(event, StatusChanged):
        return f"{event.run.id} {event.run.status}{_why(event.run)}"
    if isinstance(event, StepChanged):
        return f"step {event.step.type} {event.step.status}"
    if isinstance(event, MessageWritten):
        return f"message {event.message.id}: {short(event.message.text)}"
    if isinstance(event, ToolsRequested):
        return f"wants {', '.join(short(call.name) for call in event.calls)}"
    if isinstance(event, ToolFinished):
        return _described(event.result)
    if isinstance(event, ConnectionDropped):
        return f"connection lost: {short(str(event.error))}"
    if isinstance(event, TextRestarted):
        return f"message {event.message_id} begins again"
    if isinstance(event, RunEnded):
        usage = event.result.usage
        return f"done: {event.result.run.status}, {usage.prompt_tokens} + {usage.completion_tokens} tokens"
    return ""


def _described(result: ToolResult) -> str:
    return f"{short(result.name)} {result.outcome} in {result.seconds:.3f} s: {short(result.output)}"


def _why(run: Run) -> str:
    if run.last_error is not None:
        return f" ({run.last_error.code}: {short(run.last_error.message)})"
    if run.incomplete_details is not None:
        return f" ({short(run.incomplete_details.reason)})"
    return ""


def short(text: str, limit: int = _SHOWN) -> str:
    """Return the beginning of a text on one line, fit for a terminal."""
    line = " ".join(mask(clean(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class LiveView:
    """A table that follows the run: status, elapsed time, tokens, steps, tool calls, the text so far."""

    def __init__(self, console: Console | None = None, *, time: Time = REAL_TIME) -> None:
        self._console = console or Console(stderr=True)
        self._time = time
        self._begun = time.now()
        self._run: Run | None = None
        self._steps: dict[str, tuple[Step, float, float | None]] = {}
        self._calls: list[ToolResult] = []
        self._text = ""
        self._note = ""
        self._ended: float | None = None
        self._live = Live(console=self._console, get_renderable=self.render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, StatusChanged):
            self._run = event.run
        elif isinstance(event, StepChanged):
            begun = self._steps.get(event.step.id, (event.step, event.seconds, None))[1]
            self._steps[event.step.id] = event.step, begun, None if event.step.is_open else event.seconds
        elif isinstance(event, TextDelta):
            self._text = (self._text + event.text)[-_LAST_TEXT:]
        elif isinstance(event, TextRestarted):
            self._text = ""
        elif isinstance(event, MessageWritten):
            self._text = event.message.text[-_LAST_TEXT:]
        elif isinstance(event, ToolFinished):
            self._calls.append(event.result)
        elif isinstance(event, ConnectionDropped):
            self._note = describe(event)
        elif isinstance(event, RunEnded):
            self._run, self._ended = event.result.run, event.seconds

    def render(self) -> RenderableType:
        """Return the view as it is now."""
        parts: list[RenderableType] = [self._headline()]
        if self._steps:
            parts.append(self._step_table())
        if self._calls:
            parts.append(self._call_table())
        if self._text:
            parts.append(Text(mask(clean(self._text)), style="italic"))
        if self._note:
            parts.append(Text(self._note, style="yellow"))
        return Group(*parts)

    def _headline(self) -> Text:
        elapsed = self._time.now() - self._begun if self._ended is None else self._ended
        if self._run is None:
            return Text(f"starting ... {elapsed:.1f} s")
        status = self._run.status
        line = Text.assemble((f"{status}{_why(self._run)}", f"bold {_STYLES.get(status, 'red')}"))
        usage = self._run.usage
        tokens = f"  {usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage is not None else ""
        return line.append(f"  {elapsed:.1f} s{tokens}  {self._run.id}")

    def _step_table(self) -> Table:
        table = Table("step", "status", "took", "tokens", box=None, pad_edge=False)
        for step, begun, ended in self._steps.values():
            took = "" if ended is None else f"{ended - begun:.2f} s"
            tokens = "" if step.usage is None else str(step.usage.total_tokens)
            table.add_row(Text(step.type), Text(step.status), took, tokens)
        return table

    def _call_table(self) -> Table:
        table = Table("tool", "arguments", "outcome", "took", "output", box=None, pad_edge=False)
        for call in self._calls:
            table.add_row(
                Text(short(call.name)),
                Text(short(call.arguments, 30)),
                Text(call.outcome, style="green" if call.ok else "red"),
                f"{call.seconds:.2f} s",
                Text(short(call.output, 40)),
            )
        return table
