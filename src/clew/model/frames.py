"""Frames of an answer, from bytes that are cut anywhere. Pure.

An event stream (WHATWG HTML, "Server-sent events") is read as the standard says, and more: what decides is
what comes, not the label that it came under. A body that begins with a brace is JSON, whole or a value a
line; one that begins with ``<`` is a page; bare JSON and ``error:`` lines between events are frames too.
"""

import json
import re
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from clew.model.plain import plain_words

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of a line, or of a body that is no event stream, that are read."""

_KEPT_WORDS = 2_000
"""Bytes of what is no frame that are kept, to say what came instead of an answer."""

_MOST_TRIES = 64
"""Lines of data of one event, up to which each is tried for whether it is the event's last."""

_MOST_DIGITS = 400

_BOM = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"
_ENDS = re.compile(rb"\r\n|\n|\r")
_SURROGATE = re.compile("[\ud800-\udfff]")
_decode = msgspec.json.Decoder().decode


class TooLong(Exception):
    """A line, or a body, is longer than any answer."""


class Frame(Struct, frozen=True):
    """One event: its type, and its data as JSON; ``value`` is None where the data is no JSON."""

    event: str
    value: Any
    text: str = ""


class Words(Struct, frozen=True):
    """Frames that came together, each of which says a piece of the first choice's text and nothing else."""

    texts: list[str]


class Done(Struct, frozen=True):
    """The frame that says that the answer is over."""


AnyFrame: TypeAlias = Frame | Words | Done


def decoded(data: bytes) -> Any:
    """Return the JSON value of ``data``, leniently: NaN, half characters and huge numbers are read.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _without_halves(json.loads(data.decode("utf-8", "replace"), parse_int=_whole_number))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole_number(digits: str) -> int | float:
    """Return a number; one that is longer than any count is as good as infinite."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _without_halves(value: Any) -> Any:
    """Return a value whose strings can be written as UTF-8."""
    match value:
        case str():
            return whole_characters(value)
        case list():
            return [_without_halves(each) for each in value]
        case dict():
            return {whole_characters(key): _without_halves(each) for key, each in value.items()}
    return value


