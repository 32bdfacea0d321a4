"""Writes the log beside the event loop: lines wait in memory, and a thread writes them together."""

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from clew.about import ABOUT
from clew.settings import Settings
from clew.telemetry.lines import Form, Line, as_json, for_people, secrets_of, without

_MOST_WAITING = 10_000
"""Lines that wait to be written; more are counted instead of kept: a reader of the log that stands still, or
a disk that is full, neither stops nor fills the server."""

_TOGETHER = 0.02
"""Seconds over which lines are gathered after some were written."""

_LAST_WORDS = 5.0
"""Seconds that the last lines are given to be written at the end."""


class LogWriter(logging.Handler):
    """A handler that never waits, neither for a file nor for who reads it.

    Args:
        stream: where the lines go.
        form: makes the text of a line, its end included. It is called in the writer's thread.
        most: how many lines may wait.
    """

    def __init__(self, stream: TextIO, form: Form, *, most: int = _MOST_WAITING) -> None:
        super().__init__()
        self._stream, self._form, self._most = stream, form, most
        self._waiting: deque[Line] = deque()
        self._lost = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="clew log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written soon."""
        if len(self._waiting) >= self._most:
            self._lost += 1
            return
        try:
            self._waiting.append(Line(record, record.getMessage(), ABOUT.get()))
        except Exception:
            self.handleError(record)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what waits, then nothing more."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_LAST_WORDS)
        super().close()

    def _write_on(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            last = self._closing.is_set()
            self._write()
            if last:
                return
            self._closing.wait(_TOGETHER)

    def _write(self) -> None:
        said = []
        while self._waiting:
            said.append(self._text(self._waiting.popleft()))
        if self._lost:
            lost, self._lost = self._lost, 0
            said.append(
                self._text(_note(f"{lost} lines are missing here: they came faster than they are read"))
            )
        with suppress(OSError, ValueError):  # nobody reads any more: there is nowhere to say so
            self._stream.write("".join(said))
            self._stream.flush()

    def _text(self, line: Line) -> str:
        try:
            return self._form(line)
        except Exception as error:
            return self._form(_note(f"a line of {line.record.name} can't be shown: {type(error).__name__}"))


def _note(message: str) -> Line:
    record = logging.LogRecord("clew.telemetry", logging.WARNING, "", 0, message, (), None)
    return Line(record, message, "")


@contextmanager
def logging_as(
    settings: Settings, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> Iterator[None]:
    """Log as the settings say, to stderr by default, until the context ends; then everything is written.

    Args:
        settings: their format and level, and the secrets that are never shown.
        secrets: others that are never shown.
        stream: where else the lines go.
    """
    form = as_json if settings.log_format == "json" else for_people
    writer = LogWriter(stream or sys.stderr, without(form, [*secrets_of(settings), *secrets]))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # No line says where in the code, or in which thread, it was written: looking that up was half its cost.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root, ours = logging.getLogger(), logging.getLogger("clew")
    before = root.level, ours.level
    root.addHandler(writer)
    root.setLevel(max(level, logging.WARNING))  # libraries tell of themselves what only their makers want
    ours.setLevel(level)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(writer)
        root.setLevel(before[0])
        ours.setLevel(before[1])
        writer.close()
