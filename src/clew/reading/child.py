"""The parent's end of the process that reads one file.

It blocks, and is run in a thread: so it needs nothing of the event loop, of which there are several kinds.
Nothing that the child says is believed further than its shape: it may have been taken over by its file.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Literal, TypeAlias

import msgspec
from msgspec import Struct

from clew.reading.answers import CannotRead, Code, Image, Section
from clew.reading.formats.out import MOST_CHARACTERS, MOST_SECTIONS, PIECE
from clew.settings import bare_environment

WALL = 90.0
"""Seconds that reading one file may take."""

_WORKER = Path(__file__).with_name("worker.py")
_LONGEST_LINE = 6 * PIECE + 1000  # bytes: a character escaped in JSON takes six at most
_MOST_IMAGE = 64_000_000  # bytes

Answer: TypeAlias = list[Section] | Image


class _Line(Struct, frozen=True):
    """Any line of a child: see :mod:`clew.reading.formats.out`."""

    text: str = ""
    page: int | None = None
    new: bool = False
    image: Literal["image/jpeg", "image/png"] | None = None
    width: int = 0
    height: int = 0
    size: int = 0
    code: Code | None = None
    message: str = ""
    end: bool = False


class KilledFromOutside(Exception):
    """The child was ended by somebody else: the file may have nothing to do with it."""


class Nonsense(Exception):
    """The child said what no reader says."""


class Child:
    """One process for one file: :meth:`run` once, :meth:`kill` at any time, from any thread."""

    def __init__(self, task: Literal["text", "image"], argument: str, path: Path, wall: float = WALL) -> None:
        """Prepare to read the file at ``path``, within ``wall`` seconds.

        ``argument`` is a kind of :mod:`clew.reading.kinds`, or the pixels of an image's longer side.
        """
        self._command = [sys.executable, "-I", "-P", "-B", str(_WORKER), task, argument]
        self._path, self._wall = path, wall
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reaped = False
        self._ended_by: Literal["us", "time"] | None = None

    def run(self) -> Answer:
        """Start the process, and return what it has read when it has ended.

        Raises:
            CannotRead: the file can't be read, the process can't be started, or :meth:`kill` was called.
            KilledFromOutside: somebody else sent the process SIGKILL.
        """
        try:
            with self._path.open("rb") as file:
                process = self._start(file)
        except OSError:
            raise CannotRead(
                "server_error", "The server could not open the file, or start its reader."
            ) from None
        timer = threading.Timer(self._wall, self._end, ["time"])
        timer.daemon = True
        timer.start()
        ended = False
        assert process.stdout is not None
        try:
            with process.stdout as stdout:
                answer = taken(stdout)
            ended = answer is None
        except (Nonsense, msgspec.DecodeError):
            raise _damaged() from None
        finally:
            # After its last word nothing is waited for; if there was none, it counts how the process ends.
            self._reap(process, at_once=not ended)
            timer.cancel()
        if answer is None:
            raise self._why(process.returncode)
        return answer

    def kill(self) -> None:
        """End the process and its group at once; a run under way raises CannotRead. May be called twice."""
        self._end("us")

    def _start(self, file: IO[bytes]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._ended_by is not None:
                raise _stopped()
            self._process = subprocess.Popen(
                self._command,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=bare_environment(),
                cwd=_WORKER.parent,
                start_new_session=True,
            )
            return self._process

    def _end(self, by: Literal["us", "time"]) -> None:
        with self._lock:
            self._ended_by = self._ended_by or by
            self._kill_group()

    def _kill_group(self) -> None:
        if self._process is None or self._reaped:
            return
        if sys.platform == "win32":
            self._process.kill()
        else:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()

    def _reap(self, process: "subprocess.Popen[bytes]", *, at_once: bool) -> None:
        if not at_once and hasattr(os, "waitid"):
            # Its number stays taken until it is reaped, so that the group that is killed is surely its own.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        elif not at_once:
            process.wait()
        with self._lock:
            self._kill_group()
            process.wait()
            self._reaped = True

    def _why(self, code: int) -> Exception:
        if self._ended_by == "us":
            return _stopped()
        slow = CannotRead("invalid_file", "The file takes too long to read.")
        if self._ended_by == "time":
            return slow
        if sys.platform != "win32":
            if code in (-signal.SIGXCPU, -signal.SIGALRM):
                return slow
            if code == -signal.SIGKILL:
                return KilledFromOutside()
        return _damaged()


def _stopped() -> CannotRead:
    return CannotRead("server_error", "Reading the file was stopped.")


def _damaged() -> CannotRead:
    return CannotRead("invalid_file", "The file is damaged, or needs more memory to read than it gets.")


def taken(stdout: IO[bytes]) -> Answer | None:
    """Return what a child says, or None if it ends without saying that this was all.

    Raises:
        CannotRead: it says that the file can't be read.
        Nonsense: it says what no reader says.
        msgspec.DecodeError: its words are no JSON.
    """
    sections = _Sections()
    image: Image | None = None
    while data := stdout.readline(_LONGEST_LINE):
        line = msgspec.json.decode(data, type=_Line)
        if line.code is not None:
            raise CannotRead(line.code, line.message[:500])
        if line.end:
            return image or sections.all()
        if line.image is not None:
            image = _image(line, stdout)
        else:
            sections.add(line)
    return None


def _image(line: _Line, stdout: IO[bytes]) -> Image:
    if not 0 < line.size <= _MOST_IMAGE or line.image is None:
        raise Nonsense
    return Image(stdout.read(line.size), line.image, line.width, line.height)


class _Sections:
    """Puts pieces of text together, and counts them as if the child had not."""

    def __init__(self) -> None:
        self._found: list[Section] = []
        self._pieces: list[str] = []
        self._page: int | None = None
        self._characters = 0

    def add(self, line: _Line) -> None:
        self._characters += len(line.text)
        if self._characters > MOST_CHARACTERS or len(self._found) > MOST_SECTIONS:
            raise Nonsense
        if line.new:
            self._finish()
            self._page = line.page
        self._pieces.append(line.text)

    def all(self) -> list[Section]:
        self._finish()
        return self._found

    def _finish(self) -> None:
        if self._pieces:
            self._found.append(Section("".join(self._pieces), self._page))
            self._pieces = []
