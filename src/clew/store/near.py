"""The tables in which pgvector finds a large store's nearest windows: derived from the rows.

The vectors of a file lie in one row beside its chunks, on both databases, and are the truth. Where PostgreSQL
has the extension (:mod:`clew.store.pgvector`), each large vector store gets a table with a row for each
window and an HNSW graph over it. A table a store, not one for all: so no other store is a filter that leaves
few, the dimensions are the column's, and with the store it goes at once.

A table may lack files: those that are not noted as whole are searched as without the extension.
"""

from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

from clew.core.due import Work
from clew.core.stores import VectorStore
from clew.store import due_work
from clew.store.statement import Both, Transaction

T = TypeVar("T")

INDEXING = "indexing"
"""The kind of due work: to make a store's table, or bring it up to date."""

MOST_LOOKED_AT = 1_000
"""Windows that a search in a graph keeps in view at most: pgvector's limit of hnsw.ef_search."""

_LEAST_LOOKED_AT = 400
"""Windows that it keeps in view at least: twice as many as are asked for first miss half as many of them."""

_GONE = ("42", "22", "58")
"""Classes of PostgreSQL's errors (SQLSTATE) that say that a table, or the extension, is gone or another."""


class OnPostgres(Both):
    """A statement that SQLite never sees."""

    def __init__(self, postgres: str, *names: str) -> None:
        super().__init__("near", "", postgres, names, selects=postgres.startswith("SELECT"))


class NoTable(Exception):
    """A store's table is not as it was noted: it was made anew, or the extension has gone."""


# --- what is in a table --------------------------------------------------------------------------------

SELECT_TABLE = OnPostgres(
    "SELECT number, type, dimensions, ready FROM near_stores WHERE store = $1 AND embedder = $2",
    "store",
    "embedder",
)
SELECT_WHOLE = OnPostgres("SELECT store_file, windows FROM near_files WHERE number = $1 AND whole", "number")
SELECT_MISSING = OnPostgres(
    "SELECT vectors.store_file, vectors.windows, vectors.dimensions FROM store_files "
    "JOIN vectors ON vectors.store_file = store_files.seq AND vectors.embedder = $2 "
    "WHERE store_files.store_id = $1 AND store_files.status = 'completed' AND vectors.windows > 0 "
    "AND NOT EXISTS (SELECT FROM near_files "
    "WHERE near_files.store_file = store_files.seq AND near_files.number = $3 AND near_files.whole) "
    "ORDER BY store_files.seq",
    "store",
    "embedder",
    "number",
)
HOLD_OWNER = OnPostgres(
    "SELECT 1 FROM vector_stores WHERE id = $1 AND embedder = $2 FOR KEY SHARE", "store", "by"
)
HOLD_FILE = OnPostgres("SELECT 1 FROM store_files WHERE seq = $1 FOR KEY SHARE", "store_file")
HOLD_TABLE = OnPostgres("SELECT number, store FROM near_stores WHERE number = $1 FOR UPDATE", "number")
SELECT_OWNER = OnPostgres("SELECT 1 FROM vector_stores WHERE id = $1", "store")
SELECT_NUMBER = OnPostgres("SELECT number FROM near_stores WHERE store = $1 FOR UPDATE", "store")
INSERT_TABLE = OnPostgres(
    "INSERT INTO near_stores (store, embedder, dimensions, type, ready) "
    "VALUES ($1, $2, $3, $4, FALSE) RETURNING number",
    "store",
    "embedder",
    "dimensions",
    "type",
)
SET_READY = OnPostgres("UPDATE near_stores SET ready = TRUE WHERE number = $1", "number")
DELETE_TABLE = OnPostgres("DELETE FROM near_stores WHERE number = $1", "number")
DELETE_FILES = OnPostgres("DELETE FROM near_files WHERE number = $1", "number")
DELETE_FILE = OnPostgres("DELETE FROM near_files WHERE store_file = $1 RETURNING number", "store_file")
PUT_FILE = OnPostgres(
    "INSERT INTO near_files (store_file, number, windows, whole) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (store_file) DO UPDATE SET number = $2, windows = $3, whole = $4",
    "store_file",
    "number",
    "windows",
    "whole",
)
SELECT_CHUNKS = OnPostgres(
    "SELECT store_file, number FROM chunks WHERE store_file = ANY(CAST($1 AS BIGINT[])) "
    "ORDER BY store_file, number LIMIT $2",
    "files",
    "most",
)


class Near(NamedTuple):
    """The table of a store.

    Attributes:
        type: of its vectors: pgvector's ``halfvec`` or ``vector``.
        ready: whether it has its graph, and may be searched.
        files: that are in it whole, with the number of their windows.
    """

    number: int
    type: str
    dimensions: int
    ready: bool
    files: dict[int, int]


