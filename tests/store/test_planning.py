"""On PostgreSQL a statement walks its index, but for scans: those are planned as PostgreSQL finds best."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from clew.clock import SystemClock
from clew.store import messages, threads
from clew.store.postgres import PostgresDatabase
from tests.support import store

pytestmark = pytest.mark.anyio

_OFTEN = 12
"""Executions after which PostgreSQL would have chosen one plan for all values, if it may choose."""


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    """Give a database with one connection, so that scans and all others share their prepared statements."""
    db = PostgresDatabase(postgres_url, clock=SystemClock(), connections=1)
    await db.write(threads.add, store.thread())
    assert await db.write(messages.add_if_free, store.message())
    async with db._pool.connection() as connection:
        await connection.execute("ANALYZE")
    yield db
    await db.close()


async def _plan(tx: Any) -> str:
    """Read a thread's messages, and return by which plan that is done."""
    assert (await messages.since(tx, "thread_1", 0, None)).seqs
    text, _ = messages.SELECT_SINCE.postgres
    prepared = "SELECT name FROM pg_prepared_statements WHERE statement = $1"
    name = await tx._connection.fetchval(prepared, text)
    values = ", ".join({"thread_id": "'thread_1'", "seq": "0", "limit": "9"}[each] for each in _NAMES)
    rows = await tx._connection.fetch(f'EXPLAIN EXECUTE "{name}" ({values})')
    return "\n".join(row[0] for row in rows)


_NAMES = messages.SELECT_SINCE.postgres[1]
_WHOLE = "Seq Scan on messages"


async def test_a_scan_reads_a_small_table_whole_and_nothing_else_does(db: PostgresDatabase) -> None:
    for _ in range(_OFTEN):
        assert _WHOLE in await db.scan(_plan)
    for way in (db.fetch, db.read, db.write):
        assert _WHOLE not in await way(_plan)


async def test_what_was_planned_for_an_index_does_not_bind_a_scan(db: PostgresDatabase) -> None:
    for _ in range(_OFTEN):
        assert _WHOLE not in await db.fetch(_plan)
    for _ in range(_OFTEN):
        assert _WHOLE in await db.scan(_plan)
