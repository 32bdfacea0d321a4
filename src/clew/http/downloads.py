"""Downloads: a file's bytes as an answer, whole or one range of them. Source: RFC 9110, 14; RFC 6266."""

import re
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from clew.core.files import File
from clew.wire.errors import ApiError

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PLAIN = re.compile(r"[^ !#-\[\]-~]")
"""What may not stand in a quoted name as it is."""


def etag(file: File) -> str:
    """Return what the bytes of a file are known by."""
    return f'"{file.sha256}"'


class Span(NamedTuple):
    """Which bytes are sent: from ``begin`` to before ``end``."""

    begin: int
    end: int


class Download:
    """A file's bytes. They are never shown by a browser as something else than a download."""

    def __init__(
        self, file: File, read: Callable[[int, int], AsyncIterator[bytes]], asked: str | None = None
    ) -> None:
        self._file, self._read, self._asked = file, read, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = _span(self._asked, self._file.bytes)
        begin, end = span or (0, self._file.bytes)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % (end - begin)),
            (b"content-disposition", _attachment(self._file.filename)),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag(self._file).encode()),
        ]
        if span is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (begin, end - 1, self._file.bytes)))
        pieces = self._read(begin, end)
        first = b"" if scope["method"] == "HEAD" else await anext(pieces, b"")
        await send({"type": "http.response.start", "status": 206 if span else 200, "headers": headers})
        if first:
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _span(asked: str | None, size: int) -> Span | None:
    """Return the bytes that ``Range`` asks for; None if all, as for several ranges at once.

    Raises:
        ApiError: there are none there.
    """
    found = _RANGE.fullmatch(asked or "")
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        begin, end = max(0, size - int(found[2])), size
    else:
        begin, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if found[1] and found[2] and int(found[2]) < int(found[1]):
        return None  # no range at all, so it is ignored
    if begin >= end:
        message = f"The file has {size:,} bytes, none of them in the range '{(asked or '')[:50]}'."
        raise ApiError(416, message, headers={"content-range": f"bytes */{size}"})
    return Span(begin, end)


def _attachment(filename: str) -> bytes:
    plain = _PLAIN.sub("_", filename)
    said = f'attachment; filename="{plain}"'
    if plain != filename:
        said += f"; filename*=UTF-8''{quote(filename.encode('utf-8', 'replace'), safe='')}"
    return said.encode("latin-1")