class NearWindow(NamedTuple):
    """A window that was found, the first and last chunk that it belongs to, and its cosine."""

    store_file: int
    first: int
    last: int
    cosine: float


class Only(NamedTuple):
    """Which files are searched: these, or all but these."""

    files: list[int]
    but: bool = False


class Missing(NamedTuple):
    """A file of a store that its table lacks."""

    store_file: int
    windows: int
    dimensions: int


async def ask(tx: Transaction, store: VectorStore, now: int) -> None:
    """Have a store's table made, or brought up to date, unless that is due already."""
    work = Work(kind=INDEXING, id=store.id, project=store.project, lane=store.id, created_at=now, due=now)
    await due_work.add_if_new(tx, work)


async def table_of(tx: Transaction, store_id: str, embedder: str) -> Near | None:
    """Return the table of a store with vectors of an embedder; None if there is none."""
    row = await tx.one(SELECT_TABLE, {"store": store_id, "embedder": embedder})
    if row is None:
        return None
    files = await tx.all(SELECT_WHOLE, {"number": row[0]})
    return Near(row[0], row[1], row[2], row[3], {each[0]: each[1] for each in files})


async def missing(tx: Transaction, store_id: str, embedder: str, number: int) -> list[Missing]:
    """Return the files of a store that its table lacks."""
    keys = {"store": store_id, "embedder": embedder, "number": number}
    return [Missing(*row) for row in await tx.all(SELECT_MISSING, keys)]


async def make_table(
    tx: Transaction, store_id: str, embedder: str, dimensions: int, type: str
) -> Near | None:
    """Make a store's table anew, empty; return it, None if the store has gone or embeds otherwise."""
    if await tx.hold(HOLD_OWNER, {"store": store_id, "by": embedder}) is None:
        return None
    former = await tx.one(SELECT_NUMBER, {"store": store_id})
    if former is not None:
        await _drop(tx, former[0])
    keys = {"store": store_id, "embedder": embedder, "dimensions": dimensions, "type": type}
    row = await tx.one(INSERT_TABLE, keys)
    assert row is not None, "it returns what it inserts"
    for statement in _on_table(row[0], type, dimensions).make:
        await tx.all(statement, {})
    return Near(row[0], type, dimensions, False, {})


async def put(
    tx: Transaction,
    near: Near,
    store_file: int,
    rows: Sequence[tuple[int, int, str]],
    *,
    begins: bool,
    ends: int | None,
) -> bool:
    """Put windows of a file into a table, each with the first and last of its chunks, its numbers as text.

    Args:
        begins: whether they are the file's first.
        ends: how many it has, with its last ones; from then on it is found there.

    Returns:
        Whether the file was still in its store.
    """
    if await tx.hold(HOLD_FILE, {"store_file": store_file}) is None:
        return False
    on = _on_table(near.number, near.type, near.dimensions)
    if begins:
        await tx.run(on.delete, {"store_file": store_file})
    if begins or ends is not None:
        noted = {"number": near.number, "windows": ends or 0, "whole": ends is not None}
        await tx.run(PUT_FILE, {**noted, "store_file": store_file})
    if rows:
        firsts, lasts, places = (list(each) for each in zip(*rows, strict=True))
        values = {"store_file": store_file, "firsts": firsts, "lasts": lasts, "places": places}
        await tx.run(on.insert, values)
    return True


async def set_ready(tx: Transaction, number: int) -> None:
    """Have a table searched from now on."""
    await tx.run(SET_READY, {"number": number})


async def forget(tx: Transaction, store_file: int) -> None:
    """Take a file that was removed out of its table; drop the table if its store has gone."""
    await tx.begin()
    noted = await tx.one(DELETE_FILE, {"store_file": store_file})
    if noted is None:
        return
    table = await tx.one(HOLD_TABLE, {"number": noted[0]})
    if table is None:
        return
    if await tx.one(SELECT_OWNER, {"store": table[1]}) is None:
        await _drop(tx, table[0])
    else:
        await tx.run(_on_table(table[0]).delete, {"store_file": store_file})


async def _drop(tx: Transaction, number: int) -> None:
    await tx.all(_on_table(number).drop, {})
    await tx.run(DELETE_FILES, {"number": number})
    await tx.run(DELETE_TABLE, {"number": number})


# --- searching -----------------------------------------------------------------------------------------


