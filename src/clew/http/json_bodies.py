"""Looks through a body before it is decoded: what nests too deeply or has too many parts is refused.

Decoding and checking cost as much as a body has parts, whatever its size; a text is one part. A large body is
looked through in slices of about a millisecond, so that others' requests come in between.
"""

import asyncio
import re
from collections.abc import Iterator

from clew.wire.errors import invalid

DEEPEST = 256
"""Levels of arrays and objects in a body. Far below what Python's recursion limit lets us read back."""

MOST_PARTS = 200_000
"""Texts, brackets and commas in a body: they are decoded within some 30 milliseconds."""

_SMALL = 32 * 1024
"""Bytes that are looked through at once."""

_SLICE = 64 * 1024
"""Work between two pauses: bytes, parts and turns of the loop, each at what it costs."""

_A_PART, _A_TURN = 20, 100
_PART = re.compile(rb'"[^"\\]{0,200}+"|["\[\]{},]')
"""A short text without escapes is found whole; of others, where they begin."""

_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+){0,3000}+', re.DOTALL)
_QUOTE, _OPEN, _CLOSE = ord('"'), frozenset(b"[{"), frozenset(b"]}")


async def look_through(body: bytes) -> None:
    """Look through a body.

    Raises:
        ApiError: it nests deeper than ``DEEPEST`` levels, or has more than ``MOST_PARTS`` parts.
    """
    if len(body) <= _SMALL:
        if body.count(b"{") + body.count(b"[") > DEEPEST:
            for _ in _slices(body):
                pass
        return
    for _ in _slices(body):
        await asyncio.sleep(0)


def _slices(body: bytes) -> Iterator[None]:
    """Look through a body; pause after every slice. What is no JSON is the decoder's to refuse."""
    position = parts = depth = work = 0
    in_text = False
    while position < len(body):
        begin, end = position, min(len(body), position + _SLICE)
        if in_text:
            position, in_text = _behind(body, position, end)
        else:
            position = end
            for part in _PART.finditer(body, begin, end):
                parts, work = parts + 1, work + _A_PART
                byte = body[part.start()]
                depth += (byte in _OPEN) - (byte in _CLOSE)
                in_text = byte == _QUOTE and part.end() == part.start() + 1
                if in_text or work > _SLICE or depth > DEEPEST:
                    position = part.end()
                    break
        work += position - begin + _A_TURN
        if depth > DEEPEST:
            raise invalid(f"The JSON body of your request nests deeper than {DEEPEST} levels.")
        if parts > MOST_PARTS:
            message = (
                f"The JSON body of your request has more than {MOST_PARTS:,} texts, brackets and commas."
            )
            raise invalid(message)
        if work > _SLICE:
            work = 0
            yield


def _behind(body: bytes, position: int, end: int) -> tuple[int, bool]:
    """Return how far a text was read, and whether it goes on behind that."""
    text = _TEXT.match(body, position, end)
    assert text is not None  # it matches nothing at all, too
    stop = text.end()
    if stop < len(body) and body[stop] == _QUOTE:
        return stop + 1, False
    if stop == position:  # a backslash at the end of what was looked at
        return min(len(body), position + 2), True
    return stop, True
