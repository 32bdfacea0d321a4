"""Vector stores that get the vectors of another embedder.

Both lie side by side, each under its embedder's name, until every file that searches look in has the new
ones. Then one transaction makes these the store's, and the others are deleted bit by bit.
"""

import msgspec
from msgspec.structs import replace
from sqlalchemy import delete, exists, func, null, select, update

from clew.core.due import Work
from clew.core.stores import Reindexing, VectorStore
from clew.store import due_work, store_files, vector_stores
from clew.store.statement import Statement, Transaction, constant, param
from clew.store.store_files import REINDEX, FileVectors
from clew.store.tables import store_files as files
from clew.store.tables import vector_stores as stores
from clew.store.tables import vectors

_OF_STORE = files.c.store_id == param("store_id")
_COMPLETED = files.c.status == constant("completed")
_THIS = stores.c.id == param("of_store")
_FILE = files.c.seq == param("of_file")
_BY = vectors.c.embedder == param("by")
_OF_OTHERS = vectors.c.embedder != param("by")
_LACKS = ~exists(select(vectors.c.store_file).where(vectors.c.store_file == files.c.seq, _BY))
_NOBODY = ""
"""A name that no embedder has."""

_NUMBER_BYTES = 2
"""Of a vector: they are float16s."""

SELECT_LACKING = Statement(
    select(files.c.seq)
    .where(_OF_STORE, _COMPLETED, files.c.seq > param("after"), _LACKS)
    .order_by(files.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
COUNT_LACKING = Statement(select(func.count()).select_from(files).where(_OF_STORE, _COMPLETED, _LACKS))
SELECT_OUTDATED = Statement(
    select(files.c.seq)
    .where(
        _OF_STORE,
        files.c.seq > param("after"),
        exists(select(vectors.c.store_file).where(vectors.c.store_file == files.c.seq, _OF_OTHERS)),
    )
    .order_by(files.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
DELETE_OUTDATED = Statement(delete(vectors).where(vectors.c.store_file == param("of_file"), _OF_OTHERS))
IS_COMPLETED = Statement(select(files.c.seq).where(_FILE, _COMPLETED))
SELECT_OUTDATED_BYTES = Statement(
    select(func.sum(vectors.c.dimensions * vectors.c.windows)).where(
        vectors.c.store_file == param("of_file"), _OF_OTHERS
    )
)
ADD_FILE_BYTES = Statement(
    update(files).where(_FILE).values(usage_bytes=files.c.usage_bytes + param("more_bytes"))
)
ADD_STORE_BYTES = Statement(
    update(stores).where(_THIS).values(usage_bytes=stores.c.usage_bytes + param("more_bytes"))
)
SAVE_STATE = Statement(update(stores).where(_THIS).values(reindexing=param("state")))
SWITCH_STORE = Statement(
    update(stores)
    .where(_THIS)
    .values(embedder=param("by"), reindexing=null(), version=stores.c.version + constant(1))
)


async def begin(tx: Transaction, store: VectorStore, embedder: str | None, now: int) -> VectorStore:
    """Have a store that is held get the vectors of an embedder, if it lacks any; return it as it is then.

    What goes on with the same embedder already goes on; with another one, it is called off.
    """
    under_way = store.reindexing
    if under_way is not None and under_way.error is None and under_way.embedder == embedder:
        return store
    await due_work.cancel(tx, REINDEX, store.id)
    count = 0 if embedder is None else await _count_lacking(tx, store.id, embedder)
    if store.embedder == embedder and not count and under_way is None:
        return store  # else there may be vectors of another one to be deleted
    work = Work(
        kind=REINDEX,
        id=store.id,
        project=store.project,
        lane=store.id,
        created_at=now,
        due=now,
        payload={"embedder": embedder},
    )
    await due_work.add(tx, work)
    begun = Reindexing(embedder, store.completed - count)
    await _save(tx, store.id, begun)
    return replace(store, reindexing=begun)


async def lacking(tx: Transaction, store_id: str, embedder: str | None, after: int, limit: int) -> list[int]:
    """Return files that searches look in without vectors of an embedder; ``after`` the one of a number.

    None needs no vectors.
    """
    if embedder is None:
        return []
    keys = {"store_id": store_id, "by": embedder, "after": after, "limit": limit}
    return [row[0] for row in await tx.all(SELECT_LACKING, keys)]


async def add(tx: Transaction, project: str, store_id: str, store_file: int, found: FileVectors) -> None:
    """Give a file vectors of the embedder that its store is to get, beside those that it has.

    One that was taken out meanwhile gets none.
    """
    store = await vector_stores.hold(tx, project, store_id)  # so that nobody takes the file out meanwhile
    if store is None or (state := store.reindexing) is None or state.embedder is None:
        return
    if await tx.one(IS_COMPLETED, {"of_file": store_file}) is None:
        return
    await store_files.add_vectors(tx, store_file, state.embedder, found)
    await _add_bytes(tx, store_id, store_file, len(found.data))
    await _save(tx, store_id, replace(state, done=state.done + 1))


async def switch(tx: Transaction, project: str, store_id: str, embedder: str | None) -> bool:
    """Make an embedder's vectors those of a store; return whether that is done: else some are lacking."""
    store = await vector_stores.hold(tx, project, store_id)
    if store is None or store.reindexing is None:
        return True
    if await lacking(tx, store_id, embedder, 0, 1):
        return False
    await tx.run(SWITCH_STORE, {"of_store": store_id, "by": embedder})
    return True


async def give_up(tx: Transaction, project: str, store_id: str, error: str) -> None:
    """Note why a store does not get other vectors. What it has of them stays, for the next time."""
    store = await vector_stores.hold(tx, project, store_id)
    if store is not None and store.reindexing is not None:
        await _save(tx, store_id, replace(store.reindexing, error=error))


async def outdated(tx: Transaction, store_id: str, embedder: str | None, after: int, limit: int) -> list[int]:
    """Return files of a store that have vectors of others than an embedder; ``after`` the one of a number."""
    keys = {"store_id": store_id, "by": embedder or _NOBODY, "after": after, "limit": limit}
    return [row[0] for row in await tx.all(SELECT_OUTDATED, keys)]


async def drop_outdated(
    tx: Transaction, project: str, store_id: str, store_file: int, embedder: str | None
) -> None:
    """Delete the vectors of a file that others than an embedder made."""
    await vector_stores.hold(tx, project, store_id)
    keys = {"of_file": store_file, "by": embedder or _NOBODY}
    row = await tx.one(SELECT_OUTDATED_BYTES, keys)
    if row is not None and row[0]:
        await tx.run(DELETE_OUTDATED, keys)
        await _add_bytes(tx, store_id, store_file, -int(row[0]) * _NUMBER_BYTES)


async def _count_lacking(tx: Transaction, store_id: str, embedder: str) -> int:
    row = await tx.one(COUNT_LACKING, {"store_id": store_id, "by": embedder})
    return 0 if row is None else int(row[0])


async def _save(tx: Transaction, store_id: str, state: Reindexing) -> None:
    await tx.run(SAVE_STATE, {"of_store": store_id, "state": msgspec.json.encode(state).decode()})


async def _add_bytes(tx: Transaction, store_id: str, store_file: int, more: int) -> None:
    """Count bytes of a file that is still in the store, which is held."""
    if await tx.run(ADD_FILE_BYTES, {"of_file": store_file, "more_bytes": more}):
        await tx.run(ADD_STORE_BYTES, {"of_store": store_id, "more_bytes": more})
