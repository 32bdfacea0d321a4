"""PostgreSQL's extension for vectors, pgvector: had where it can be, and not missed where it can't."""

from typing import Any

import asyncpg

from clew.store.near import Near
from clew.store.postgres_pool import connect

_DDL = (
    "CREATE TABLE near_stores (number INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "store TEXT NOT NULL UNIQUE, embedder TEXT NOT NULL, dimensions INTEGER NOT NULL, "
    "type TEXT NOT NULL, ready BOOLEAN NOT NULL)",
    "CREATE TABLE near_files (store_file BIGINT NOT NULL PRIMARY KEY, number INTEGER NOT NULL, "
    "windows INTEGER NOT NULL, whole BOOLEAN NOT NULL)",
    "CREATE INDEX near_files_by_number ON near_files (number)",
)
_INSTALLED = (
    "SELECT extversion FROM pg_extension WHERE extname = 'vector' AND to_regtype('vector') IS NOT NULL"
)
_BEREFT = """SELECT number FROM near_stores WHERE NOT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('near_' || number) AND attname = 'place' AND NOT attisdropped)"""

_HALF_FROM, _ITERATES_FROM = (0, 7), (0, 8)
"""Versions that know numbers of two bytes, and that go on searching until a filter has left enough."""

_MOST_DIMENSIONS, _MOST_HALF_DIMENSIONS = 2_000, 4_000
"""Dimensions that a graph takes at most, by the type of numbers."""

_BUILD_MEMORY = "256MB"
"""What building a graph may take; one that does not fit is built several times more slowly."""


class Pgvector:
    """The extension, as one database has it.

    Attributes:
        said: its version, as it says.
        version: its major and minor number.
    """

    def __init__(self, url: str, said: str) -> None:
        self._url, self.said = url, said
        major, minor = [*said.split("."), "0"][:2]
        self.version = int(major), int(minor)

    @property
    def iterates(self) -> bool:
        """Whether it goes on searching until a filter has left enough."""
        return self.version >= _ITERATES_FROM

    @property
    def type(self) -> str:
        """The type of its vectors that is as long as ours, or the shortest."""
        return "halfvec" if self.version >= _HALF_FROM else "vector"

    def takes(self, dimensions: int) -> bool:
        """Whether it makes a graph of such vectors."""
        most = _MOST_HALF_DIMENSIONS if self.version >= _HALF_FROM else _MOST_DIMENSIONS
        return 0 < dimensions <= most

    async def build(self, near: Near) -> None:
        """Make the graph of a table that is filled.

        On a connection of its own, since it takes longer than any other statement may; by one of the server's
        processes, since several would need more shared memory than containers have. Files may be removed
        meanwhile.
        """
        table = f"near_{near.number:d}"
        connection = await connect(self._url)
        try:
            await connection.execute(f"SET maintenance_work_mem = '{_BUILD_MEMORY}'")
            await connection.execute("SET max_parallel_maintenance_workers = 0")
            for statement in (
                f"DROP INDEX IF EXISTS {table}_nearest",  # what an attempt that broke off has left is no use
                f"CREATE INDEX CONCURRENTLY {table}_nearest ON {table} "
                f"USING hnsw (place {near.type}_cosine_ops)",
                f"ANALYZE {table}",  # else filters are planned by guess
            ):
                await connection.execute(statement, timeout=_LONGEST_BUILD)
        finally:
            await connection.close()


_LONGEST_BUILD = 4 * 3_600.0
"""Seconds after which a graph that is not built counts as one that can't be."""


async def found_on(connection: Any, url: str) -> Pgvector | None:
    """Return the extension if a database has it and is prepared for it."""
    said = await connection.fetchval(_INSTALLED)
    if said is None or await connection.fetchval("SELECT to_regclass('near_files')") is None:
        return None
    return Pgvector(url, said)


async def prepare(connection: Any) -> None:
    """Have the extension if the server has it and lets us, and what we note of it; drop what it left behind.

    Without it, or the right to make it, nothing is done: searches go on without.
    """
    try:
        async with connection.transaction():
            await _prepare(connection)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFileError, asyncpg.FeatureNotSupportedError):
        return


async def _prepare(connection: Any) -> None:
    offered = "SELECT installed_version IS NULL FROM pg_available_extensions WHERE name = 'vector'"
    if await connection.fetchval(offered):
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    prepared = await connection.fetchval("SELECT to_regclass('near_files')") is not None
    if not prepared and await connection.fetchval(_INSTALLED) is not None:
        for ddl in _DDL:
            await connection.execute(ddl)
    elif prepared:
        for (number,) in await connection.fetch(_BEREFT):
            await connection.execute(f"DROP TABLE IF EXISTS near_{number}")
            await connection.execute("DELETE FROM near_files WHERE number = $1", number)
            await connection.execute("DELETE FROM near_stores WHERE number = $1", number)