def whole_characters(text: str) -> str:
    """Return text with U+FFFD for each half of a surrogate pair that stands alone."""
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class FrameReader:
    """Cuts the bytes of a body into frames. What it keeps and does is linear in what comes.

    Attributes:
        page: whether what came is a page, not data.
    """

    def __init__(self) -> None:
        self.page = False
        self._words: list[bytes] = []
        self._words_size = 0
        self._begun = self._seen = False
        self._line = bytearray()
        """The line that is under way."""
        self._body: bytearray | None = None
        """All that has come, if it is one JSON value over several lines."""
        self._event = ""
        self._data = bytearray()
        """The data of the event that is under way, each line with its end."""
        self._lines = self._tried = 0
        """How many lines that is, and how many of them are known not to be all."""
        self._size = 0
        """Bytes of all that is under way."""

    @property
    def words(self) -> str:
        """Return the beginning of what was no frame."""
        return b"".join(self._words).decode("utf-8", "replace")

    def feed(self, piece: bytes) -> list[AnyFrame]:
        """Return the frames that are whole with this piece.

        Raises:
            TooLong: a line is.
        """
        if not self._begun:
            piece = self._first(piece)
        if not piece:
            return []
        if self.page:
            self._keep(piece)
            return []
        self._size += len(piece)
        if self._size > LONGEST_LINE:
            raise TooLong
        if self._body is not None:
            self._body += piece
            return []
        if b"\n" not in piece and b"\r" not in piece and not self._half_ended():
            self._line += piece
            return []
        if self._data or self._event:
            return self._read_lines(piece)
        return self._read_words(piece)

    def end(self) -> list[AnyFrame]:
        """Return the frames that are whole with the end of the body."""
        frames: list[AnyFrame] = []
        rest = self._taken().removesuffix(b"\r")
        if rest:
            self._read(rest, frames)
        if self._body is not None:
            self._add(bytes(self._body), frames)
        self._dispatch(frames)
        return frames

    def _first(self, piece: bytes) -> bytes:
        """Look at how the body begins; nothing is decided until something has come."""
        piece = self._taken() + piece
        if len(piece) < len(_BOM) and _BOM.startswith(piece):
            self._line += piece
            return b""
        start = piece.removeprefix(_BOM).lstrip()
        self._begun = bool(start)
        self.page = start.startswith(b"<")
        return start

    def _half_ended(self) -> bool:
        return self._line.endswith(b"\r")

    def _taken(self) -> bytes:
        """Take the line that is under way."""
        line = bytes(self._line)
        self._line.clear()
        return line

    def _read_words(self, piece: bytes) -> list[AnyFrame]:
        """Read plain words from where no event is under way; from what is none of them on, line by line."""
        whole = self._taken() + piece if self._line else piece
        end = b"\r\n\r\n" if whole.endswith(b"\r\n\r\n") else b"\n\n"
        *events, rest = whole.split(end)
        texts = plain_words(events)
        frames: list[AnyFrame] = []
        if texts:
            self._seen = True
            frames.append(Words(texts))
        odd = self._read_whole(events[len(texts) :], frames) if len(texts) < len(events) else ()
        if odd:
            rest = end.join([*odd, rest])
        if rest:
            return frames + self._read_lines(rest)
        self._size = 0
        return frames

    def _read_whole(self, events: list[bytes], frames: list[AnyFrame]) -> list[bytes]:
        """Read the events that are one line of data; return what follows, from the first other one on."""
        for number, event in enumerate(events):
            if event[:5] != b"data:" or b"\n" in event or b"\r" in event or not (data := event[5:].strip()):
                return events[number:]
            self._add(data, frames)
        return []

    def _read_lines(self, piece: bytes) -> list[AnyFrame]:
        """Read the lines that are whole; a CR at the end may be the half of a line's end."""
        lines = _ENDS.split(self._taken() + piece)
        rest = lines.pop()
        if not rest and piece.endswith(b"\r"):
            rest = lines.pop() + b"\r"
        frames: list[AnyFrame] = []
        for line in lines:
            self._read(line, frames)
        self._hand_on_early(frames)
        if self._body is None:
            self._line += rest
            self._size = len(rest) + len(self._data)
        else:
            self._body += rest
        return frames

    def _read(self, line: bytes, frames: list[AnyFrame]) -> None:
        if self._body is not None:
            self._body += line + b"\n"
        elif not line:
            self._dispatch(frames)
        elif line.startswith(b"data:"):
            self._read_data(line[5:].strip(), frames)
        elif line.startswith(b"event:"):
            self._dispatch(frames)
            self._event = line[6:].strip().decode("utf-8", "replace")
        elif line.startswith((b":", b"id:", b"retry:")):
            return
        elif line.lstrip().startswith((b"{", b"[")):
            self._read_bare(line.strip(), frames)
        elif line.lower().startswith(b"error:"):
            self._dispatch(frames)
            frames.append(_frame("error", line[6:].strip()))
        else:
            self._keep(line + b"\n")

    def _read_data(self, data: bytes, frames: list[AnyFrame]) -> None:
        self._hand_on_early(frames)  # an event has several lines of data, or this server sends no blank line
        if data:
            self._data += data + b"\n"
            self._lines += 1

    def _read_bare(self, line: bytes, frames: list[AnyFrame]) -> None:
        self._dispatch(frames)
        try:
            self._hand_on(Done() if line == _DONE else Frame("", decoded(line)), frames)
        except ValueError:
            if self._seen:
                self._keep(line + b"\n")
            else:
                self._body = bytearray(line + b"\n")

    def _hand_on_early(self, frames: list[AnyFrame]) -> None:
        """Hand on an event whose data is whole, without waiting for its blank line."""
        if not self._tried < self._lines < _MOST_TRIES:
            return
        data = bytes(self._data[:-1])
        try:
            frame = Done() if data == _DONE else Frame(self._event, decoded(data))
        except ValueError:
            self._tried = self._lines
        else:
            self._hand_on(frame, frames)
            self._forget_event()

    def _dispatch(self, frames: list[AnyFrame]) -> None:
        """Hand on the event that is under way: it is over."""
        if self._data:
            self._add(bytes(self._data[:-1]), frames, self._event)
        self._forget_event()

    def _forget_event(self) -> None:
        self._event, self._lines, self._tried = "", 0, 0
        self._data.clear()

    def _add(self, data: bytes, frames: list[AnyFrame], event: str = "") -> None:
        if data == _DONE:
            self._hand_on(Done(), frames)
            return
        frame = _frame(event, data)
        if frame.text and event in ("", "message"):
            self._keep(data + b"\n")
        self._hand_on(frame, frames)

    def _hand_on(self, frame: AnyFrame, frames: list[AnyFrame]) -> None:
        self._seen = True
        frames.append(frame)

    def _keep(self, line: bytes) -> None:
        if self._words_size < _KEPT_WORDS:
            self._words.append(line[:_KEPT_WORDS])
            self._words_size += len(line)


def _frame(event: str, data: bytes) -> Frame:
    try:
        return Frame(event, decoded(data))
    except ValueError:
        return Frame(event, None, data[:_KEPT_WORDS].decode("utf-8", "replace"))
