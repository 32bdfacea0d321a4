"""Blobs as rows of PostgreSQL: for those who want one thing to back up, and whose files are small."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

from clew.blobs.blobs import BlobMissing, Found, Kept
from clew.blobs.local import local_copy
from clew.clock import Clock
from clew.core.errors import FileTooLarge
from clew.store import blob_parts
from clew.store.database import Database, StoreError

_PART = 1024 * 1024
"""Bytes of a part."""

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of a blob: all that is written passes through the database's log, and through its copies."""


class BlobRows:
    """Blobs in a database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock

    @asynccontextmanager
    async def draft(self, key: str) -> AsyncIterator["RowsDraft"]:
        draft = RowsDraft(self._db, self._clock, _checked(key))
        try:
            yield draft
        finally:
            await draft.end()

    async def read(self, key: str, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if not await self._db.fetch(blob_parts.is_whole, _checked(key)):
            raise BlobMissing(key)
        at = begin
        while end is None or at < end:
            number, skipped = divmod(at, _PART)
            part = await self._db.fetch(blob_parts.get, key, number + 1)
            if part is None:
                if not await self._db.fetch(blob_parts.is_whole, key):
                    raise BlobMissing(key)  # it was deleted meanwhile
                return
            piece = part[skipped : None if end is None else skipped + end - at]
            if not piece:
                return
            at += len(piece)
            yield piece

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        async with local_copy(self.read(key)) as path:
            yield path

    async def remove(self, key: str) -> None:
        await self._db.write(blob_parts.remove, _checked(key))

    async def found(self) -> AsyncIterator[Found]:
        after = ""
        while page := await self._db.scan(blob_parts.page, after):
            for key, at in page:
                yield Found(key, (self._clock.now() - at) / 1000)
            after = page[-1][0]


class RowsDraft:
    """A blob that is being written, part by part."""

    def __init__(self, db: Database, clock: Clock, key: str) -> None:
        self._db, self._clock, self._key = db, clock, key
        self._hash = sha256()
        self._waiting = bytearray()
        self._parts = 0
        self._kept = False
        self.size = 0

    async def write(self, piece: bytes) -> None:
        """Add bytes.

        Raises:
            FileTooLarge: a blob has so many that the database is no place for them.
        """
        if self.size + len(piece) > MOST_BYTES:
            raise FileTooLarge(MOST_BYTES)
        self._waiting += piece
        self.size += len(piece)
        while len(self._waiting) >= _PART:
            await self._add(bytes(self._waiting[:_PART]))
            del self._waiting[:_PART]

    async def keep(self) -> Kept:
        if self._waiting:
            await self._add(bytes(self._waiting))
        await self._db.write(blob_parts.add, self._key, 0, self._clock.now(), b"")
        self._kept = True
        return Kept(self.size, self._hash.hexdigest())

    async def end(self) -> None:
        """Throw away what was not kept. Where the database is away, the sweep does it."""
        if not self._kept and self._parts:
            with suppress(StoreError, OSError):
                await self._db.write(blob_parts.remove, self._key)

    async def _add(self, data: bytes) -> None:
        self._hash.update(data)
        self._parts += 1
        await self._db.write(blob_parts.add, self._key, self._parts, self._clock.now(), data)


def _checked(key: str) -> str:
    assert key.isalnum(), "keys are made here, of letters and digits"
    return key