async def nearest(
    tx: Transaction,
    near: Near,
    query: str,
    only: Only | None,
    most: int,
    *,
    exact: bool,
    iterates: bool,
) -> list[NearWindow]:
    """Return windows nearest to a query, nearest first: exactly, or as the graph finds them.

    Args:
        query: its numbers, as text. Not all zero.
        only: the files that are searched; None: all.
        iterates: whether the extension goes on until a filter has left enough.

    Raises:
        NoTable: there is none any more.
    """
    on = _on_table(near.number, near.type, near.dimensions)
    which = "all" if only is None else "but" if only.but else "only"
    statement = on.searches["exact " + which if exact else which]
    keys = {"query": query, "most": most, "files": None if only is None else only.files}
    if not exact:
        wide = max(_LEAST_LOOKED_AT, min(most, MOST_LOOKED_AT))
        await _unless_gone(tx.one(BY_GRAPH_ON if iterates else BY_GRAPH, {"wide": str(wide)}))
    rows = await _unless_gone(tx.all(statement, keys))
    return [NearWindow(row[0], row[1], row[2], 1 - row[3]) for row in rows]


async def cosines(
    tx: Transaction, near: Near, query: str, chunks: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """Return the cosines of chunks: file and number. One without windows has none.

    Raises:
        NoTable: there is none any more.
    """
    on = _on_table(near.number, near.type, near.dimensions)
    files, numbers = (list(each) for each in zip(*chunks, strict=True))
    rows = await _unless_gone(tx.all(on.cosines, {"query": query, "files": files, "numbers": numbers}))
    return {(row[0], row[1]): row[2] for row in rows}


async def first_chunks(tx: Transaction, files: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Return the first chunks of files, in their order."""
    rows = await tx.all(SELECT_CHUNKS, {"files": sorted(files), "most": most})
    return [(row[0], row[1]) for row in rows]


async def _unless_gone(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except Exception as error:
        if (getattr(error, "sqlstate", None) or "")[:2] in _GONE:
            raise NoTable(str(error)) from error
        raise


_BY_GRAPH = (
    "SELECT set_config('enable_seqscan', 'off', TRUE), set_config('enable_sort', 'off', TRUE), "
    "set_config('hnsw.ef_search', CAST($1 AS TEXT), TRUE)"
)
BY_GRAPH = OnPostgres(_BY_GRAPH, "wide")
BY_GRAPH_ON = OnPostgres(_BY_GRAPH + ", set_config('hnsw.iterative_scan', 'strict_order', TRUE)", "wide")


class _OnTable:
    """The statements of one table. Only its number, and a type, stand in their texts."""

    def __init__(self, number: int, type: str, dimensions: int) -> None:
        table = f"near_{number:d}"
        self.make = (
            OnPostgres(
                f"CREATE TABLE {table} (store_file BIGINT NOT NULL, first INTEGER NOT NULL, "
                f"last INTEGER NOT NULL, place {type}({dimensions:d}) NOT NULL)"
            ),
            OnPostgres(f"CREATE INDEX {table}_by_chunk ON {table} (store_file, first, last)"),
        )
        self.drop = OnPostgres(f"DROP TABLE IF EXISTS {table}")
        self.delete = OnPostgres(f"DELETE FROM {table} WHERE store_file = $1", "store_file")  # noqa: S608
        self.insert = OnPostgres(
            f"INSERT INTO {table} (store_file, first, last, place) "  # noqa: S608
            f"SELECT $1, first, last, CAST(place AS {type}) "
            "FROM unnest(CAST($2 AS INTEGER[]), CAST($3 AS INTEGER[]), CAST($4 AS TEXT[])) "
            "AS rows (first, last, place)",
            "store_file",
            "firsts",
            "lasts",
            "places",
        )
        distance = f"place <=> CAST(CAST($1 AS TEXT) AS {type}({dimensions:d}))"
        self.searches = {
            name: OnPostgres(
                f"SELECT store_file, first, last, {by} AS distance "  # noqa: S608
                f"FROM {table} {where} ORDER BY distance LIMIT $2",
                "query",
                "most",
                *(["files"] if where else []),
            )
            for which, where in _WHICH.items()
            # An order by more than the bare distance is none that the graph has.
            for name, by in ((which, distance), (f"exact {which}", f"({distance}) + 0"))
        }
        self.cosines = OnPostgres(
            f"SELECT file, chunk, max(1 - ({distance})) "  # noqa: S608
            "FROM unnest(CAST($2 AS BIGINT[]), CAST($3 AS INTEGER[])) AS hits (file, chunk) "
            f"JOIN {table} ON store_file = file AND first <= chunk AND last >= chunk GROUP BY file, chunk",
            "query",
            "files",
            "numbers",
        )


_WHICH = {
    "all": "",
    "only": "WHERE store_file = ANY(CAST($3 AS BIGINT[]))",
    "but": "WHERE store_file <> ALL(CAST($3 AS BIGINT[]))",
}


@lru_cache(maxsize=256)
def _on_table(number: int, type: str = "vector", dimensions: int = 1) -> _OnTable:
    return _OnTable(number, type, dimensions)
