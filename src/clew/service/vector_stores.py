"""Vector stores: made, read, changed, deleted, searched; and the files in them, one by one or in batches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from clew.core.errors import (
    BatchNotCancellable,
    NotFound,
    NotSearchable,
    StoreExpired,
    StoreFull,
)
from clew.core.filters import Attribute
from clew.core.stores import MOST_FILES, FileBatch, FileStatus, StoreFile, VectorStore
from clew.ids import FILE_BATCH, VECTOR_STORE, Ids
from clew.search.embedder import Unembeddable
from clew.service.commands import NewStore, NewStoreFile
from clew.service.context import Services
from clew.service.once import Key, once
from clew.store import files, reindexing, store_files, vector_stores
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction
from clew.store.store_files import StoredChunk
from clew.tools.searcher import Found, Wanted

# --- stores -----------------------------------------------------------------------------------------


class Making(NamedTuple):
    """What is needed to make vector stores."""

    ids: Ids
    embedder: str | None
    now: int


def making(services: Services, now: int) -> Making:
    """Return what is needed to make vector stores."""
    return Making(services.process.ids, services.searcher.embedder, now)


def draft(make: Making, project: str, new: NewStore, usual_days: int | None = None) -> VectorStore:
    """Return a vector store's record, not stored yet; ``usual_days`` is its expiry if ``new`` names none."""
    return VectorStore(
        id=make.ids.new(VECTOR_STORE),
        project=project,
        created_at=make.now,
        name=new.name,
        metadata=new.metadata,
        expires_days=new.expires_days or usual_days,
        last_active_at=make.now,
        embedder=make.embedder,
    )


async def create(services: Services, project: str, new: NewStore, key: Key | None = None) -> VectorStore:
    """Make a vector store, and have its files read.

    Raises:
        NotFound: there is no such file.
        KeyReused: the key was used for another request.
    """
    store = draft(making(services, services.process.clock.now()), project, new)
    function = partial(add_with_files, store=store, wanted=new.files)
    made = (await once(services, project, key, function, lambda stored: stored, VectorStore)).receipt
    services.wake_ingestion()
    return made


async def add_with_files(tx: Transaction, store: VectorStore, wanted: Sequence[NewStoreFile]) -> VectorStore:
    """Store a vector store with its files; return it with them counted."""
    await vector_stores.add(tx, store)
    added = await put(tx, store, wanted, store.created_at)
    return replace(store, in_progress=store.in_progress + added, version=store.version + int(added > 0))


async def put(
    tx: Transaction,
    store: VectorStore,
    wanted: Iterable[NewStoreFile],
    now: int,
    batch_id: str | None = None,
) -> int:
    """Put files into a store that is held; return how many. One that is there already is read anew.

    Raises:
        NotFound: there is no such file.
        StoreFull: they are too many.
    """
    unique = list({each.file_id: each for each in wanted}.values())
    ids = [new.file_id for new in unique]
    again = await store_files.some(tx, store.id, ids) if store.counts.total else []
    if store.counts.total - len(again) + len(unique) > MOST_FILES:
        raise StoreFull(MOST_FILES)
    names = await files.names(tx, store.project, ids)
    missing = next((id for id in ids if id not in names), None)
    if missing is not None:
        raise NotFound("file", missing)
    for file_before in again:
        await store_files.remove(tx, file_before, now)
    added = [
        StoreFile(
            id=new.file_id,
            project=store.project,
            created_at=now,
            store_id=store.id,
            filename=names[new.file_id],
            attributes=new.attributes,
            chunking=new.chunking,
            batch_id=batch_id,
        )
        for new in unique
    ]
    await store_files.add(tx, added)
    if unique:
        await vector_stores.count(tx, store.id, batch_id, None, FileStatus.IN_PROGRESS, files=len(unique))
    return len(unique)


async def read(services: Services, project: str, store_id: str) -> VectorStore:
    """Return a vector store.

    Raises:
        NotFound: there is none.
    """
    store = await services.db.fetch(vector_stores.get, project, store_id)
    if store is None:
        raise NotFound("vector_store", store_id)
    return store


