"""Files are taken into vector stores: read, cut, turned into vectors, and found from then on.

Everything that costs time goes on in processes of its own or in threads. Chunks are stored bit by bit, so
that no writer waits for long; what makes a file found is one transaction at the end. One that is broken off
begins anew.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from clew.blobs.blobs import BlobMissing, Blobs
from clew.clock import Clock
from clew.core.due import Limits, Work
from clew.core.stores import FileError, FileStatus, StoreFile, VectorStore
from clew.engine.due_work import Context, Done, Failed, Kind, Outcome
from clew.reading.reader import CannotRead, Reader
from clew.search.chunks import MOST_TOKENS, Split, TooLong
from clew.search.embedder import Embedder, Unembeddable
from clew.search.splitting import Splitter
from clew.store import files, near, reindexing, store_files, vector_stores
from clew.store.database import Database
from clew.store.due_work import Result
from clew.store.statement import Transaction
from clew.store.store_files import INGESTION, PURGE, FileVectors, StoredChunk, store_key

_RETRIES = (1_000, 5_000, 30_000, 120_000)
"""Milliseconds between attempts; after the last the file has failed."""

_AT_ONCE = 64
"""Windows that are embedded at once, and chunks that one transaction stores or deletes."""

_READ_AT_ONCE = 2
"""Files whose text is extracted at once: each may take half a gigabyte."""

_WINDOW = 256
"""Tokens of a window where nobody embeds it."""

_log = logging.getLogger(__name__)


class Ingestion(Kind):
    """Takes files into vector stores.

    Args:
        embedder: makes vectors; None where stores are searched by words alone.
    """

    name = INGESTION
    limits = Limits(8, 2, 2)
    """A project with long files leaves places to others; an embedder takes their windows in turn."""
    notes_attempts = True

    def __init__(self, db: Database, blobs: Blobs, embedder: Embedder | None, clock: Clock) -> None:
        self._db, self._blobs, self._embedder, self._clock = db, blobs, embedder, clock
        self.woken: Callable[[str, str], None] = lambda run_id, project: None
        """Called with runs, and their project, that waited for the last file of a store and may go on."""
        self._reader = Reader(_READ_AT_ONCE)
        self._splitter = Splitter()

    async def perform(self, work: Work, context: Context) -> Outcome:
        store_id, _, file_id = work.id.partition("/")
        file = await self._db.fetch(store_files.get, store_id, file_id)
        store = await self._db.fetch(vector_stores.get, work.project, store_id)
        if file is None or store is None or file.status != FileStatus.IN_PROGRESS:
            return Done()
        try:
            embedder = self._embedder_of(store)
            split = await self._split(file, embedder)
            ranges = [chunk.windows for chunk in split.chunks]
            vectors = None if embedder is None else await vectors_of(split.windows, ranges, embedder)
        except (CannotRead, TooLong, BlobMissing, Unembeddable) as error:
            if isinstance(error, Unembeddable) and error.again and work.attempts < len(_RETRIES):
                return Failed(error.message)
            return self._failed(file, _told(error))
        while await context.write(store_files.drop_chunks, file.seq, _AT_ONCE):
            pass  # of an attempt that was broken off
        usage = await self._store(file, split, context)
        usage += 0 if vectors is None else len(vectors.data)
        name = None if embedder is None else embedder.name
        now = self._clock.now()
        result = partial(_complete, file=file, embedder=name, vectors=vectors, usage=usage, now=now)
        return self._settled(file, result)

    def _embedder_of(self, store: VectorStore) -> Embedder | None:
        """Return who makes a store's vectors, or is to: what comes meanwhile needs the old ones no more.

        Raises:
            Unembeddable: it is not there any more.
        """
        name = None if self._embedder is None else self._embedder.name
        if name == store.embedder or (store.reindexing is not None and name == store.reindexing.embedder):
            return self._embedder
        if store.embedder is None:
            return None
        raise Unembeddable(
            f"The vectors of {store.id} were made with {store.embedder}, and this server embeds with "
            f"{name or 'none'}: run `clew stores reindex {store.id}`, then add the file again.",
            again=False,
        )

    async def _split(self, file: StoreFile, embedder: Embedder | None) -> Split:
        record = await self._db.fetch(files.get, file.project, file.id)
        if record is None:
            raise BlobMissing(file.id)
        async with self._blobs.local(record.blob) as path:
            sections = await self._reader.text(path, file.filename)
        window = _WINDOW if embedder is None else embedder.window_tokens
        return await self._splitter.split(sections, file.chunking.tokens, file.chunking.overlap, window)

    async def _store(self, file: StoreFile, split: Split, context: Context) -> int:
        """Store a file's chunks; return the bytes of their texts."""
        key, usage = store_key(file.store_id), 0
        for start in range(0, len(split.chunks), _AT_ONCE):
            some = [
                StoredChunk(
                    key, file.seq, number, each.text, each.tokens, each.page, each.first_line, each.last_line
                )
                for number, each in enumerate(split.chunks[start : start + _AT_ONCE], start)
            ]
            await context.write(store_files.add_chunks, some)
            usage += sum(len(each.text.encode()) for each in some)
        return usage

    def _failed(self, file: StoreFile, error: FileError) -> Outcome:
        async def result(tx: Transaction) -> None:
            await store_files.settle(tx, file, FileStatus.FAILED, error=error)

        _log.info("%s of %s could not be taken in: %s", file.id, file.store_id, error.message)
        return self._settled(file, result)

    def _settled(self, file: StoreFile, result: Result) -> Done:
        """Write a result, and have runs go on that waited for the last file of the store."""
        woken: list[str] = []

        async def and_wake(tx: Transaction) -> None:
            await result(tx)
            woken[:] = await vector_stores.wake(tx, file.project, file.store_id)

        return Done(and_wake, stored=lambda _: self._go_on(woken, file.project))

    def _go_on(self, woken: list[str], project: str) -> None:
        for run_id in woken:
            self.woken(run_id, project)

    def delay(self, work: Work) -> int | None:
        return _RETRIES[work.attempts] if work.attempts < len(_RETRIES) else None

    def broken_off(self, work: Work) -> Failed:
        """A file that ends its process again and again fails alone."""
        said = "The server broke off while it read the file."
        store_id, _, file_id = work.id.partition("/")
        woken: list[str] = []

        async def result(tx: Transaction, due: int | None) -> None:
            file = await store_files.get(tx, store_id, file_id)
            if due is None and file is not None:
                error = FileError("server_error", said)
                await store_files.settle(tx, file, FileStatus.FAILED, error=error)
                woken[:] = await vector_stores.wake(tx, work.project, store_id)

        def stored(due: int | None) -> None:
            then = "it has failed" if due is None else "it begins anew"
            _log.warning("%s of %s: the reading broke off, %s", file_id, store_id, then)
            self._go_on(woken, work.project)

        return Failed(said, result, stored)

    async def close(self) -> None:
        await self._reader.close()
        self._splitter.close()
        if self._embedder is not None:
            await self._embedder.close()


