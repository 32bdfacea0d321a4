"""A session of the sandbox behind a prompt."""

import asyncio
import codeop
import sys
import threading
import warnings
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from clew.cli import output
from clew.cli.code_session import opened, show
from clew.sandbox.sandbox import SandboxTrouble, Session
from clew.settings import Settings

_T = TypeVar("_T")

_PROMPT, _MORE = ">>> ", "... "
_PATIENCE = 5.0


class Shell:
    """Cells typed one after the other. A session that ends is followed by a new one."""

    def __init__(self, settings: Settings, files: Sequence[Path], out: Path | None) -> None:
        self._settings, self._files, self._out = settings, files, out
        self._aside = _Aside()
        self._opened = AsyncExitStack()
        self._session: Session | None = None

    def talk(self) -> None:
        """Run what is typed until its end.

        Raises:
            Problem: there is no sandbox.
        """
        try:
            self._aside.run(self._begin())
            output.say("A line is a cell; a block ends with an empty line. Ctrl-C interrupts, Ctrl-D ends.")
            while (cell := _typed()) is not None:
                if cell.strip():
                    self._run(cell)
        finally:
            self._aside.run(self._opened.aclose())

    async def _begin(self) -> Session:
        """Return the session that lives, or a new one with the same files."""
        if self._session is None or self._session.over:
            await self._opened.aclose()
            self._session = await self._opened.enter_async_context(opened(self._settings, self._files))
        return self._session

    def _run(self, cell: str) -> None:
        try:
            self._aside.run(self._cell(cell))
        except KeyboardInterrupt:
            lost = self._session is None or self._session.over
            output.say("(interrupted; variables are gone)" if lost else "(interrupted)")
        except SandboxTrouble as trouble:
            output.say(f"Error: {trouble.message}")

    async def _cell(self, cell: str) -> None:
        session = await self._begin()
        await show(await session.run(cell), session, self._out)


class _Aside:
    """An event loop in a thread of its own: it watches over the session while a person types."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="clew code", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what comes of some work. Ctrl-C cancels it, and is raised when it has ended."""
        over = threading.Event()

        async def whole() -> _T:
            try:
                return await work
            finally:
                over.set()

        future = asyncio.run_coroutine_threadsafe(whole(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            over.wait(_PATIENCE)
            raise


def _typed() -> str | None:
    """Return the next cell, None at the end of what is typed. Ctrl-C drops what was begun."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401 - input() edits lines with it
    lines: list[str] = []
    while True:
        prompt = (_MORE if lines else _PROMPT) if sys.stdin.isatty() else ""
        try:
            lines.append(input(prompt))
        except EOFError:
            return "\n".join(lines) or None
        except KeyboardInterrupt:
            output.say("\n(Ctrl-D ends)")
            lines = []
            continue
        if not _goes_on("\n".join(lines)):
            return "\n".join(lines)


def _goes_on(source: str) -> bool:
    """Return whether more lines are to come, as Python's own prompt has it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(source) is None
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return False  # the cell says what is wrong with it
