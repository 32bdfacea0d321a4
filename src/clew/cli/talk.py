"""What ``clew ask`` and ``clew chat`` share: who answers, on which thread, and text as it is written."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from clew.cli import output, used_threads
from clew.cli.options import SECONDS
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.cli.remote import Remote
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.errors import NotFound, RunError
from clew.toolkit.monitor.events import (
    ConnectionDropped,
    Event,
    RunResult,
    TextDelta,
    TextRestarted,
    ToolFinished,
)
from clew.toolkit.monitor.views import describe, short
from clew.toolkit.tools.examples import calculate, clock_tool
from clew.toolkit.tools.executor import Approve, ToolExecutor
from clew.toolkit.tools.text import clean
from clew.toolkit.tools.tool import tool

_MADE_BY = {"made_by": "clew"}

_PICTURES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp"))


class Answerer(NamedTuple):
    """Who answers: an agent that is there, or the model and instructions of one to be made."""

    agent_id: str | None
    model: str | None
    instructions: str | None


def talk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who answers and on which thread."""
    for option in reversed(
        (
            click.option("--agent", "agent_id", metavar="ID", help="who answers; by default a new agent"),
            click.option(
                "--model", metavar="NAME", help="the new agent's model; by default the server's own"
            ),
            click.option("--instructions", help="what the new agent is told beforehand"),
            click.option("--thread", "thread_id", metavar="ID", help="the conversation to go on with"),
            click.option("--last", is_flag=True, help="go on with what this terminal talked about last"),
            click.option(
                "--timeout",
                type=SECONDS,
                default=600.0,
                show_default=True,
                metavar="SECONDS",
                help="for one answer, tools included",
            ),
        )
    ):
        command = option(command)
    return command


def thread_to_go_on_with(remote: Remote, thread_id: str | None, last: bool) -> str | None:
    """Return the thread that the options name, or None for a new one.

    Raises:
        Problem: there is no such thread, or both options are given.
    """
    if not last:
        return None if thread_id is None else remote.service.get_thread(thread_id).id
    if thread_id is not None:
        raise Problem("--thread and --last: give one of them", USAGE)
    used = used_threads.last(remote.data_dir, remote.place)
    if used is None:
        raise Problem(
            "--last: nothing was asked from here yet; `clew threads list` shows what is there", NOT_FOUND
        )
    try:
        return remote.service.get_thread(used).id
    except NotFound:
        raise Problem(f"--last: {used} is not there any more", NOT_FOUND) from None


@contextmanager
def answering(remote: Remote, who: Answerer, tools: ToolExecutor) -> Iterator[str]:
    """Give the id of the agent that answers; one that is made for this is deleted at the end.

    Raises:
        Problem: both an agent and what a new one would have are given.
    """
    if who.agent_id is not None:
        if who.model is not None or who.instructions is not None:
            raise Problem("--agent has a model and instructions already: leave the others out", USAGE)
        yield remote.service.get_agent(who.agent_id).id
        return
    given: dict[str, Any] = {} if who.instructions is None else {"instructions": who.instructions}
    model = who.model or remote.default_model()
    made = remote.service.create_agent(
        model, name="clew", tools=tools.definitions, metadata=_MADE_BY, **given
    )
    with _leaving_properly():
        try:
            yield made.id
        finally:
            remote.service.delete_agent(made.id)


@contextmanager
def _leaving_properly() -> Iterator[None]:
    """Have the signals that end a process, as a closed terminal sends one, run what is due at its end."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    signals = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}  # Windows has no SIGHUP
    before = {each: signal.signal(each, leave) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def own_tools(approve: Approve | None = None) -> ToolExecutor:
    """Return the tools that come with the command line: a calculator and a clock."""
    needs_yes = approve is not None
    return ToolExecutor(
        [
            tool(calculate, needs_approval=needs_yes),
            tool(clock_tool(), needs_approval=needs_yes),
        ],
        approve=approve,
    )


class Attached(NamedTuple):
    """What goes with a message: ids of uploaded files, and of images."""

    files: Sequence[str] = ()
    images: Sequence[str] = ()


NOTHING = Attached()


def attached(remote: Remote, paths: Sequence[Path]) -> Attached:
    """Upload files to go with a message, with a bar: images to be shown, all others to be searched.

    Raises:
        Problem: there are none in what was given, or one can't be read.
        ToolkitError: the server refused one.
    """
    from clew.cli.uploading import Uploads, found

    pictures = [path for path in found(paths) if path.suffix.lower() in _PICTURES] if paths else []
    others = [path for path in found(paths) if path.suffix.lower() not in _PICTURES] if paths else []
    with Uploads(remote.where) as uploads:
        files = [made["id"] for made in uploads.send(others, "assistants")]
        return Attached(files, [made["id"] for made in uploads.send(pictures, "vision")])


def sent(
    conversation: ConversationManager, text: str, writer: "Writer | None", what: Attached = NOTHING
) -> RunResult:
    """Send a message and return what came of it, however that is: it says so as ``problem``."""
    try:
        return conversation.send(text, files=what.files, images=what.images, check=False, listener=writer)
    except RunError as error:  # given up here: a time-out, or too many rounds of tools
        if not isinstance(error.result, RunResult):
            raise
        return error.result


def unfinished(status: str | None, reason: str | None) -> str:
    """Return the mark of an answer that was broken off; nothing for a whole one."""
    return f" [unfinished: {reason or status}]" if status == "incomplete" else ""


class Writer:
    """Writes an answer to the terminal as it comes, and what happens besides on stderr."""

    def __init__(self) -> None:
        self._message: str | None = None
        self._at_line_start = True

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, TextDelta):
            if self._message not in (None, event.message_id):
                self._write("\n\n")
            self._message = event.message_id
            self._write(clean(event.text))
        elif isinstance(event, TextRestarted):
            self._aside("(the server lost this answer and begins again)")
        elif isinstance(event, ToolFinished):
            result = event.result
            self._aside(f"· {short(result.name)}({short(result.arguments)}) -> {short(result.output)}")
        elif isinstance(event, ConnectionDropped):
            self._aside(describe(event))

    def end_line(self) -> None:
        """Begin a new line, unless that was done."""
        if not self._at_line_start:
            self._write("\n")

    def _aside(self, text: str) -> None:
        self.end_line()
        self._message = None
        output.say(text)

    def _write(self, text: str) -> None:
        if text:
            click.echo(text, nl=False)
            self._at_line_start = text.endswith("\n")