async def page(services: Services, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's vector stores."""
    return await services.db.fetch(vector_stores.page, project, wanted)


async def update(services: Services, project: str, store_id: str, fields: Mapping[str, Any]) -> VectorStore:
    """Change fields of a vector store; return it as it is now.

    Raises:
        NotFound: there is none.
    """

    async def change(tx: Transaction) -> VectorStore:
        store = await held(tx, project, store_id)
        changed = replace(store, **fields)
        await vector_stores.save(tx, changed)
        return changed

    return await services.db.write(change)


async def delete(services: Services, project: str, store_id: str) -> None:
    """Delete a vector store. Its files stay files; what was read of them is deleted bit by bit.

    Raises:
        NotFound: there is none.
    """

    async def remove(tx: Transaction) -> list[str]:
        await held(tx, project, store_id)
        await vector_stores.remove(tx, project, store_id)
        await store_files.remove_all(tx, project, store_id, services.process.clock.now())
        return await vector_stores.wake(tx, project, store_id)

    hand_on(services, project, await services.db.write(remove))


def hand_on(services: Services, project: str, woken: Sequence[str]) -> None:
    """Have what was called off stop, what was taken out deleted, and runs go on that waited for it."""
    services.wake_ingestion()
    for run_id in woken:
        services.dispatch.advance(run_id, project=project)


async def reindex(services: Services, project: str, store_id: str) -> VectorStore:
    """Have a store get the vectors of this server's embedder; return it as it is now.

    That goes on in the background, and its old vectors serve until then. Nothing is done if it has them, or
    if that goes on already.

    Raises:
        NotFound: there is no such store.
        StoreExpired: it has expired.
    """
    now = services.process.clock.now()

    async def begin(tx: Transaction) -> VectorStore:
        store = await _open(tx, project, store_id, now)
        return await reindexing.begin(tx, store, services.searcher.embedder, now)

    begun = await services.db.write(begin)
    services.wake_ingestion()
    return begun


async def held(tx: Transaction, project: str, store_id: str) -> VectorStore:
    """Return a store that nobody else changes until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    store = await vector_stores.hold(tx, project, store_id)
    if store is None:
        raise NotFound("vector_store", store_id)
    return store


class Answers(NamedTuple):
    """What was found, best first, and why less may have been found than there is; None if not."""

    found: list[Found]
    warning: str | None


async def search(services: Services, project: str, store_id: str, wanted: Wanted) -> Answers:
    """Return what a store's files say to a query.

    Raises:
        NotFound: there is no such store.
        StoreExpired: it has expired.
        NotSearchable: the query could not be embedded, and no words of it are found.
    """
    store = await read(services, project, store_id)
    if store.status(services.process.clock.now()) == "expired":
        raise StoreExpired(store_id)
    try:
        found = await services.searcher.search([store], wanted)
    except Unembeddable as error:
        raise NotSearchable(error.message) from None
    return Answers(found, services.searcher.hindered(store))


# --- files ------------------------------------------------------------------------------------------


async def add_file(
    services: Services, project: str, store_id: str, new: NewStoreFile, key: Key | None = None
) -> StoreFile:
    """Take a file into a store: it is read in the background.

    Raises:
        NotFound: there is no such store or file.
        StoreExpired, StoreFull: nothing can be added.
        KeyReused: the key was used for another request.
    """
    now = services.process.clock.now()

    async def add(tx: Transaction) -> StoreFile:
        store = await _open(tx, project, store_id, now)
        await put(tx, store, [new], now)
        file = await store_files.get(tx, store_id, new.file_id)
        assert file is not None
        return file

    made = (await once(services, project, key, add, lambda file: file, StoreFile)).receipt
    services.wake_ingestion()
    return made


async def _open(tx: Transaction, project: str, store_id: str, now: int) -> VectorStore:
    store = await held(tx, project, store_id)
    if store.status(now) == "expired":
        raise StoreExpired(store_id)
    return store


async def read_file(services: Services, project: str, store_id: str, file_id: str) -> StoreFile:
    """Return a file as it is in a store.

    Raises:
        NotFound: there is no such store, or no such file in it.
    """
    file = await services.db.fetch(store_files.get, store_id, file_id)
    if file is None or file.project != project:
        await read(services, project, store_id)
        raise NotFound("store_file", file_id)
    return file


async def page_of_files(
    services: Services,
    project: str,
    store_id: str,
    wanted: PageRequest,
    *,
    status: str | None = None,
    batch_id: str | None = None,
) -> Page:
    """Return one page of a store's files.

    Raises:
        NotFound: there is no such store or batch.
    """
    await read(services, project, store_id)
    if batch_id is not None:
        await read_batch(services, project, store_id, batch_id)
    return await services.db.fetch(
        partial(store_files.page, status=status, batch_id=batch_id), project, store_id, wanted
    )


async def update_file(
    services: Services, project: str, store_id: str, file_id: str, attributes: dict[str, Attribute]
) -> StoreFile:
    """Give a file in a store other attributes.

    Raises:
        NotFound: there is no such store, or no such file in it.
    """

    async def change(tx: Transaction) -> StoreFile:
        await held(tx, project, store_id)
        file = await store_files.get(tx, store_id, file_id)
        if file is None:
            raise NotFound("store_file", file_id)
        await store_files.save_attributes(tx, file, attributes)
        return replace(file, attributes=attributes)

    return await services.db.write(change)


async def remove_file(services: Services, project: str, store_id: str, file_id: str) -> None:
    """Take a file out of a store. It stays a file.

    Raises:
        NotFound: there is no such store, or no such file in it.
    """

    async def remove(tx: Transaction) -> list[str]:
        await held(tx, project, store_id)
        file = await store_files.get(tx, store_id, file_id)
        if file is None:
            raise NotFound("store_file", file_id)
        await store_files.remove(tx, file, services.process.clock.now())
        return await vector_stores.wake(tx, project, store_id)

    hand_on(services, project, await services.db.write(remove))


async def file_chunks(
    services: Services, project: str, store_id: str, file_id: str, first: int, limit: int
) -> list[StoredChunk]:
    """Return what was read of a file, chunk by chunk.

    Raises:
        NotFound: there is no such store, or no such file in it.
    """
    file = await read_file(services, project, store_id, file_id)
    if file.status != FileStatus.COMPLETED:
        return []
    return await services.db.scan(store_files.chunks_of, file.seq, first, limit)


# --- batches ----------------------------------------------------------------------------------------


async def create_batch(
    services: Services,
    project: str,
    store_id: str,
    wanted: Sequence[NewStoreFile],
    key: Key | None = None,
) -> FileBatch:
    """Take several files into a store.

    Raises:
        NotFound: there is no such store or file.
        StoreExpired, StoreFull: nothing can be added.
        KeyReused: the key was used for another request.
    """
    now = services.process.clock.now()
    batch = FileBatch(
        id=services.process.ids.new(FILE_BATCH), project=project, created_at=now, store_id=store_id
    )

    async def add(tx: Transaction) -> FileBatch:
        store = await _open(tx, project, store_id, now)
        await vector_stores.add_batch(tx, batch)
        return replace(batch, in_progress=await put(tx, store, wanted, now, batch.id))

    made = (await once(services, project, key, add, lambda stored: stored, FileBatch)).receipt
    services.wake_ingestion()
    return made


async def read_batch(services: Services, project: str, store_id: str, batch_id: str) -> FileBatch:
    """Return a batch of a store.

    Raises:
        NotFound: there is no such store or batch.
    """
    batch = await services.db.fetch(vector_stores.batch, project, store_id, batch_id)
    if batch is None:
        await read(services, project, store_id)
        raise NotFound("file_batch", batch_id)
    return batch


async def cancel_batch(services: Services, project: str, store_id: str, batch_id: str) -> FileBatch:
    """Stop reading a batch's files; those that were read stay in the store.

    Raises:
        NotFound: there is no such store or batch.
        BatchNotCancellable: nothing of it is being read any more.
    """
    now = services.process.clock.now()

    async def cancel(tx: Transaction) -> tuple[FileBatch, list[str]]:
        await held(tx, project, store_id)
        batch = await vector_stores.batch(tx, project, store_id, batch_id)
        if batch is None:
            raise NotFound("file_batch", batch_id)
        if batch.status != "in_progress":
            raise BatchNotCancellable(batch.status)
        for file in await store_files.in_progress_of_batch(tx, batch_id):
            await store_files.cancel(tx, file)
        await vector_stores.cancel_batch(tx, batch_id, now)
        woken = await vector_stores.wake(tx, project, store_id)
        cancelled = await vector_stores.batch(tx, project, store_id, batch_id)
        assert cancelled is not None
        return cancelled, woken

    cancelled, woken = await services.db.write(cancel)
    hand_on(services, project, woken)
    return cancelled
