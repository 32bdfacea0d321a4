"""Full text of chunks: FTS5 on SQLite, tsvector with GIN on PostgreSQL. Both are kept beside the chunks.

They are no tables of SQLAlchemy's, and what is asked of them has no words in common, so each statement stands
here in both languages. A store's key is one more word of its chunks: a search looks at that store alone.
"""

from typing import NamedTuple

from clew.store.statement import Both, Transaction

SQLITE_DDL = (
    "CREATE VIRTUAL TABLE chunk_words USING fts5("
    "text, store, content='chunks', content_rowid='seq', tokenize='porter unicode61')",
)
POSTGRES_DDL = (
    "CREATE TABLE chunk_words (seq BIGINT NOT NULL PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX chunk_words_by_word ON chunk_words USING gin (words)",
)
"""What makes them, after the tables."""


_SOME = "FROM chunks WHERE store_file = {0} AND number >= {1} AND number < {2}"
_NAMED = _SOME.format(":store_file", ":from_number", ":to_number")
_PLACED = _SOME.format("$1", "$2", "$3")
_PARAMS = ("store_file", "from_number", "to_number")

INSERT_WORDS = Both(
    "chunk_words",
    f"INSERT INTO chunk_words (rowid, text, store) SELECT seq, text, store {_NAMED}",
    "INSERT INTO chunk_words (seq, words) "
    f"SELECT seq, to_tsvector('english', text) || array_to_tsvector(ARRAY[lower(store)]) {_PLACED}",
    _PARAMS,
)
DELETE_WORDS = Both(
    "chunk_words",
    f"INSERT INTO chunk_words (chunk_words, rowid, text, store) SELECT 'delete', seq, text, store {_NAMED}",
    f"DELETE FROM chunk_words WHERE seq IN (SELECT seq {_PLACED})",  # noqa: S608 - words of our own
    _PARAMS,
)
SEARCH_WORDS = Both(
    "chunk_words",
    "SELECT chunks.store_file, chunks.number FROM chunk_words "
    "JOIN chunks ON chunks.seq = chunk_words.rowid "
    "JOIN store_files ON store_files.seq = chunks.store_file AND store_files.status = 'completed' "
    "WHERE chunk_words MATCH :fts5 AND chunks.store = :store "
    "ORDER BY bm25(chunk_words, 1.0, 0.0), chunks.seq LIMIT :most",
    "SELECT chunks.store_file, chunks.number FROM chunk_words "
    "JOIN chunks ON chunks.seq = chunk_words.seq "
    "JOIN store_files ON store_files.seq = chunks.store_file AND store_files.status = 'completed' "
    "WHERE words @@ (quote_literal(lower($2))::tsquery && to_tsquery('english', $1)) AND chunks.store = $2 "
    "ORDER BY ts_rank(words, to_tsquery('english', $1), 1) DESC, chunks.seq LIMIT $3",
    ("tsquery", "store", "most"),
    selects=True,
)


async def add(tx: Transaction, store_file: int, first: int, end: int) -> None:
    """Have chunks of a file found by their words: those from ``first`` to before ``end``."""
    await tx.run(INSERT_WORDS, {"store_file": store_file, "from_number": first, "to_number": end})


async def remove(tx: Transaction, store_file: int, first: int, end: int) -> None:
    """Have chunks of a file found no more, before they are deleted."""
    await tx.run(DELETE_WORDS, {"store_file": store_file, "from_number": first, "to_number": end})


class Words(NamedTuple):
    """What is looked for, as each database wants it; None is nothing."""

    fts5: str | None
    tsquery: str | None


async def search(tx: Transaction, store: str, words: Words, most: int) -> list[tuple[int, int]]:
    """Return the chunks of a store that have any of the words, best first: their file's row, their number."""
    if words.fts5 is None or words.tsquery is None:
        return []
    keys = {"fts5": f'"store" : "{store}" AND {words.fts5}', "tsquery": words.tsquery}
    rows = await tx.all(SEARCH_WORDS, {**keys, "store": store, "most": most})
    return [(row[0], row[1]) for row in rows]
