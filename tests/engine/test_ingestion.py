"""Taking files into stores: whoever has lost a file, to another or to its deletion, writes no more."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from clew.blobs.folder import Folder
from clew.core.due import Work
from clew.core.stores import Chunking, FileStatus, StoreFile
from clew.engine.due_work import Context, Done
from clew.engine.ingestion import Ingestion, Purge
from clew.store import due_work, files, store_files, vector_stores
from clew.store.database import Database
from clew.store.due_work import Superseded
from clew.store.statement import Transaction
from clew.store.store_files import INGESTION, PURGE, StoredChunk
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place, query
from tests.support.store import NOW, PROJECT, opened
from tests.support.waiting import Gate

pytestmark = pytest.mark.anyio

_TEXT = "".join(f"This is the line {number}.\n" for number in range(40))


class Embedder:
    """Makes vectors of nothing, once it may."""

    name, window_tokens = "made-up", 256

    def __init__(self) -> None:
        self.gate = Gate()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        await self.gate.wait()
        return [bytes(4)] * len(texts)

    async def close(self) -> None:
        """Nothing is held."""


class Library:
    """A store with one file that is to be read, and those who read."""

    def __init__(self, db: Database, blobs: Folder) -> None:
        self.db, self.blobs = db, blobs
        self._readers: list[Ingestion] = []

    async def fill(self) -> None:
        async with self.blobs.draft("file1") as draft:
            await draft.write(_TEXT.encode())
            await draft.keep()
        await self.db.write(files.add, store.file(), None)
        await self.db.write(self._add)

    async def _add(self, tx: Transaction) -> None:
        await vector_stores.add(tx, store.vector_store(embedder=Embedder.name, in_progress=1))
        file = StoreFile(
            id="file_1",
            project=PROJECT,
            created_at=NOW,
            store_id="vs_1",
            filename="file_1.txt",
            chunking=Chunking(100, 0),
        )
        await store_files.add(tx, [file])

    async def due(self, kind: str, lane: str) -> Work:
        """Return the work of a kind, which somebody else may have claimed."""
        found = await self.db.fetch(due_work.due, kind, lane, NOW, 9)
        (work,) = found or [each.work for each in await self.db.scan(due_work.owned, kind)]
        return work

    async def claimed(self, owner: str) -> Work:
        work = await self.due(INGESTION, "vs_1")
        assert await self.db.write(due_work.claim, work, owner, work.attempts + 1)
        return await self.due(INGESTION, "vs_1")

    def reading(self, work: Work) -> "tuple[asyncio.Task[object], Gate]":
        """Begin to read; the gate is where the text has been read and nothing has been written."""
        embedder = Embedder()
        reader = Ingestion(self.db, self.blobs, embedder, ManualClock(NOW))
        self._readers.append(reader)
        task = asyncio.ensure_future(reader.perform(work, Context(self.db, work, noted=1)))
        return task, embedder.gate

    async def read(self, work: Work) -> None:
        """Read it to the end."""
        task, gate = self.reading(work)
        gate.opened.set()
        outcome = await task
        assert isinstance(outcome, Done)
        assert await self.db.write(due_work.finish, work, outcome.result)

    async def chunks(self) -> list[StoredChunk]:
        file = await self.db.fetch(store_files.get, "vs_1", "file_1")
        assert file is not None
        assert file.status == FileStatus.COMPLETED
        return await self.db.scan(store_files.chunks_of, file.seq, 0, 99)

    async def close(self) -> None:
        for reader in self._readers:
            await reader.close()


@pytest.fixture
async def library(place: Place, tmp_path: Path) -> AsyncIterator[Library]:
    async with opened(place) as db:
        library = Library(db, Folder(tmp_path / "blobs"))
        await library.fill()
        yield library
        await library.close()


async def test_a_reader_that_was_taken_for_gone_changes_nothing_of_what_another_has_read(
    library: Library,
) -> None:
    late, gate = library.reading(await library.claimed("worker_1"))
    await gate.reached.wait()
    await library.read(await library.claimed("worker_2"))
    read = await library.chunks()
    assert "".join(chunk.text for chunk in read) == _TEXT
    gate.opened.set()
    with pytest.raises(Superseded):
        await late
    assert await library.chunks() == read


async def test_nothing_stays_of_a_file_that_is_deleted_while_it_is_read(
    library: Library, place: Place
) -> None:
    reading, gate = library.reading(await library.claimed("worker_1"))
    await gate.reached.wait()
    file = await library.db.fetch(store_files.get, "vs_1", "file_1")
    assert file is not None
    assert await library.db.write(store_files.remove, file, NOW)
    purge = await library.due(PURGE, PROJECT)
    await Purge(library.db).perform(purge, Context(library.db, purge, noted=1))
    gate.opened.set()
    with pytest.raises(Superseded):
        await reading
    assert query(place, "SELECT count(*) FROM chunks")[0][0] == 0
