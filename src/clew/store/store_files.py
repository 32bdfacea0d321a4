"""Files in vector stores, their chunks and their vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import delete, func, insert, select, update

from clew.core.due import Work
from clew.core.stores import FileError, FileStatus, StoreFile
from clew.store import due_work, full_text, pages, vector_stores
from clew.store.files import listed
from clew.store.pages import Page, PageRequest
from clew.store.statement import Both, Mapper, Statement, Transaction, constant, param
from clew.store.tables import chunks, file_batches, store_files, vectors
from clew.store.tables import vector_stores as vector_store_rows

INGESTION, PURGE, REINDEX = "ingestion", "purge", "reindex"
"""Kinds of due work: to take a file into a store, to delete what is left of one that was removed, and to give
all files of a store the vectors of another embedder."""

_FILE = Mapper(store_files, StoreFile)
_ONE = (store_files.c.store_id == param("store_id"), store_files.c.id == param("id"))
_THIS = store_files.c.seq == param("of_file")

# Thousands of files may come at once, and everybody else who writes waits for them: on SQLite that takes a
# third of the time of single rows, on PostgreSQL it saves three round trips a file.
INSERT_FILES = Both(
    "store_files",
    "INSERT INTO store_files (id, filename, attributes, chunking, project, created_at, store_id, status, "
    "usage_bytes, batch_id) "
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), "
    "json_extract(value, '$[3]'), :project, :created_at, :store_id, 'in_progress', 0, :batch_id "
    "FROM json_each(:rows) ORDER BY key",
    "INSERT INTO store_files (id, filename, attributes, chunking, project, created_at, store_id, status, "
    "usage_bytes, batch_id) "
    "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, $2, $3, $4, 'in_progress', 0, $5 "
    "FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (value, key) ORDER BY key",
    ("rows", "project", "created_at", "store_id", "batch_id"),
)
INSERT_INGESTIONS = Both(
    "due_work",
    "INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch) "
    "SELECT 'ingestion', :store_id || '/' || json_extract(value, '$[0]'), :project, :store_id, "
    ":created_at, :created_at, 0, 0 FROM json_each(:rows) ORDER BY key",
    "INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch) "
    "SELECT 'ingestion', $4::text || '/' || (value ->> 0), $2, $4::text, $3::bigint, $3::bigint, 0, 0 "
    "FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS given (value, key) ORDER BY key",
    ("rows", "project", "created_at", "store_id"),
)
SELECT_FILE = Statement(select(*_FILE.columns).where(*_ONE))
SELECT_SOME = Both(
    "store_files",
    f"SELECT {', '.join(_FILE.names)} FROM store_files "  # noqa: S608 - names of our own
    "WHERE store_id = :store_id AND id IN (SELECT value FROM json_each(:ids))",
    f"SELECT {', '.join(_FILE.names)} FROM store_files "  # noqa: S608 - names of our own
    "WHERE store_id = $1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)))",
    ("store_id", "ids"),
    selects=True,
)
SELECT_OF_FILE = Statement(select(*_FILE.columns).where(store_files.c.id == param("file_id")))
SELECT_OF_STORE = Statement(select(*_FILE.columns).where(store_files.c.store_id == param("store_id")))
SELECT_OF_BATCH = Statement(
    select(*_FILE.columns).where(
        store_files.c.batch_id == param("batch_id"), store_files.c.status == constant("in_progress")
    )
)
SELECT_COMPLETED = Statement(
    select(store_files.c.seq, store_files.c.id, store_files.c.filename, store_files.c.attributes).where(
        store_files.c.store_id == param("store_id"), store_files.c.status == constant("completed")
    )
)
SETTLE_FILE = Statement(
    update(store_files)
    .where(_THIS, store_files.c.status == constant("in_progress"))
    .values(status=param("new_status"), last_error=param("error"), usage_bytes=param("bytes_used"))
)
SAVE_ATTRIBUTES = Statement(update(store_files).where(_THIS).values(attributes=param("new_attributes")))
DELETE_FILE = Statement(delete(store_files).where(_THIS))
SELECT_OF_PROJECT = Statement(select(store_files.c.seq).where(store_files.c.project == param("of_project")))
DELETE_OF_PROJECT = tuple(
    Statement(delete(table).where(table.c.project == param("of_project")))
    for table in (store_files, file_batches, vector_store_rows)
)
DELETE_OF_STORE = Statement(delete(store_files).where(store_files.c.store_id == param("of_store")))

_CHUNK = ("store", "store_file", "number", "text", "tokens", "page", "first_line", "last_line")
_OF_FILE = chunks.c.store_file == param("of_file")
INSERT_CHUNK = Statement(insert(chunks), columns=_CHUNK)
SELECT_CHUNK = Statement(
    select(*(chunks.c[name] for name in _CHUNK)).where(_OF_FILE, chunks.c.number == param("number"))
)
SELECT_CHUNKS = Statement(
    select(*(chunks.c[name] for name in _CHUNK))
    .where(_OF_FILE, chunks.c.number >= param("from_number"))
    .order_by(chunks.c.number)
    .limit(param("limit"))
    .offset(constant(0))
)
SELECT_FIRST_AND_LAST = Statement(
    select(func.min(chunks.c.number), func.max(chunks.c.number)).where(_OF_FILE)
)
DELETE_CHUNKS = Statement(
    delete(chunks).where(
        _OF_FILE, chunks.c.number >= param("from_number"), chunks.c.number < param("to_number")
    )
)
_VECTORS = ("store_file", "embedder", "dimensions", "windows", "ranges", "data")
INSERT_VECTORS = Statement(insert(vectors), columns=_VECTORS)
SELECT_VECTORS = Statement(
    select(vectors.c.dimensions, vectors.c.ranges, vectors.c.data).where(
        vectors.c.store_file == param("of_file"), vectors.c.embedder == param("by")
    )
)
DELETE_VECTORS = Statement(delete(vectors).where(vectors.c.store_file == param("of_file")))


class StoredChunk(NamedTuple):
    """A chunk of a file in a store."""

    store: str
    store_file: int
    number: int
    text: str
    tokens: int
    page: int | None
    first_line: int
    last_line: int


class FileVectors(NamedTuple):
    """The vectors of a file's windows, and the first and last of them of each chunk."""

    dimensions: int
    ranges: list[tuple[int, int]]
    data: bytes


