"""What the child says: one JSON object a line, and at last the bytes of an image.

Lines: ``{"text", "page", "new"}`` is a piece of a section's text, which begins a section where ``new`` is
true; ``{"image", "width", "height", "size"}`` is followed by ``size`` bytes; ``{"code", "message"}`` refuses;
``{"end": true}`` says that nothing is missing.
"""

import json
import re
from typing import Any, BinaryIO

MOST_CHARACTERS = 20_000_000
"""Characters of text taken from one file."""

MOST_SECTIONS = 200_000
"""Sections of one file: pages, slides, sheets or chapters that have text."""

_TOO_LONG = f"The file is too long: it has over {MOST_CHARACTERS:,} characters."

PIECE = 65_536
"""Characters in a line, at most."""

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85]")
# Control characters, halves of surrogate pairs, and code points that are none.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Refused(Exception):
    """The file can't be read. ``code`` is one of :data:`clew.reading.answers.Code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Out:
    """Writes sections to the parent, cleaned and counted."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._characters = self._sections = 0
        self._page: int | None = None
        self._new = True
        self._waiting: list[str] = []
        self._size = 0

    def begin(self, page: int | None = None) -> None:
        """Begin a section; one that gets no text but space is left out."""
        self._flush(last=True)
        self._page, self._new = page, True

    def write(self, text: str) -> None:
        """Add to the section.

        Raises:
            Refused: the file has more than :data:`MOST_CHARACTERS` characters.
        """
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise Refused("invalid_file", _TOO_LONG)
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= PIECE:
            self._flush(last=False)

    def end(self) -> None:
        """Say that all is said.

        Raises:
            Refused: there was no text at all.
        """
        self._flush(last=True)
        if not self._sections:
            raise Refused("unsupported_file", "The file has no text.")
        self._send({"end": True})

    def image(self, data: bytes, media_type: str, width: int, height: int) -> None:
        """Send an image, and that this is all."""
        self._send({"image": media_type, "width": width, "height": height, "size": len(data)})
        self._stream.write(data)
        self._send({"end": True})

    def refuse(self, code: str, message: str) -> None:
        """Say that the file can't be read, and why."""
        self._send({"code": code, "message": message})

    def _flush(self, *, last: bool) -> None:
        text = "".join(self._waiting)
        kept = "\r" if text.endswith("\r") and not last else ""  # a line feed may follow it
        text = text[: len(text) - len(kept)]
        if self._new and not last and text.isspace():
            kept, text = "", ""
        self._waiting, self._size = [kept] if kept else [], len(kept)
        text = _UNWANTED.sub("", _NEWLINES.sub("\n", text))
        if not text or (self._new and text.isspace()):
            return
        if self._new:
            self._sections += 1
            if self._sections > MOST_SECTIONS:
                raise Refused("invalid_file", f"The file is too long: it has over {MOST_SECTIONS:,} pages.")
        for start in range(0, len(text), PIECE):
            self._send({"text": text[start : start + PIECE], "page": self._page, "new": self._new})
            self._new = False

    def _send(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


class Flow:
    """Running text of a marked-up document: spaces are joined, and a blank line is left out."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._last = "\n"

    def words(self, text: str, *, as_it_is: bool = False) -> None:
        """Add text; runs of white space become one space, unless the text is to stay as it is."""
        if not as_it_is:
            text = _joined(text)
            if self._last in " \n\t":
                text = text.lstrip(" ")
        self._add(text)

    def line(self) -> None:
        """End the line, if it has begun."""
        if self._last != "\n":
            self._add("\n")

    def cell(self) -> None:
        """End a table's cell, or what a tabulator ends."""
        self._add("\t")

    def _add(self, text: str) -> None:
        if text:
            self._last = text[-1]
            self._out.write(text)


def _joined(text: str) -> str:
    words = text.split()
    if not words:
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    return before + " ".join(words) + (" " if text[-1].isspace() else "")
