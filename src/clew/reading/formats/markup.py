"""XML from strangers: a stream of tags and text, so that neither depth nor size takes memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn
from xml.parsers import expat

from clew.reading.formats.out import Refused

_LONGEST_PIECE = 64_000_000  # bytes

Start = Callable[[str, dict[str, str]], None]
"""Told of a tag: its name without its namespace, and attributes; see :func:`walk` for their names."""
End = Callable[[str], None]
Text = Callable[[str], None]


def walk(pieces: Iterable[bytes], start: Start, end: End | None = None, text: Text | None = None) -> None:
    """Tell of an XML document's tags and text, in order.

    An attribute that has a namespace is called by the last part of that and its own name: "relationships id".

    Raises:
        Refused: it has a document type, without which there are no entities to expand or to fetch.
        xml.parsers.expat.ExpatError: it isn't well formed.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse

    def started(name: str, attributes: dict[str, str]) -> None:
        start(_local(name), {_last(key): value for key, value in attributes.items()})

    def ended(name: str) -> None:
        if end is not None:
            end(_local(name))

    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.CharacterDataHandler = text
    for piece in _growing(pieces):
        parser.Parse(piece, False)
    parser.Parse(b"", True)


def _growing(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bytes in pieces each twice as long as the one before, up to a bound.

    Before 2.6, expat reads a tag that isn't complete from its beginning again with each piece: quadratic time
    for one long tag, were the pieces of one length.
    """
    held, size, wanted = [], 0, 1
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= wanted:
            yield b"".join(held)
            held, size, wanted = [], 0, min(2 * size, _LONGEST_PIECE)
    yield b"".join(held)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _refuse(*_: object) -> NoReturn:
    raise Refused("invalid_file", "The file holds XML with a document type, which documents have not.")