class Findable(NamedTuple):
    """A file that searches look in."""

    seq: int
    id: str
    filename: str
    attributes: Mapping[str, str | float | bool]


def store_key(store_id: str) -> str:
    """Return the word by which a store's chunks are known in full text: letters and digits."""
    return store_id.partition("_")[2]


async def add(tx: Transaction, added: Sequence[StoreFile]) -> None:
    """Add files to a store in their order, and have them read.

    Args:
        added: they are of one store, one batch and one moment.
    """
    if not added:
        return
    encoded = map(_FILE.params, added)
    rows = [[each[name] for name in ("id", "filename", "attributes", "chunking")] for each in encoded]
    common = {name: getattr(added[0], name) for name in ("project", "created_at", "store_id", "batch_id")}
    keys = {**common, "rows": msgspec.json.encode(rows).decode()}
    await tx.run(INSERT_FILES, keys)
    await tx.run(INSERT_INGESTIONS, keys)


async def get(tx: Transaction, store_id: str, file_id: str) -> StoreFile | None:
    """Return a file of a store, or None."""
    row = await tx.one(SELECT_FILE, {"store_id": store_id, "id": file_id})
    return None if row is None else _FILE.read(row)


async def some(tx: Transaction, store_id: str, ids: Sequence[str]) -> list[StoreFile]:
    """Return those of these files that a store has."""
    keys = {"store_id": store_id, "ids": listed(ids)}
    return [_FILE.read(row) for row in await tx.all(SELECT_SOME, keys)]


async def of_file(tx: Transaction, file_id: str) -> list[StoreFile]:
    """Return a file as it is in each of the stores that it is in."""
    return [_FILE.read(row) for row in await tx.all(SELECT_OF_FILE, {"file_id": file_id})]


async def in_progress_of_batch(tx: Transaction, batch_id: str) -> list[StoreFile]:
    """Return the files of a batch that are still being read."""
    return [_FILE.read(row) for row in await tx.all(SELECT_OF_BATCH, {"batch_id": batch_id})]


async def findable(tx: Transaction, store_id: str) -> list[Findable]:
    """Return the files of a store that searches look in."""
    rows = await tx.all(SELECT_COMPLETED, {"store_id": store_id})
    return [Findable(seq, id, filename, msgspec.json.decode(encoded)) for seq, id, filename, encoded in rows]


async def page(
    tx: Transaction, project: str, store_id: str, wanted: PageRequest, **narrowed: str | None
) -> Page:
    """Return one page of a store's files, or of those of one status or batch."""
    more = {name: value for name, value in narrowed.items() if value is not None}
    return await pages.page(tx, _FILE, wanted, None, project=project, store_id=store_id, **more)


async def settle(
    tx: Transaction,
    file: StoreFile,
    status: FileStatus,
    *,
    error: FileError | None = None,
    usage_bytes: int = 0,
) -> bool:
    """Say what has become of a file that was being read; return whether it still was."""
    values = {
        "of_file": file.seq,
        "new_status": status.value,
        "error": None if error is None else msgspec.json.encode(error).decode(),
        "bytes_used": usage_bytes,
    }
    if not await tx.run(SETTLE_FILE, values):
        return False
    await vector_stores.count(
        tx, file.store_id, file.batch_id, FileStatus.IN_PROGRESS, status, more_bytes=usage_bytes
    )
    return True


