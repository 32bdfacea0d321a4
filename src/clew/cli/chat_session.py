"""A chat on a terminal: what is typed goes to the agent, unless it begins with a slash."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from clew.cli import output
from clew.cli.editor import in_editor
from clew.cli.output import show
from clew.cli.problems import INTERRUPTED, Problem
from clew.cli.remote import in_words
from clew.cli.talk import NOTHING, Attached, Writer, sent, unfinished
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.errors import ToolkitError
from clew.toolkit.records import Message
from clew.toolkit.tools.executor import ToolExecutor
from clew.toolkit.tools.text import clean

_SHOWN = 10
_PROMPT, _MORE = "> ", ". "


class _Command(NamedTuple):
    takes: str
    does: str
    work: "Callable[[ChatSession, str], bool | None]"


class ChatSession:
    """A conversation with somebody at a terminal, or with the lines of a file."""

    def __init__(
        self,
        begin: Callable[[str | None], ConversationManager],
        thread_id: str | None,
        tools: ToolExecutor,
        attach: Callable[[Path], Attached],
    ) -> None:
        """Prepare a chat; ``begin`` makes a conversation on a thread, or on a new one; ``attach`` uploads."""
        self._begin = begin
        self._conversation = begin(thread_id)
        self._tools, self._attach = tools, attach
        self._attached = NOTHING

    @property
    def thread_id(self) -> str | None:
        """The thread that is talked on; None before anything was said."""
        return self._conversation.thread_id

    def talk(self) -> int:
        """Talk until the person leaves; return the exit code."""
        self._greet()
        interrupted = False
        while True:
            try:
                line = self._read()
            except KeyboardInterrupt:
                if interrupted:
                    return self._leave(INTERRUPTED)
                interrupted = True
                output.say("\n(Ctrl-C again leaves, as Ctrl-D and /quit do)")
                continue
            interrupted = False
            if line is None:
                return self._leave(0)
            if line.strip() and self._take(line) is False:
                return self._leave(0)

    def _read(self) -> str | None:
        """Return what is typed next, or None at its end. A backslash at its end goes on in the next line."""
        lines: list[str] = []
        prompt = _PROMPT if sys.stdin.isatty() else ""
        while True:
            try:
                line = input(prompt)
            except EOFError:
                return "\n".join(lines) or None
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
            prompt = prompt and _MORE

    def _take(self, line: str) -> bool | None:
        """Do what a line asks for; False leaves."""
        try:
            if not line.startswith("/"):
                self._send(line)
                return None
            name, _, rest = line[1:].partition(" ")
            command = COMMANDS.get(name)
            if command is None:
                output.say(f"There is no /{name}: /help lists what there is.")
                return None
            return command.work(self, rest.strip())
        except KeyboardInterrupt:
            output.say("\n(stopped)")
        except ToolkitError as error:
            output.say(f"Error: {in_words(error)}")
        except Problem as error:
            output.say(f"Error: {error.format_message()}")
        except (OSError, ValueError) as error:
            output.say(f"Error: {error}")
        return None

    def _send(self, text: str) -> None:
        writer = Writer()
        try:
            result = sent(self._conversation, text, writer, self._attached)
            self._attached = NOTHING
        finally:
            writer.end_line()
        if result.problem is not None:
            output.say(f"Error: {in_words(result.problem)}")

    def _greet(self) -> None:
        if sys.stdin.isatty():
            output.say("Type a message; /help says what else you can do.")
            if self._conversation.thread_id is not None:
                self.history("4")

    def _leave(self, code: int) -> int:
        thread_id = self._conversation.thread_id
        if sys.stdin.isatty():
            output.say("" if thread_id is None else f"\nGo on with: clew chat --thread {thread_id}")
        return code

    # --- what begins with a slash ---

    def help(self, _: str) -> None:
        """List the commands."""
        for name, command in COMMANDS.items():
            click.echo(f"  /{name} {command.takes}".ljust(20) + command.does)

    def history(self, last: str) -> None:
        """Print the last messages."""
        count = int(last) if last else _SHOWN
        for message in self._conversation.history(last=max(1, count)):
            mark = _unfinished(message)
            click.echo(f"{message.role}: {clean(message.text)}{mark}")

    def edit(self, text: str) -> None:
        """Write a message in an editor, and send it."""
        written = in_editor(text)
        if written.strip():
            click.echo(clean(written.rstrip()))
            self._send(written)
        else:
            click.echo("  nothing was written, nothing is sent")

    def tools(self, _: str) -> None:
        """List the tools."""
        for definition in self._tools.definitions:
            function = definition["function"]
            click.echo(f"  {function['name']}".ljust(20) + str(function["description"]))
        if not self._tools.definitions:
            click.echo("  none (start it with --tools)")

    def file(self, path: str) -> None:
        """Upload a file, or a folder of them, to go with the next message."""
        if not path:
            raise ValueError("say which: /file handbook.pdf")
        more = self._attach(Path(path).expanduser())
        self._attached = Attached(
            [*self._attached.files, *more.files], [*self._attached.images, *more.images]
        )
        click.echo(f"  {len(more.files) + len(more.images)} attached to the next message")

    def export(self, path: str) -> None:
        """Write the conversation to a file."""
        if not path:
            raise ValueError("say where: /export chat.md (or .json, .jsonl)")
        click.echo(f"wrote {self._conversation.export(path)}")

    def search(self, words: str) -> None:
        """Print where words stand."""
        found = self._conversation.search(words)
        for match in found:
            click.echo(f"  {match.message.role}: {clean(match.excerpt)}")
        if not found:
            click.echo("  nothing")

    def summary(self, _: str) -> None:
        """Print the conversation at a glance."""
        show(self._conversation.get_conversation_summary())

    def new(self, _: str) -> None:
        """Begin a new thread; the old one stays."""
        if self._conversation.thread_id is not None:
            click.echo(f"left {self._conversation.thread_id}")
        self._conversation = self._begin(None)

    def quit(self, _: str) -> bool:
        """Leave."""
        return False


def _unfinished(message: Message) -> str:
    why = message.incomplete_details
    return unfinished(message.status, None if why is None else why.reason)


COMMANDS = {
    "help": _Command("", "this list", ChatSession.help),
    "history": _Command("[N]", f"the last N messages ({_SHOWN})", ChatSession.history),
    "tools": _Command("", "what the agent may call", ChatSession.tools),
    "search": _Command("WORDS", "where they stand in the conversation", ChatSession.search),
    "summary": _Command("", "the conversation at a glance", ChatSession.summary),
    "edit": _Command("[TEXT]", "write a message in $EDITOR, and send it", ChatSession.edit),
    "file": _Command("PATH", "attach it to the next message", ChatSession.file),
    "export": _Command("FILE", "write it down: .md, .json or .jsonl", ChatSession.export),
    "new": _Command("", "begin a new thread; this one stays", ChatSession.new),
    "quit": _Command("", "leave (Ctrl-D does too)", ChatSession.quit),
}