class Purge(Kind):
    """Deletes what is left of files that were taken out of their stores: a little at a time."""

    name = PURGE
    limits = Limits(1, 1, 1)
    notes_attempts = True

    def __init__(self, db: Database) -> None:
        self._db = db

    async def perform(self, work: Work, context: Context) -> Outcome:
        for store_file in work.payload or ():
            while await self._db.write(store_files.drop_chunks, store_file, _AT_ONCE):
                await context.progress(None)
            if self._db.pgvector is not None:
                await self._db.write(near.forget, store_file)
        return Done()

    def delay(self, work: Work) -> int:
        return _RETRIES[min(work.attempts, len(_RETRIES) - 1)]

    async def close(self) -> None:
        """Nothing is held."""


async def vectors_of(
    windows: Sequence[str], ranges: list[tuple[int, int]], embedder: Embedder
) -> FileVectors:
    """Return the vectors of a file's windows; ``ranges`` are the first and the last of each chunk.

    Raises:
        Unembeddable: it can't be done, or not now.
    """
    found: list[bytes] = []
    for start in range(0, len(windows), _AT_ONCE):
        found += await embedder.embed(windows[start : start + _AT_ONCE])
    return FileVectors(len(found[0]) // 2 if found else 0, ranges, b"".join(found))


async def _complete(
    tx: Transaction,
    file: StoreFile,
    embedder: str | None,
    vectors: FileVectors | None,
    usage: int,
    now: int,
) -> None:
    """Have searches find a file; if its store got other vectors while it was read, have it get them too."""
    if not await store_files.settle(tx, file, FileStatus.COMPLETED, usage_bytes=usage):
        return
    if vectors is not None and embedder is not None:
        await store_files.add_vectors(tx, file.seq, embedder, vectors)
    store = await vector_stores.get(tx, file.project, file.store_id)  # ours since it was counted
    if store is not None and store.reindexing is None and store.embedder not in (None, embedder):
        await reindexing.begin(tx, store, store.embedder, now)


def _told(error: Exception) -> FileError:
    """Return what a client is told of a file that can't be taken in."""
    if isinstance(error, CannotRead):
        return FileError(error.code, error.message)
    if isinstance(error, TooLong):
        return FileError("invalid_file", f"The file has more than {MOST_TOKENS:,} tokens.")
    if isinstance(error, Unembeddable):
        return FileError("server_error", error.message)
    return FileError("invalid_file", "The file is not there any more.")
