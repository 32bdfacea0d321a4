"""Code that a model writes for code_interpreter, and links in its text to files that code has left. Pure.

A call's arguments are kept as the code itself: that is what clients are shown, piece by piece. Models send
it as the member ``code`` of a JSON object; some send it bare.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from clew.core.citing import Settled
from clew.core.files import File

DATA = "/mnt/data"
"""The folder in which code finds its files, and leaves them (OpenAI's guide to code interpreter)."""

LINK = f"sandbox:{DATA}/"
"""What links to a session's files begin with."""

LONGEST_NAME = 200
"""Bytes of a file's name in a session: file systems take 255."""

_SEPARATORS = frozenset("/\\")


class Inside(NamedTuple):
    """A file as a session has it."""

    name: str
    file_id: str
    bytes: int
    blob: str


_BEGUN = re.compile(r'\{\s*"(?:code|input)"\s*:\s*"')
_MOST_BEFORE = 64
"""Characters in which the member must begin; else the arguments are decoded when they are whole."""

_CHARACTERS = re.compile(r'[^"\\]+')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"'}
_PART_OF_A_NAME = re.compile(r"[\w\-%]")


class CodeInput:
    """Takes the code out of a call's arguments as they come."""

    def __init__(self) -> None:
        self._held = ""
        self._mode = self._find

    def feed(self, piece: str) -> str:
        """Take a piece of the arguments; return the code that it brings."""
        self._held += piece
        return self._mode()

    def end(self) -> str:
        """Return what is left when no more comes."""
        held, self._held = self._held, ""
        return _code_of(held) if self._mode == self._find else ""

    def _find(self) -> str:
        text = self._held.lstrip()
        if text and text[0] != "{":
            self._held, self._mode = text, self._bare
            return self._bare()
        if (begun := _BEGUN.match(text)) is not None and begun.end() <= _MOST_BEFORE:
            self._held, self._mode = text[begun.end() :], self._string
            return self._string()
        return ""

    def _bare(self) -> str:
        held, self._held = self._held, ""
        return held

    def _string(self) -> str:
        """Decode as much of a JSON string as is there."""
        found: list[str] = []
        held, at = self._held, 0
        while at < len(held):
            if (plain := _CHARACTERS.match(held, at)) is not None:
                found.append(plain[0])
                at = plain.end()
                continue
            if held[at] == '"':
                self._mode, at = self._over, len(held)
                break
            character, length = _escaped(held, at)
            if not length:
                break  # the escape is not whole yet
            found.append(character)
            at += length
        self._held = held[at:]
        return "".join(found)

    def _over(self) -> str:
        self._held = ""
        return ""


def _escaped(text: str, at: int) -> tuple[str, int]:
    """Return the character of an escape and the escape's length; 0 if it is not whole."""
    if at + 1 >= len(text):
        return "", 0
    kind = text[at + 1]
    if kind != "u":
        return _ESCAPES.get(kind, kind), 2
    if at + 6 > len(text):
        return "", 0
    code = _hex(text[at + 2 : at + 6])
    if not 0xD800 <= code < 0xDC00:
        return ("\ufffd" if 0xDC00 <= code < 0xE000 else chr(code)), 6
    rest = text[at + 6 : at + 12]
    if len(rest) < 6 and "\\u".startswith(rest[:2]):
        return "", 0
    low = _hex(rest[2:]) if rest.startswith("\\u") else 0
    if 0xDC00 <= low < 0xE000:
        return chr(0x10000 + ((code - 0xD800) << 10) + low - 0xDC00), 12
    return "\ufffd", 6


def _hex(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return 0xFFFD


def _code_of(arguments: str) -> str:
    """Return the code of whole arguments in which it did not come first."""
    try:
        given = msgspec.json.decode(arguments.strip() or "{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return arguments
    if not isinstance(given, dict):
        return arguments
    for name in ("code", "input"):
        if isinstance(given.get(name), str):
            return str(given[name])
    texts = [each for each in given.values() if isinstance(each, str)]
    return texts[0] if len(texts) == 1 else ""


def arguments_of(code: str) -> str:
    """Return the arguments as a model is shown again that it gave."""
    return msgspec.json.encode({"code": code}).decode()


def named(files: Iterable[File], made: Iterable[tuple[str, File]]) -> list[Inside]:
    """Return the files of a session under the names that they have there, each another.

    What code has ``made`` keeps its name, and takes the place of what was there under it. No file has the
    id of another for a name: files are there by id too.
    """
    files = list(files)
    ids = {file.id for file in files}
    inside = {name: Inside(name, file.id, file.bytes, file.blob) for name, file in made}
    left = set(inside)
    for file in files:
        wanted = fit(file.filename)
        if wanted in left:
            continue
        name, number = wanted, 1
        while name in inside or name in ids:
            number += 1
            stem, dot, ending = wanted.rpartition(".")
            name = f"{stem}_{number}{dot}{ending}" if stem else f"{wanted}_{number}"
        inside[name] = Inside(name, file.id, file.bytes, file.blob)
    return list(inside.values())


def fit(filename: str) -> str:
    """Return a file's name as it may stand in a session: a plain one, never a path."""
    fitting = (each if each.isprintable() and each not in _SEPARATORS else "_" for each in filename)
    name = "".join(fitting).encode()[:LONGEST_NAME].decode(errors="ignore")
    if not name.strip(". "):
        return "file"
    return f"_{name[1:]}" if name[0] == "." else name


class Links:
    """Settles links in a text that comes in pieces: text is held back while it may become one.

    Args:
        known: the files that may be linked to, by their names in the session.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {form: file_id for name, file_id in known.items() for form in _forms(name)}
        self._sorted = sorted(self._known)
        self._lengths = sorted(set(map(len, self._known)), reverse=True)
        self._held = ""

    def feed(self, text: str) -> list[Settled]:
        """Take a piece of text; return what is settled by it."""
        self._held += text
        return self._settle(last=False)

    def end(self) -> list[Settled]:
        """Return what is left when no more comes."""
        return self._settle(last=True)

    def _settle(self, *, last: bool) -> list[Settled]:
        settled: list[Settled] = []
        while (at := self._held.find(LINK)) >= 0:
            self._emit(settled, at)
            length = self._length(self._held[len(LINK) :], last)
            if length is None:
                return settled
            link = self._held[: len(LINK) + length]
            file_id = self._known.get(link[len(LINK) :])
            settled.append(Settled(link, file_id))
            self._held = self._held[len(link) :]
        begun = 0 if last else _begun(self._held)
        self._emit(settled, len(self._held) - begun)
        return settled

    def _emit(self, settled: list[Settled], length: int) -> None:
        if length:
            settled.append(Settled(self._held[:length]))
            self._held = self._held[length:]

    def _length(self, rest: str, last: bool) -> int | None:
        """Return the length of the name that text begins with: 0 if it is none; None if more must come."""
        if not last and self._may_become_one(rest):
            return None
        for length in self._lengths:
            if rest[:length] not in self._known:
                continue
            behind = rest[length : length + 2]
            if behind == "." and not last:
                return None
            if not _goes_on(behind):
                return length
        return 0

    def _may_become_one(self, rest: str) -> bool:
        at = bisect_left(self._sorted, rest)
        return at < len(self._sorted) and self._sorted[at].startswith(rest)


def _forms(name: str) -> tuple[str, ...]:
    """Return how models write a name in a link: bare, encoded, or without spaces alone."""
    return name, quote(name), name.replace(" ", "%20")


def _goes_on(behind: str) -> bool:
    """Whether a name goes on with what stands behind a part of it."""
    if behind[:1] == ".":
        return _PART_OF_A_NAME.match(behind, 1) is not None
    return _PART_OF_A_NAME.match(behind) is not None


def _begun(text: str) -> int:
    """Return how many of a text's last characters may be the beginning of a link."""
    return next((n for n in range(min(len(LINK) - 1, len(text)), 0, -1) if LINK.startswith(text[-n:])), 0)
