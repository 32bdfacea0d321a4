"""Vector stores in the store: their rows, with counts of the files in them."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, null, select, update

from clew.core.stores import FileBatch, FileStatus, VectorStore
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, constant, param, unindexed
from clew.store.tables import COUNTED, WAITS_FOR_FILES, file_batches, runs, vector_stores

_STORE = Mapper(vector_stores, VectorStore)
_BATCH = Mapper(file_batches, FileBatch)
_ONE = (vector_stores.c.id == param("id"), vector_stores.c.project == param("project"))
_THIS = vector_stores.c.id == param("of_store")

INSERT_STORE = Statement(insert(vector_stores), columns=_STORE.names)
SELECT_STORE = Statement(select(*_STORE.columns).where(*_ONE))
HOLD_STORE = Statement(select(*_STORE.columns).where(*_ONE).with_for_update())
DELETE_STORE = Statement(delete(vector_stores).where(*_ONE))
UPDATE_STORE = Statement(
    update(vector_stores)
    .where(_THIS)
    .values({name: param(name) for name in ("name", "metadata", "expires_days", "last_active_at")})
)
TOUCH_STORE = Statement(update(vector_stores).where(_THIS).values(last_active_at=param("at")))
COUNT_STORE = Statement(
    update(vector_stores)
    .where(_THIS)
    .values(
        version=vector_stores.c.version + constant(1),
        usage_bytes=vector_stores.c.usage_bytes + param("more_bytes"),
        **{name: vector_stores.c[name] + param(f"more_{name}") for name in COUNTED},
    )
)
INSERT_BATCH = Statement(insert(file_batches), columns=_BATCH.names)
SELECT_BATCH = Statement(
    select(*_BATCH.columns).where(
        file_batches.c.id == param("id"),
        file_batches.c.project == param("project"),
        file_batches.c.store_id == param("store_id"),
    )
)
DELETE_BATCHES = Statement(delete(file_batches).where(file_batches.c.store_id == param("of_store")))
CANCEL_BATCH = Statement(
    update(file_batches).where(file_batches.c.id == param("of_batch")).values(cancelled_at=param("at"))
)
COUNT_BATCH = Statement(
    update(file_batches)
    .where(file_batches.c.id == param("of_batch"))
    .values(**{name: file_batches.c[name] + param(f"more_{name}") for name in COUNTED})
)
# Runs that wait until a store of their threads has read its files. Only those that wait are looked at.
SELECT_WAITING = Statement(
    select(runs.c.id).where(
        unindexed(runs.c.project) == param("of_project"), WAITS_FOR_FILES, runs.c.config.like(param("naming"))
    )
)
WAKE_RUNS = Statement(
    update(runs)
    .where(
        unindexed(runs.c.project) == param("of_project"),
        WAITS_FOR_FILES,
        runs.c.config.like(param("naming")),
    )
    .values(due=null(), waits_for=null(), version=runs.c.version + constant(1))
)


async def add(tx: Transaction, store: VectorStore) -> None:
    """Store a new vector store."""
    await tx.run(INSERT_STORE, _STORE.params(store))


async def get(tx: Transaction, project: str, store_id: str) -> VectorStore | None:
    """Return a vector store of the project, or None."""
    row = await tx.one(SELECT_STORE, {"id": store_id, "project": project})
    return None if row is None else _STORE.read(row)


async def hold(tx: Transaction, project: str, store_id: str) -> VectorStore | None:
    """Return a vector store that nobody else changes until the transaction ends, or None."""
    row = await tx.hold(HOLD_STORE, {"id": store_id, "project": project})
    return None if row is None else _STORE.read(row)


async def several(tx: Transaction, project: str, store_ids: Sequence[str]) -> list[VectorStore]:
    """Return those of the vector stores that the project has."""
    found = [await get(tx, project, store_id) for store_id in store_ids]
    return [store for store in found if store is not None]


async def save(tx: Transaction, store: VectorStore) -> None:
    """Store what clients may change of a vector store, and its last use."""
    values = _STORE.params(store)
    changed = {name: values[name] for name in ("name", "metadata", "expires_days", "last_active_at")}
    await tx.run(UPDATE_STORE, {**changed, "of_store": store.id})


async def touch(tx: Transaction, store_id: str, now: int) -> None:
    """Note that a vector store is used."""
    await tx.run(TOUCH_STORE, {"of_store": store_id, "at": now})


async def remove(tx: Transaction, project: str, store_id: str) -> bool:
    """Delete a vector store's row and its batches; return whether there was one."""
    if not await tx.run(DELETE_STORE, {"id": store_id, "project": project}):
        return False
    await tx.run(DELETE_BATCHES, {"of_store": store_id})
    return True


async def page(tx: Transaction, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's vector stores."""
    return await pages.page(tx, _STORE, wanted, project=project)


# --- counts -----------------------------------------------------------------------------------------


async def count(
    tx: Transaction,
    store_id: str,
    batch_id: str | None,
    before: FileStatus | None,
    after: FileStatus | None,
    *,
    files: int = 1,
    more_bytes: int = 0,
) -> None:
    """Count files that go from one status to another, in a batch too if one is named; None is not there."""
    more = {f"more_{name}": (name == after) * files - (name == before) * files for name in COUNTED}
    await tx.run(COUNT_STORE, {**more, "of_store": store_id, "more_bytes": more_bytes})
    if batch_id is not None:
        await tx.run(COUNT_BATCH, {**more, "of_batch": batch_id})


async def wake(tx: Transaction, project: str, store_id: str) -> list[str]:
    """Have runs go on that wait until a store has read its files, if it has, or is gone.

    Returns:
        Them, to be handed to workers after the commit.
    """
    store = await get(tx, project, store_id)
    if store is not None and store.in_progress:
        return []
    keys = {"of_project": project, "naming": f'%"{store_id}"%'}
    found = [row[0] for row in await tx.all(SELECT_WAITING, keys)]
    if found:
        await tx.run(WAKE_RUNS, keys)
    return found


# --- batches ----------------------------------------------------------------------------------------


async def add_batch(tx: Transaction, batch: FileBatch) -> None:
    """Store a new batch."""
    await tx.run(INSERT_BATCH, _BATCH.params(batch))


async def batch(tx: Transaction, project: str, store_id: str, batch_id: str) -> FileBatch | None:
    """Return a batch of a vector store, or None."""
    row = await tx.one(SELECT_BATCH, {"id": batch_id, "project": project, "store_id": store_id})
    return None if row is None else _BATCH.read(row)


async def cancel_batch(tx: Transaction, batch_id: str, now: int) -> None:
    """Note that a batch is cancelled."""
    await tx.run(CANCEL_BATCH, {"of_batch": batch_id, "at": now})