async def cancel(tx: Transaction, file: StoreFile) -> None:
    """Call off the reading of a file, which stays in its store."""
    await due_work.cancel(tx, INGESTION, f"{file.store_id}/{file.id}")
    await settle(tx, file, FileStatus.CANCELLED)


async def save_attributes(tx: Transaction, file: StoreFile, attributes: Mapping[str, Any]) -> None:
    """Store other attributes of a file."""
    encoded = msgspec.json.encode(attributes).decode()
    await tx.run(SAVE_ATTRIBUTES, {"of_file": file.seq, "new_attributes": encoded})
    await vector_stores.count(tx, file.store_id, None, None, None)


async def remove(tx: Transaction, file: StoreFile, now: int) -> bool:
    """Take a file out of a store: searches find it no more. What is left of it is deleted bit by bit."""
    if not await tx.run(DELETE_FILE, {"of_file": file.seq}):
        return False
    await due_work.cancel(tx, INGESTION, f"{file.store_id}/{file.id}")
    unread = file.batch_id if file.status == FileStatus.IN_PROGRESS else None  # else its batch waits for ever
    await vector_stores.count(tx, file.store_id, unread, file.status, None, more_bytes=-file.usage_bytes)
    await _purge(tx, file.project, f"{file.seq}", [file.seq], now)
    return True


async def remove_all(tx: Transaction, project: str, store_id: str, now: int) -> None:
    """Take all files out of a store that is deleted."""
    found = [_FILE.read(row) for row in await tx.all(SELECT_OF_STORE, {"store_id": store_id})]
    await tx.run(DELETE_OF_STORE, {"of_store": store_id})
    for kind in (INGESTION, REINDEX):
        await due_work.cancel_lane(tx, kind, store_id)
    if found:
        await _purge(tx, project, store_id, [file.seq for file in found], now)


async def remove_of_project(tx: Transaction, project: str, now: int) -> None:
    """Delete all vector stores of a project that is deleted, with what is in them."""
    seqs = [row[0] for row in await tx.all(SELECT_OF_PROJECT, {"of_project": project})]
    for statement in DELETE_OF_PROJECT:
        await tx.run(statement, {"of_project": project})
    if seqs:
        await _purge(tx, "", f"project {project} {now}", seqs, now)


async def _purge(tx: Transaction, project: str, name: str, seqs: Sequence[int], now: int) -> None:
    work = Work(
        kind=PURGE, id=name, project=project, lane=project, created_at=now, due=now, payload=list(seqs)
    )
    await due_work.add(tx, work)


# --- what searches find -----------------------------------------------------------------------------


async def add_chunks(tx: Transaction, found: Sequence[StoredChunk]) -> None:
    """Store chunks of one file that follow each other."""
    for chunk in found:
        await tx.run(INSERT_CHUNK, chunk._asdict())
    if found:
        await full_text.add(tx, found[0].store_file, found[0].number, found[-1].number + 1)


async def drop_chunks(tx: Transaction, store_file: int, most: int) -> bool:
    """Delete up to so many chunks of a file, its vectors with the last; return whether any are left."""
    row = await tx.one(SELECT_FIRST_AND_LAST, {"of_file": store_file})
    if row is None or row[0] is None:
        await tx.run(DELETE_VECTORS, {"of_file": store_file})
        return False
    first, end = row[0], row[0] + most
    await full_text.remove(tx, store_file, first, end)
    await tx.run(DELETE_CHUNKS, {"of_file": store_file, "from_number": first, "to_number": end})
    return True


async def add_vectors(tx: Transaction, store_file: int, embedder: str, found: FileVectors) -> None:
    """Store the vectors of a file, as one embedder made them."""
    values = {
        "store_file": store_file,
        "embedder": embedder,
        "dimensions": found.dimensions,
        "windows": found.ranges[-1][1] + 1 if found.ranges else 0,
        "ranges": msgspec.json.encode(found.ranges).decode(),
        "data": found.data,
    }
    await tx.run(INSERT_VECTORS, values)


async def vectors_of(tx: Transaction, store_file: int, embedder: str) -> FileVectors | None:
    """Return the vectors of a file that one embedder made, or None."""
    row = await tx.one(SELECT_VECTORS, {"of_file": store_file, "by": embedder})
    if row is None:
        return None
    return FileVectors(row[0], msgspec.json.decode(row[1], type=list[tuple[int, int]]), bytes(row[2]))


async def chunk(tx: Transaction, store_file: int, number: int) -> StoredChunk | None:
    """Return a chunk of a file, or None."""
    row = await tx.one(SELECT_CHUNK, {"of_file": store_file, "number": number})
    return None if row is None else StoredChunk(*row)


async def chunks_of(tx: Transaction, store_file: int, first: int, limit: int) -> list[StoredChunk]:
    """Return chunks of a file in their order, from ``first`` on."""
    keys = {"of_file": store_file, "from_number": first, "limit": limit}
    return [StoredChunk(*row) for row in await tx.all(SELECT_CHUNKS, keys)]
