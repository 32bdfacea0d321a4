"""Images as a model is shown them: read, scaled and encoded when a request is sent.

Rows and histories keep only where an image is: which file, which URL, or which part of a message that carries
it in itself. Scaling goes on in a process of its own.
"""

import asyncio
import base64
import binascii
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from clew.blobs.blobs import BlobMissing, Blobs
from clew.blobs.local import local_copy
from clew.clock import Clock
from clew.core.content import ImageUrlContent
from clew.core.options import Json
from clew.engine.picture_urls import PictureUrls
from clew.model.chat import ChatRequest, is_image
from clew.reading.reader import CannotRead, Reader
from clew.store import files, messages
from clew.store.database import Database

MOST = 20
"""Images that a model is shown of a conversation: the newest."""

_LONGEST, _LONGEST_LOW = 2048, 512
"""Pixels of an image's longer side."""

_CACHE = 32 * 1024 * 1024
"""Bytes of encoded images that are kept: the next turn shows the same ones."""

_KEEP_FETCHED, _KEEP_REFUSAL = 10 * 60_000, 30_000
"""Milliseconds for which a URL is not asked again, after it has given an image or none."""

_PATIENCE = 30.0
"""Seconds that a request waits for all its images by URL together."""

_GONE = "an image that is not there any more"

_log = logging.getLogger(__name__)

_Key: TypeAlias = tuple[str | int, ...]
"""Where an image is, and whether it is wanted small. What a project's messages name has its name in it."""

_Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Path]]


class _Shown(NamedTuple):
    """An image as it is sent, or the note that stands in its place; forgotten at ``until`` if not before."""

    url: str | None
    note: str = ""
    until: int | None = None


class _Making:
    """An image that is being made, for all who wait for it."""

    def __init__(self, task: asyncio.Task[_Shown]) -> None:
        self.task, self.waiting = task, 0


class Images:
    """Puts images in the places of the parts that stand for them."""

    def __init__(self, db: Database, blobs: Blobs, clock: Clock, urls: PictureUrls) -> None:
        self._db, self._blobs, self._clock, self._by_url = db, blobs, clock, urls
        self._reader = Reader(2)
        self._kept: OrderedDict[_Key, _Shown] = OrderedDict()
        self._size = 0
        self._making: dict[_Key, _Making] = {}

    async def shown(self, request: ChatRequest, project: str) -> ChatRequest:
        """Return a request with its images. Older ones become a note, and so does what can't be shown."""
        parts = [part for message in request.messages for part in _parts(message) if is_image(part)]
        older = max(0, len(parts) - MOST)
        patience = asyncio.get_running_loop().time() + _PATIENCE
        tasks = [asyncio.ensure_future(self._part(part, project, patience)) for part in parts[older:]]
        try:
            made = iter([*[_note("an older image")] * older, *await asyncio.gather(*tasks)])
        finally:
            for task in tasks:
                task.cancel()
        shown = [
            message | {"content": [next(made) if is_image(part) else part for part in _parts(message)]}
            if any(map(is_image, _parts(message)))
            else message
            for message in request.messages
        ]
        return replace(request, messages=tuple(shown))

    async def _part(self, part: Json, project: str, patience: float) -> Json:
        kind = part["type"]
        image = part[kind]
        if kind == "image_url" and self._by_url.policy == "pass":
            return part
        try:
            shown = await _WAYS[kind](self, image, project, patience)
        except BlobMissing:  # what is deleted is shown no more, whatever is kept here
            return _note(_GONE)
        if shown.url is None:
            return _note(shown.note)
        return {"type": "image_url", "image_url": {"url": shown.url, "detail": image["detail"]}}

    async def _of_file(self, image: Json, project: str, _: float) -> _Shown:
        file = await self._db.fetch(files.get, project, image["file_id"])
        if file is None:
            raise BlobMissing(image["file_id"])
        return await self._once(("file", file.blob), image, lambda: self._blobs.local(file.blob))

    async def _of_message(self, image: Json, project: str, _: float) -> _Shown:
        place = (project, image["thread_id"], image["message_id"])

        async def pieces() -> AsyncIterator[bytes]:
            message = await self._db.scan(messages.get, *place)
            part = None if message is None else message.content[image["index"]]
            if not isinstance(part, ImageUrlContent):
                raise BlobMissing
            yield await asyncio.to_thread(_decoded, part.image_url.url)

        return await self._once(("data", *place, image["index"]), image, lambda: local_copy(pieces()))

    async def _of_url(self, image: Json, project: str, patience: float) -> _Shown:
        url = image["url"]
        if self._by_url.policy == "off":
            return _Shown(None, "an image by URL, which this server shows to no model")
        try:
            async with asyncio.timeout_at(patience):
                return await self._once(
                    ("url", project, url), image, lambda: self._by_url.local(url, project), _KEEP_FETCHED
                )
        except TimeoutError:
            return _Shown(None, "an image that can't be shown: it took too long to get it")

    async def _once(self, where: _Key, image: Json, open_: _Open, keep: int | None = None) -> _Shown:
        """Return an image that is kept, or that somebody makes just now, or make it."""
        low = image["detail"] == "low"
        key = (*where, low)
        kept = self._kept.get(key)
        if kept is not None and (kept.until is None or self._clock.now() < kept.until):
            self._kept.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            made = self._made(open_, _LONGEST_LOW if low else _LONGEST, keep)
            making = self._making[key] = _Making(asyncio.ensure_future(self._keeping(key, made)))
        making.waiting += 1
        try:
            return await asyncio.shield(making.task)
        finally:
            making.waiting -= 1
            if not making.waiting:
                making.task.cancel()
                if self._making.get(key) is making:
                    del self._making[key]

    async def _made(self, open_: _Open, longest: int, keep: int | None) -> _Shown:
        now = self._clock.now()
        try:
            async with open_() as path:
                image = await self._reader.image(path, longest)
        except CannotRead as error:
            if keep is not None:
                _log.info("an image by URL can't be shown: %s", error.message)
            return _Shown(None, f"an image that can't be shown: {error.message}", now + _KEEP_REFUSAL)
        url = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
        return _Shown(url, until=None if keep is None else now + keep)

    async def _keeping(self, key: _Key, made: Awaitable[_Shown]) -> _Shown:
        shown = await made
        self._forget(key)
        self._kept[key] = shown
        self._size += _size(key, shown)
        while self._size > _CACHE:
            self._forget(next(iter(self._kept)))
        return shown

    def _forget(self, key: _Key) -> None:
        if (shown := self._kept.pop(key, None)) is not None:
            self._size -= _size(key, shown)

    async def close(self) -> None:
        """End what reads, and what fetches."""
        for making in list(self._making.values()):
            making.task.cancel()
        await self._by_url.close()
        await self._reader.close()


_WAYS = {"image_file": Images._of_file, "image_data": Images._of_message, "image_url": Images._of_url}


def _parts(message: Json) -> list[Json]:
    parts = message.get("content")
    return parts if isinstance(parts, list) else []


def _note(what: str) -> Json:
    return {"type": "text", "text": f"[{what}]"}


def _size(key: _Key, shown: _Shown) -> int:
    """Return the bytes that an image takes here, roughly."""
    return 200 + sum(len(str(each)) for each in key) + len(shown.url or shown.note)


def _decoded(url: str) -> bytes:
    """Return what a data URL holds (RFC 2397), which must be Base64.

    Raises:
        CannotRead: it is no such URL.
    """
    head, comma, data = url.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError
        return base64.b64decode(data)
    except (ValueError, binascii.Error):
        raise CannotRead("invalid_file", "It is no data URL in Base64.") from None
