"""Files: uploaded, read, deleted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clew.blobs.blobs import BlobMissing, Draft
from clew.core.errors import ContentGone, FileEmpty, FilesFull, FileTooLarge, NotFound
from clew.core.files import MOST_BYTES, File
from clew.ids import FILE
from clew.service.context import Services
from clew.service.vector_stores import hand_on
from clew.store import files, store_files, vector_stores
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction


class Incoming:
    """A file that is coming in."""

    def __init__(self, services: Services, project: str, draft: Draft, key: str, room: int | None) -> None:
        self._services, self._project = services, project
        self._draft, self._key, self._room = draft, key, room

    async def write(self, piece: bytes) -> None:
        """Add bytes.

        Raises:
            FileTooLarge, FilesFull: they are too many.
        """
        size = self._draft.size + len(piece)
        if size > MOST_BYTES:
            raise FileTooLarge(MOST_BYTES)
        if self._room is not None and size > self._room:
            raise FilesFull(self._services.shares.of(self._project).file_bytes or 0)
        await self._draft.write(piece)

    async def keep(self, filename: str, purpose: str) -> File:
        """Keep the file, first its bytes and then its row: what is acknowledged is there.

        Raises:
            FileEmpty: it has no bytes.
            FilesFull: others that came meanwhile left no room.
        """
        services, project = self._services, self._project
        if not self._draft.size:
            raise FileEmpty
        kept = await self._draft.keep()
        file = File(
            id=services.process.ids.new(FILE),
            project=project,
            created_at=services.process.clock.now(),
            filename=filename,
            purpose=purpose,
            bytes=kept.bytes,
            sha256=kept.sha256,
            blob=self._key,
        )
        limit = services.shares.of(project).file_bytes
        if not await services.db.write(files.add, file, limit):
            await _remove(services, self._key)
            raise FilesFull(limit or 0)
        return file


@asynccontextmanager
async def incoming(services: Services, project: str) -> AsyncIterator[Incoming]:
    """Take in a file; whatever was not kept when the context is left is gone."""
    limit = services.shares.of(project).file_bytes
    room = None if limit is None else limit - await services.db.fetch(files.total, project)
    key = services.process.ids.new("")
    async with services.blobs.draft(key) as draft:
        yield Incoming(services, project, draft, key, room)


async def read(services: Services, project: str, file_id: str) -> File:
    """Return what is known of a file.

    Raises:
        NotFound: there is none.
    """
    file = await services.db.fetch(files.get, project, file_id)
    if file is None:
        raise NotFound("file", file_id)
    return file


async def content(
    services: Services, file: File, begin: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """Yield a file's bytes from ``begin`` to before ``end``.

    Raises:
        NotFound: it was deleted a moment ago.
        ContentGone: its bytes are lost.
    """
    try:
        async for piece in services.blobs.read(file.blob, begin, end):
            yield piece
    except BlobMissing:
        await read(services, file.project, file.id)
        raise ContentGone(file.id) from None


async def delete(services: Services, project: str, file_id: str) -> None:
    """Delete a file everywhere: whatever cites it goes on naming it.

    Raises:
        NotFound: there is none.
    """
    now = services.process.clock.now()
    file, woken = await services.db.write(delete_everywhere, project, file_id, now)
    hand_on(services, project, woken)
    await _remove(services, file.blob)


async def _remove(services: Services, blob: str) -> None:
    """Delete bytes that no file names; what can't be deleted now, the sweep takes."""
    try:
        await services.blobs.remove(blob)
    except OSError:
        await services.db.write(files.ask_for_sweep, services.process.clock.now())


async def delete_everywhere(tx: Transaction, project: str, file_id: str, now: int) -> tuple[File, list[str]]:
    """Delete a file's row and take it out of its stores; return it, and the runs that go on.

    Raises:
        NotFound: there is none.
    """
    # Stores first, in one order: whoever puts a file into a store holds the store, and then the file.
    for store_id in sorted(in_store.store_id for in_store in await store_files.of_file(tx, file_id)):
        await vector_stores.hold(tx, project, store_id)
    file = await files.remove(tx, project, file_id)
    if file is None:
        raise NotFound("file", file_id)
    woken = []
    for in_store in await store_files.of_file(tx, file_id):  # once more: it may have come into another
        await vector_stores.hold(tx, project, in_store.store_id)
        await store_files.remove(tx, in_store, now)
        woken += await vector_stores.wake(tx, project, in_store.store_id)
    return file, woken


async def page(services: Services, project: str, wanted: PageRequest, purpose: str | None = None) -> Page:
    """Return one page of the project's files, or of those of one purpose."""
    return await services.db.fetch(files.page, project, wanted, purpose)
