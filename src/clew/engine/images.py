"""Images among the files, as a model is shown them: read, scaled and encoded when a request is sent.

Rows and histories keep only which file it is. Scaling goes on in a process of its own.
"""

import base64
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from clew.blobs.blobs import BlobMissing, Blobs
from clew.core.options import Json
from clew.model.chat import ChatRequest
from clew.reading.reader import CannotRead, Reader
from clew.store import files
from clew.store.database import Database

PART = "image_file"
"""The type of a part that stands for an image until the request is sent."""

MOST = 20
"""Images that a model is shown of a conversation: the newest."""

TOKENS, TOKENS_LOW = 765, 85
"""What an image is taken to cost: 85, and 170 for each of four tiles of a large one (OpenAI's rule)."""

_LONGEST, _LONGEST_LOW = 2048, 512
"""Pixels of an image's longer side."""

_CACHE = 32 * 1024 * 1024
"""Bytes of encoded images that are kept: the next turn shows the same ones."""


class _Wanted(NamedTuple):
    blob: str
    low: bool


class Images:
    """Puts images in the places of the parts that stand for them."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db, self._blobs = db, blobs
        self._reader = Reader(2)
        self._urls: OrderedDict[_Wanted, str] = OrderedDict()
        self._size = 0

    async def shown(self, request: ChatRequest, project: str) -> ChatRequest:
        """Return a request with its images. Older ones become a note."""
        count = sum(_count(message) for message in request.messages)
        messages = []
        for message in request.messages:
            parts = message.get("content")
            if not _count(message) or not isinstance(parts, list):
                messages.append(message)
                continue
            made = []
            for part in parts:
                if part.get("type") == PART:
                    part = await self._part(part, project) if count <= MOST else _note("an older image")
                    count -= 1
                made.append(part)
            messages.append(message | {"content": made})
        return replace(request, messages=tuple(messages))

    async def _part(self, part: Json, project: str) -> Json:
        image = part[PART]
        try:
            file = await self._db.fetch(files.get, project, image["file_id"])
            if file is None:  # what is deleted is shown no more, whatever is kept here
                raise BlobMissing(image["file_id"])
            url = await self._url(_Wanted(file.blob, image["detail"] == "low"))
        except BlobMissing:
            return _note("an image that is not there any more")
        except CannotRead as error:
            return _note(f"an image that can't be shown: {error.message}")
        return {"type": "image_url", "image_url": {"url": url, "detail": image["detail"]}}

    async def _url(self, wanted: _Wanted) -> str:
        if (url := self._urls.get(wanted)) is not None:
            self._urls.move_to_end(wanted)
            return url
        async with self._blobs.local(wanted.blob) as path:
            image = await self._reader.image(path, _LONGEST_LOW if wanted.low else _LONGEST)
        url = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
        self._size += len(url) - len(self._urls.pop(wanted, ""))  # another may have been quicker
        self._urls[wanted] = url
        while self._size > _CACHE:
            self._size -= len(self._urls.popitem(last=False)[1])
        return url

    async def close(self) -> None:
        """End what reads."""
        await self._reader.close()


def _count(message: Json) -> int:
    parts = message.get("content")
    return sum(part.get("type") == PART for part in parts) if isinstance(parts, list) else 0


def _note(what: str) -> Json:
    return {"type": "text", "text": f"[{what}]"}


def tokens_of_images(content: str | Sequence[Json]) -> int:
    """Return what the images of a message are taken to cost: 0 where it has none."""
    if isinstance(content, str):
        return 0
    details = [part[PART]["detail"] for part in content if part["type"] == PART]
    return sum(TOKENS_LOW if detail == "low" else TOKENS for detail in details)
