"""Images that messages give by URL, got from where it leads: through the guard, and bounded in every way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias
from weakref import WeakValueDictionary

from clew.blobs.local import local_copy
from clew.net.client import GuardedHttp, Unreachable
from clew.net.guard import Guard, UrlBlocked
from clew.reading.reader import CannotRead, image_type

Policy: TypeAlias = Literal["fetch", "pass", "off"]
"""Whether this server gets images by URL, the model's endpoint does, or nobody."""

MOST_BYTES = 20_000_000
"""Bytes of an image, as OpenAI allows them."""

_SECONDS = 15.0
"""For one image, from resolving the name to the last byte."""

_AT_ONCE, _AT_ONCE_EACH = 16, 4
"""Images that a process gets at once, and those of one project: a server that drips holds up few others."""

_HEADERS = {"Accept": "image/jpeg, image/png, image/gif, image/webp"}
_MAGIC = 12


class PictureUrls:
    """Gets images. For one event loop.

    Args:
        guard: says where requests may go.
        policy: what becomes of URLs.
        timeout: seconds for one image.
    """

    def __init__(self, guard: Guard, policy: Policy = "fetch", *, timeout: float = _SECONDS) -> None:
        self.policy: Policy = policy
        self._http = GuardedHttp(guard, timeout=timeout)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._of_project: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def local(self, url: str, project: str) -> AsyncIterator[Path]:
        """Give the image that a URL leads to as a file of this machine.

        Raises:
            CannotRead: it can't be had, in words that are fit for clients.
        """
        own = self._of_project.setdefault(project, asyncio.Semaphore(_AT_ONCE_EACH))
        async with own, self._places:
            try:
                pieces = self._http.download(url, MOST_BYTES, _HEADERS)
                async with aclosing(pieces), local_copy(_checked(pieces)) as path:
                    yield path
            except UrlBlocked as error:
                raise CannotRead("invalid_file", f"Its URL may not be asked: {error}.") from None
            except Unreachable as error:
                raise CannotRead("invalid_file", f"Its URL gives no image: {error}.") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def _checked(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass on what begins like an image; of anything else, no more is read than its beginning."""
    head = b""
    async for piece in pieces:
        if len(head) < _MAGIC:
            head += piece
            if len(head) >= _MAGIC and image_type(head) is None:
                break
        yield piece
    if image_type(head) is None:
        raise CannotRead("unsupported_file", "The image must be a JPEG, PNG, GIF or WebP.")
