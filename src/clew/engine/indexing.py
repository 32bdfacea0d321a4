"""Large vector stores are given to pgvector, where PostgreSQL has it: as due work, a little at a time.

Files are not indexed where they are ingested: a window costs milliseconds to find its place in a graph, and
whoever adds a file would hold its store's row as long. Searches compare what a table lacks themselves, so
nothing is missing meanwhile.
"""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from clew.core.due import Limits, Work
from clew.core.stores import VectorStore
from clew.engine.due_work import Context, Done, Kind, Outcome
from clew.search import windows
from clew.store import near, store_files, vector_stores
from clew.store.database import Database
from clew.store.near import INDEXING, Missing, Near
from clew.store.statement import Transaction

if TYPE_CHECKING:
    from clew.store.pgvector import Pgvector

_AT_ONCE = 64
"""Windows that one transaction puts into a table: the graph takes about 10 ms for each."""

_RETRIES = (10_000, 60_000, 600_000)

_log = logging.getLogger(__name__)


class Indexing(Kind):
    """Makes the tables of large vector stores, and brings them up to date."""

    name = INDEXING
    limits = Limits(1, 1, 1)
    notes_attempts = True

    def __init__(self, db: Database) -> None:
        self._db = db

    async def perform(self, work: Work, context: Context) -> Outcome:
        pgvector = self._db.pgvector
        store = await self._db.fetch(vector_stores.get, work.project, work.id)
        if pgvector is None or store is None or store.embedder is None:
            return Done()
        table = await self._table(pgvector, store, store.embedder)
        if table is None:
            return Done()
        for file in await self._missing(store.id, store.embedder, table.number):
            if file.dimensions == table.dimensions:
                await self._take_in(table, file, store.embedder)
                await context.progress(None)
        if not table.ready:
            await pgvector.build(table)
            _log.info("%s is searched by pgvector from now on", store.id)
        return Done(partial(_serve, store_id=store.id, number=table.number))

    async def _table(self, pgvector: "Pgvector", store: VectorStore, embedder: str) -> Near | None:
        """Return the table to be filled: a new one where most of a store is missing, as filling it is quicker
        without a graph."""
        table = await self._db.scan(near.table_of, store.id, embedder)
        missing = await self._missing(store.id, embedder, 0 if table is None else table.number)
        new = sum(file.windows for file in missing)
        if table is not None and (not table.ready or new <= sum(table.files.values())):
            return table
        if not missing or not pgvector.takes(missing[0].dimensions):
            return None
        return await self._db.write(near.make_table, store.id, embedder, missing[0].dimensions, pgvector.type)

    async def _missing(self, store_id: str, embedder: str, number: int) -> list[Missing]:
        return await self._db.scan(near.missing, store_id, embedder, number)

    async def _take_in(self, table: Near, file: Missing, embedder: str) -> None:
        """Put a file into a table, unless it is removed meanwhile."""
        found = await self._db.scan(store_files.vectors_of, file.store_file, embedder)
        if found is None:
            return
        count = len(found.data) // (2 * found.dimensions)
        for start in range(0, count, _AT_ONCE):
            end = min(start + _AT_ONCE, count)
            rows = await asyncio.to_thread(
                windows.told, found.data, found.dimensions, found.ranges, start, end
            )
            ends = count if end == count else None
            if not await self._db.write(near.put, table, file.store_file, rows, begins=start == 0, ends=ends):
                return

    def delay(self, work: Work) -> int | None:
        return _RETRIES[work.attempts] if work.attempts < len(_RETRIES) else None

    async def close(self) -> None:
        """Nothing is held."""


async def _serve(tx: Transaction, store_id: str, number: int) -> None:
    """Have a table searched from now on, and all processes look at it."""
    await near.set_ready(tx, number)
    await vector_stores.count(tx, store_id, None, None, None)
