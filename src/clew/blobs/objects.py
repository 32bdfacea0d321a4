"""Blobs as objects of S3, or of whatever speaks as S3 does.

A small blob is put at once, a larger one as a multipart upload, which S3 shows to nobody before it is
complete (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html). Credentials are those of
the environment (``AWS_*``) or of the machine's role: obstore looks for them by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from clew.blobs.blobs import BlobMissing, BlobsAway, Found, Kept
from clew.blobs.local import local_copy

_PART = 8 * 1024 * 1024
"""Bytes of a part of an upload. S3 takes 10,000 parts of 5 MiB at least."""

_AT_ONCE = 2
"""Parts of one upload that are on their way at once: with the one that fills, 24 MiB of memory."""

_PIECE = 1024 * 1024
"""Bytes that a reader is given at once."""

_PROBE = "now-by-the-stores-clock"
"""An object that is written to learn what time the store thinks it is. No key has such a name."""

_PATIENCE = timedelta(seconds=20)
_RETRIES = 3


class Bucket(NamedTuple):
    """Where the objects are. What is None, obstore takes from the environment."""

    name: str
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None


class Objects:
    """Blobs in a bucket, each an object named after its key."""

    def __init__(self, bucket: Bucket) -> None:
        """Prepare; nothing is asked yet.

        Raises:
            ImportError: obstore is not installed.
            ValueError: the bucket can't be named so.
        """
        from obstore.store import S3Store

        config: dict[str, Any] = {"endpoint": bucket.endpoint, "region": bucket.region}
        given: Any = {name: value for name, value in config.items() if value is not None}
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix,
            config=given,
            client_options={
                "allow_http": (bucket.endpoint or "").startswith("http://"),
                "connect_timeout": "5s",
                "timeout": "60s",
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
        )

    @asynccontextmanager
    async def draft(self, key: str) -> AsyncIterator["ObjectDraft"]:
        draft = ObjectDraft(self._store, _checked(key))
        try:
            yield draft
        finally:
            await draft.end()

    async def read(self, key: str, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        import obstore

        with _reading(_checked(key)):
            size = (await obstore.head_async(self._store, key))["size"]
        end = size if end is None else min(end, size)
        for at in range(begin, end, _PIECE):
            with _reading(key):
                piece = await obstore.get_range_async(self._store, key, start=at, end=min(end, at + _PIECE))
            yield bytes(piece)

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        async with local_copy(self.read(key)) as path:
            yield path

    async def remove(self, key: str) -> None:
        import obstore

        with _speaking():  # S3 says nothing of what was not there; others may
            try:
                await obstore.delete_async(self._store, _checked(key))
            except FileNotFoundError:
                return

    async def found(self) -> AsyncIterator[Found]:
        import obstore

        now = await self._now()
        listed = obstore.list(self._store).__aiter__()
        while True:
            with _speaking():
                batch = await anext(listed, None)
            if batch is None:
                return
            for about in batch:
                key = about["path"]
                if key.isalnum():  # what else lies there is not ours
                    yield Found(key, (now - about["last_modified"]).total_seconds())

    async def _now(self) -> datetime:
        import obstore

        with _speaking():
            await obstore.put_async(self._store, _PROBE, b"-", use_multipart=False)
            return (await obstore.head_async(self._store, _PROBE))["last_modified"]


class _GivenUp(Exception):
    """Has an upload broken off: obstore then tells the store to forget its parts."""


class ObjectDraft:
    """A blob that is being written: a part is on its way while the next one fills."""

    def __init__(self, store: Any, key: str) -> None:
        self._store, self._key = store, key
        self._hash = sha256()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._parts: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)
        self._upload: asyncio.Future[Any] | None = None
        self.size = 0

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.size += len(piece)
        self._waiting += len(piece)
        if self._waiting >= _PART:
            part = await self._filled()
            if self._upload is None:
                self._upload = asyncio.ensure_future(self._send())
            await self._hand_over(part)

    async def keep(self) -> Kept:
        import obstore

        last = await self._filled()
        if self._upload is None:
            with _speaking():
                await obstore.put_async(self._store, self._key, last, use_multipart=False)
            return Kept(self.size, self._hash.hexdigest())
        if last:
            await self._hand_over(last)
        await self._hand_over(None)
        upload, self._upload = self._upload, None
        try:
            await asyncio.shield(upload)
        except asyncio.CancelledError:
            self._upload = upload  # it may end either way; the sweep takes what nobody names
            raise
        return Kept(self.size, self._hash.hexdigest())

    async def end(self) -> None:
        """Have the store forget the parts of what was not kept."""
        upload, self._upload = self._upload, None
        if upload is None:
            return
        giving_up = asyncio.ensure_future(self._parts.put(_GivenUp()))
        await asyncio.wait([upload])
        giving_up.cancel()
        if not upload.cancelled():
            upload.exception()

    async def _filled(self) -> bytes:
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        return await asyncio.to_thread(self._joined, pieces)

    def _joined(self, pieces: list[bytes]) -> bytes:
        part = b"".join(pieces)
        self._hash.update(part)
        return part

    async def _hand_over(self, part: bytes | None) -> None:
        """Give a part to the upload; where that has failed, say why."""
        assert self._upload is not None
        handing = asyncio.ensure_future(self._parts.put(part))
        await asyncio.wait([handing, self._upload], return_when=asyncio.FIRST_COMPLETED)
        if not handing.done():
            handing.cancel()
            await self._upload

    async def _send(self) -> None:
        import obstore

        with _speaking():
            await obstore.put_async(
                self._store,
                self._key,
                self._taken(),
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=_AT_ONCE,
            )

    async def _taken(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            if isinstance(part, Exception):
                raise part
            yield part


def _checked(key: str) -> str:
    assert key.isalnum(), "keys are made here, of letters and digits"
    return key


@contextmanager
def _speaking() -> Iterator[None]:
    """Turn what obstore raises into our words. Its own may name the request; the log gets their beginning."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise BlobsAway(f"the store of files did not do what it was asked: {said}") from error


@contextmanager
def _reading(key: str) -> Iterator[None]:
    with _speaking():
        try:
            yield
        except FileNotFoundError:
            raise BlobMissing(key) from None
