"""Frames between us and a kernel. What comes is read as if an enemy had written it: often one has."""

import asyncio
import struct
from typing import Literal

import msgspec
from msgspec import Struct

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


class Nonsense(Exception):
    """What came is nothing that our kernel says."""


class LeftFile(Struct, array_like=True, forbid_unknown_fields=True):
    """A file that changed: its name and size."""

    name: str
    size: int


class Reply(Struct, forbid_unknown_fields=True):
    """What a kernel says. ``id`` is that of the request, 0 for what it says at its start."""

    id: int
    what: Literal["ready", "plot", "done", "trouble"]
    why: str = ""
    raised: bool = False
    left: list[LeftFile] = []
    unseen: int = 0


_REPLY = msgspec.json.Decoder(Reply)


def plain(name: str) -> bool:
    """Whether a name is one of a file in a folder, and nothing that surprises whoever sees it."""
    return (
        0 < len(name.encode(errors="replace")) <= _LONGEST_NAME
        and not name.startswith(".")
        and "/" not in name
        and "\\" not in name
        and name.isprintable()
    )


def request(do: str, number: int, body: bytes = b"", **more: object) -> bytes:
    """Return the frame of a request."""
    head = msgspec.json.encode({"do": do, "id": number} | more)
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
        said = _REPLY.decode(await reader.readexactly(head))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Nonsense("a frame can't be read") from error
    if body > (MOST_PLOT if said.what == "plot" else PIECE):
        raise Nonsense("a frame is too large")
    return said, await reader.readexactly(body)


def left_of(said: Reply) -> tuple[tuple[Left, ...], int]:
    """Return the files that a kernel says were left, and how many more."""
    sound = [each for each in said.left if plain(each.name) and 0 <= each.size <= MOST_DISK]
    kept = {each.name: Left(name=each.name, size=each.size) for each in sound[:MOST_FILES]}
    more = len(said.left) - len(kept) + min(max(0, said.unseen), 1_000_000)
    return tuple(kept.values()), more
