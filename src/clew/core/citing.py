"""Citations in a model's text: markers that name what was found, settled as the text comes. Pure.

A marker is ``【n:m†name】``: of the search ``n``, the result ``m``. One that names no result is taken out:
a reader could do nothing with it. Other text in such brackets is text. From ``【`` on text is held back until
that is settled, 256 characters at most.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_OPEN, _CLOSE = "【", "】"
_LONGEST = 256
MARKER = re.compile(r"【(\d{1,6}:\d{1,6})†[^【】]*】")
"""A whole marker; its group says which result it names."""

_BEGUN = re.compile(r"【\d{1,6}:\d{0,6}(†[^【】]*)?")
_UNFIT = re.compile(r"[【】†\s\x00-\x1f\x7f-\x9f]+")
_NAME = 60


class Settled(NamedTuple):
    """Text that changes no more; ``file_id`` is that of the file that it cites, if it is a marker."""

    text: str
    file_id: str | None = None


def marker(search: int, result: int, filename: str) -> str:
    """Return the marker of a result, with its file's name, made fit and short."""
    name = _UNFIT.sub(" ", filename).strip()[:_NAME].strip() or "source"
    return f"{_OPEN}{search}:{result}†{name}{_CLOSE}"


def place_of(text: str) -> str | None:
    """Return which result a marker names, as ``n:m``; None if the text is no marker."""
    found = MARKER.fullmatch(text)
    return None if found is None else found[1]


class Citing:
    """Settles a text that comes in pieces.

    Args:
        known: the files of the results that may be cited, by ``n:m``.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self._held = ""

    def feed(self, text: str) -> list[Settled]:
        """Take a piece of text; return what is settled by it."""
        settled: list[Settled] = []
        for part in re.split(f"({_OPEN}|{_CLOSE})", text):
            if part == _OPEN:
                _add(settled, self._held)
                self._held = part
            elif not self._held:
                _add(settled, part)
            else:
                self._held += part
                if part == _CLOSE:
                    settled += self._closed()
                elif len(self._held) > _LONGEST:
                    _add(settled, self._held)
                    self._held = ""
        return settled

    def end(self) -> list[Settled]:
        """Return what is left when no more comes. A marker that was begun is rubbish."""
        held, self._held = self._held, ""
        return [] if not held or _BEGUN.fullmatch(held) else [Settled(held)]

    def _closed(self) -> list[Settled]:
        held, self._held = self._held, ""
        place = place_of(held)
        if place is None:
            return [Settled(held)]
        file_id = self._known.get(place)
        return [] if file_id is None else [Settled(held, file_id)]


def _add(settled: list[Settled], text: str) -> None:
    if text:
        settled.append(Settled(text))
