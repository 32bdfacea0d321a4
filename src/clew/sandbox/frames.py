"""Frames between us and a kernel. What comes is read as if an enemy had written it: often one has."""

import asyncio
import struct
from typing import NamedTuple

from clew.sandbox.sandbox import MOST_DISK, MOST_FILES, Left

PIECE = 256 * 1024
"""Bytes of a file that go in one frame."""

MOST_CODE = 1024 * 1024
"""Bytes of a cell's code."""

MOST_PLOT = 8 * 1024 * 1024
"""Bytes of one picture."""

_SIZES = struct.Struct("!II")
_MOST_HEAD = 64 * 1024
_LONGEST_NAME = 255
_DIGITS = 12
_KINDS = {"ready": 0, "plot": MOST_PLOT, "done": PIECE, "trouble": 0}
"""What kernels say, and the bytes that may come with it."""


class Nonsense(Exception):
    """What came is nothing that our kernel says."""


class Reply(NamedTuple):
    """What a kernel says: to which request (0 for what it says at its start), and the fields of its kind."""

    what: str
    id: int
    more: list[str]


def plain(name: str) -> bool:
    """Whether a name is one of a file in a folder, and nothing that surprises whoever sees it."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= _LONGEST_NAME
        and not name.startswith(".")
        and "/" not in name
        and "\\" not in name
        and name.isprintable()
    )


def request(do: str, number: int, body: bytes = b"", *more: str) -> bytes:
    """Return the frame of a request; no field has a line's end."""
    head = "\n".join((do, str(number), *more)).encode()
    return _SIZES.pack(len(head), len(body)) + head + body


async def reply(reader: asyncio.StreamReader) -> tuple[Reply, bytes]:
    """Return what a kernel says next.

    Raises:
        Nonsense: it is no frame, or larger than one may be.
        EOFError: nothing comes any more.
        OSError: the same, worded by the system.
    """
    head, body = _SIZES.unpack(await reader.readexactly(_SIZES.size))
    if head > _MOST_HEAD or body > MOST_PLOT:
        raise Nonsense("a frame is too large")
    try:
        what, number, *more = (await reader.readexactly(head)).decode().split("\n")
        said = Reply(what, _count(number), more)
    except ValueError as error:
        raise Nonsense("a frame can't be read") from error
    if what not in _KINDS or body > _KINDS[what]:
        raise Nonsense("a frame is unknown, or too large")
    return said, await reader.readexactly(body)


def left_of(said: Reply) -> tuple[bool, tuple[Left, ...], int]:
    """Return what a kernel says of a cell that is done: whether it raised, its files, and how many more.

    Raises:
        Nonsense: it says nothing of the kind.
    """
    try:
        raised, unseen, *told = said.more
        names, sizes = told[::2], [_count(each) for each in told[1::2]]
        found = dict(zip(names, sizes, strict=True))
        more = _count(unseen)
    except ValueError as error:
        raise Nonsense("what is left can't be read") from error
    sound = [Left(name=name, size=size) for name, size in found.items() if plain(name) and size <= MOST_DISK]
    kept = tuple(sound[:MOST_FILES])
    return raised != "0", kept, more + len(names) - len(kept)


def _count(text: str) -> int:
    """A number as the kernel writes it: a few digits, nothing else that ``int`` takes."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError(text[:20])
    return int(text)
