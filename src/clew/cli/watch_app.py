"""The full screen of ``clew runs watch``: a table of runs, and what the chosen one has done."""

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
from clew.cli.watch import EVERY, line_of, newest_runs
from clew.toolkit.errors import ToolkitError
from clew.toolkit.monitor.views import short
from clew.toolkit.records import Message, Run, Step
from clew.toolkit.service import Service
from clew.toolkit.tools.text import clean, mask

_COLUMNS = ("created", "status", "tokens", "model", "run", "thread")
_SHOWN = 300


class WatchApp(App[None]):
    """Looks at runs again and again. Arrow keys choose one, whose steps and messages are shown below."""

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
        self._service, self._only_thread = service, thread_id
        self._runs: dict[str, Run] = {}
        self.sub_title = thread_id or "the newest of all threads"

    def compose(self) -> ComposeResult:
        yield Header(show_clock=False)
        yield DataTable(cursor_type="row", zebra_stripes=True)
        with VerticalScroll(id="chosen"):
            yield Static("Looking ...", id="details")
        yield Footer()

    def on_mount(self) -> None:
        self._table.add_columns(*_COLUMNS)
        self.set_interval(EVERY, self.look)
        self.look()

    async def on_unmount(self) -> None:
        await self._service.aclose()

    @property
    def _table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    @property
    def _chosen(self) -> Run | None:
        runs = list(self._runs.values())
        row = self._table.cursor_row
        return runs[row] if 0 <= row < len(runs) else None

    @work(exclusive=True, group="runs")
    async def look(self) -> None:
        """Read the runs, then what the chosen one has done."""
        try:
            self._fill(await newest_runs(self._service, self._only_thread))
        except ToolkitError as error:
            self._say(Text(in_words(error), style="red"))
        else:
            self.look_closer()

    @work(exclusive=True, group="chosen")
    async def look_closer(self) -> None:
        """Read the steps and messages of the chosen run."""
        try:
            self._say(await self._details())
        except ToolkitError as error:
            self._say(Text(in_words(error), style="red"))

    def _say(self, what: RenderableType) -> None:
        self.query_one("#details", Static).update(what)

    def _fill(self, found: list[Run]) -> None:
        """Show the runs. The cursor stays on its run; nothing moves where nothing has changed."""
        shown = {run.id: line_of(run) for run in self._runs.values()}
        chosen = self._chosen
        self._runs = {run.id: run for run in found}
        if shown == {run.id: line_of(run) for run in found}:
            return
        self._table.clear()
        for run in found:
            self._table.add_row(*map(status_text, line_of(run)), key=run.id)
        if chosen is not None and chosen.id in self._runs:
            self._table.move_cursor(row=list(self._runs).index(chosen.id), animate=False)

    async def _details(self) -> RenderableType:
        run = self._chosen
        if run is None:
            return Text("No run yet.")
        steps = await self._service.alist_steps(run.thread_id, run.id, order="asc", limit=100)
        messages = await self._service.alist_messages(run.thread_id, run_id=run.id, order="asc")
        return Group(_headline(run), *map(_step, steps.data), *map(_message, messages.data))

    def on_data_table_row_highlighted(self) -> None:
        self.look_closer()

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
        self.look()


def _headline(run: Run) -> Text:
    text = Text.assemble((run.id, "bold"), "  ", status_text(run.status))
    if run.last_error is not None:
        text.append(f"  {run.last_error.code}: {short(run.last_error.message, _SHOWN)}", "red")
    if run.pending_calls:
        text.append(f"  waits for {', '.join(short(call.name) for call in run.pending_calls)}", "magenta")
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


def _message(message: Message) -> Text:
    return Text(f"\n{mask(clean(message.text))}", style="italic")
