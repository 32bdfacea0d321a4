"""The full screen of ``clew runs watch``: a table of runs, and what the chosen one does, as it does it."""

from contextlib import aclosing, suppress
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Header, Static

from clew.cli.output import status_text
from clew.cli.remote import in_words
from clew.cli.watched import Board, line_of, news
from clew.toolkit.errors import RunError, ToolkitError
from clew.toolkit.monitor.events import (
    Event,
    MessageWritten,
    StatusChanged,
    StepChanged,
    TextDelta,
    TextRestarted,
)
from clew.toolkit.monitor.monitor import RunMonitor
from clew.toolkit.monitor.views import short
from clew.toolkit.records import Run, Step
from clew.toolkit.service import Service
from clew.toolkit.tools.text import clean, mask

LOOK_EVERY = 1.0
"""Seconds between two looks at the list, if anything has changed meanwhile."""

_PAINT_EVERY = 0.1
_COLUMNS = {"status": 15, "created": 14, "run": 28, "tokens": 11, "model": 16, "thread": 31}
"""By name their widths. In a terminal of 80 columns the first four are seen, by the arrow keys the rest."""

_SHOWN = 300


class Doing:
    """What one run has done so far, as its own events tell it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._steps: dict[str, Step] = {}
        self._texts: dict[str, str] = {}

    def hear(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case StatusChanged(run=run):
                self.run = run
            case StepChanged(step=step):
                self._steps[step.id] = step
            case TextRestarted(message_id=message_id):
                self._texts[message_id] = ""
            case TextDelta(message_id=message_id, text=text):
                self._texts[message_id] = self._texts.get(message_id, "") + text
            case MessageWritten(message=message):
                self._texts[message.id] = message.text

    def shown(self) -> RenderableType:
        """Return all of it, fit for a terminal."""
        texts = (Text(f"\n{mask(clean(text))}", style="italic") for text in self._texts.values() if text)
        return Group(_headline(self.run), *map(_step, self._steps.values()), *texts)


class WatchApp(App[None]):
    """Shows runs as they change. Arrow keys choose one; until then the newest active one is chosen."""

    TITLE = "Clew: runs"
    CSS = """
    DataTable { height: 1fr; }
    #chosen { height: 1fr; border-top: solid $primary; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Leave"),
        ("c", "cancel_run", "Cancel the run"),
        ("r", "refresh", "Look now"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, service: Service, thread_id: str | None) -> None:
        super().__init__()
        self._service, self._board = service, Board(thread_id)
        self._doing: Doing | None = None
        self._drawn: list[tuple[str, ...]] = []
        self._pointed_at: str | None = None
        self._picked = self._painted = self._looking = False
        self.sub_title = thread_id or "all threads"

    def compose(self) -> ComposeResult:
        yield Header(show_clock=False)
        yield DataTable(cursor_type="row", zebra_stripes=True)
        with VerticalScroll(id="chosen"):
            yield Static("Looking ...", id="details")
        yield Footer()

    def on_mount(self) -> None:
        for name, width in _COLUMNS.items():
            self._table.add_column(name, width=width)
        self._table.focus()
        self.set_interval(LOOK_EVERY, self._look_if_stale)
        self.set_interval(_PAINT_EVERY, self._paint)
        self.listen()

    async def on_unmount(self) -> None:
        await self._service.aclose()

    @property
    def _table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    @property
    def _chosen(self) -> Run | None:
        runs = list(self._board.runs.values())
        row = self._table.cursor_row
        return runs[row] if 0 <= row < len(runs) else None

    # --- what there is ---

    @work(exclusive=True, group="feed")
    async def listen(self) -> None:
        """Hear what changes, and read the list where that is not enough."""
        try:
            async with aclosing(news(self._service)) as told:
                async for each in told:
                    if isinstance(each, ToolkitError):
                        self._say(Text(f"{in_words(each)} Connecting again ...", style="red"))
                    elif each is None:
                        self.look()
                    elif self._board.hear(each):
                        self._fill()
        except ToolkitError as error:
            self._say(Text(in_words(error), style="red"))

    def _look_if_stale(self) -> None:
        if self._board.stale:
            self.look()

    def look(self) -> None:
        """Read the list; if that is going on already, once more a moment later."""
        self._board.stale = True
        if not self._looking:
            self._looking = True
            self._look()

    @work(group="runs")
    async def _look(self) -> None:
        try:
            await self._board.look(self._service)
        except ToolkitError as error:
            self._say(Text(in_words(error), style="red"))
        else:
            self._fill()
        finally:
            self._looking = False

    def _fill(self) -> None:
        """Show the runs. The cursor stays on its run; nothing moves where nothing has changed."""
        chosen = self._doing.run.id if self._doing is not None else None
        drawn = [tuple(line_of(run)) for run in self._board.runs.values()]
        if drawn != self._drawn:
            self._drawn = drawn
            self._table.clear()
            for line in drawn:
                self._table.add_row(*map(status_text, line))
        wanted = chosen if self._picked else self._board.most_active(chosen)
        if wanted in self._board.runs:
            self._table.move_cursor(row=list(self._board.runs).index(wanted), animate=False)
        run = self._chosen
        self._pointed_at = None if run is None else run.id
        self._follow_chosen()

    # --- what the chosen one does ---

    def on_data_table_row_highlighted(self) -> None:
        run = self._chosen
        if run is not None and run.id != self._pointed_at:  # the person has moved the cursor
            self._picked, self._pointed_at = True, run.id
        self._follow_chosen()

    def _follow_chosen(self) -> None:
        """Follow another run if another is chosen, or the same again if it goes on after a wait."""
        run = self._chosen
        if run is None:
            self._doing = None
            if not self._board.stale:
                self._say(Text("No run yet."))
        elif (
            self._doing is None
            or self._doing.run.id != run.id
            or self._doing.run.status == "requires_action" != run.status
        ):
            self.follow(run)

    @work(exclusive=True, group="chosen")
    async def follow(self, run: Run) -> None:
        """Show what a run has done and does, until it is over or waits."""
        doing = self._doing = Doing(run)

        def hear(event: Event) -> None:
            doing.hear(event)
            self._painted = False

        self._painted = False
        try:
            with suppress(RunError):  # it waits for a client
                await RunMonitor(self._service, timeout=None).awatch(
                    run.thread_id, run.id, check=False, listener=hear
                )
        except ToolkitError as error:
            self._say(Text(in_words(error), style="red"))

    def _paint(self) -> None:
        """Show what the chosen run has done since the last look: some words at once, not each by itself."""
        if self._doing is None or self._painted:
            return
        self._painted = True
        self._say(self._doing.shown())
        self.query_one("#chosen", VerticalScroll).scroll_end(animate=False)

    def _say(self, what: RenderableType) -> None:
        self.query_one("#details", Static).update(what)

    # --- keys ---

    def action_refresh(self) -> None:
        """Look at once."""
        self.look()

    async def action_cancel_run(self) -> None:
        """Cancel the chosen run."""
        run = self._chosen
        if run is None:
            return
        try:
            await self._service.acancel_run(run.thread_id, run.id)
        except ToolkitError as error:
            self.notify(in_words(error), severity="error")


def _headline(run: Run) -> Text:
    text = Text.assemble((run.id, "bold"), "  ", status_text(run.status))
    if run.last_error is not None:
        text.append(f"  {run.last_error.code}: {short(run.last_error.message, _SHOWN)}", "red")
    for what, calls in (("", run.pending_calls), ("approval of ", run.pending_approvals)):
        if calls:
            text.append(f"  waits for {what}{', '.join(short(call.name) for call in calls)}", "magenta")
    return text


def _step(step: Step) -> Text:
    text = Text.assemble(f"  {step.type}  ", status_text(step.status))
    if step.usage is not None:
        text.append(f"  {step.usage.total_tokens} tokens", "dim")
    for call in step.calls:
        function = call.function
        arguments = "" if function is None else short(function.arguments)
        output = "" if function is None or function.output is None else f" -> {short(function.output)}"
        text.append(f"\n    {short(call.name)}({arguments}){output}")
    return text
