"""How well files are found: nDCG@10 of full text, vectors and both, by Clew's own search on SQLite.

    python -m bench.retrieval FOLDER [--documents 0] [--queries 0]    a public test collection
    python -m bench.retrieval                                         our own passages, in ten languages

The folder has the form of BEIR, or that in which Cranfield and CISI are handed on: see bench.collection. What
embeds is what the settings say.
"""

import argparse
import asyncio
import importlib
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.collection import Collection, languages, own, read
from clew.clock import SystemClock
from clew.core.stores import FileStatus, StoreFile, VectorStore
from clew.ids import VECTOR_STORE, RandomIds
from clew.search.chunks import Split, split
from clew.search.embedder import Embedder
from clew.search.tokens import Tokens
from clew.search.vectors import VectorIndex
from clew.settings import load
from clew.store import store_files, vector_stores
from clew.store.database import Database
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.store.statement import Transaction
from clew.store.store_files import FileVectors, StoredChunk, store_key
from clew.tools.searcher import CANDIDATES, Searcher, Wanted

_PLACES = 10
_AT_ONCE = 32
_PROJECT = "default"


class _Text(NamedTuple):
    text: str
    page: int | None = None


class _Document(NamedTuple):
    """A document as it is stored."""

    id: str
    split: Split
    vectors: FileVectors | None


Ranking = Callable[[str], Awaitable[Iterable[str]]]
"""Documents for a query, best first; one may come several times."""


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], places: int = _PLACES) -> float:
    """Return the normalized discounted cumulative gain of a ranking, from 0 to 1.

    The gain is the grade, the discount the binary logarithm of the place plus one, as in trec_eval's
    ndcg_cut. A query without anything to be found gives 0.
    """
    ideal = _gain(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:places])
    found = _gain([max(0, grades.get(document, 0)) for document in ranking[:places]])
    return found / ideal if ideal else 0.0


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(place + 2) for place, grade in enumerate(grades))


async def measure(collection: Collection, embedder: Embedder | None) -> dict[str, float]:
    """Return the mean nDCG@10 of each way; of full text alone if nothing embeds."""
    with tempfile.TemporaryDirectory(prefix="clew-bench-") as folder:
        path = Path(folder) / "clew.db"
        prepare_sqlite(path)
        db = SqliteDatabase(path, synchronous="NORMAL")
        try:
            documents = await _embedded(collection, embedder)
            store = await _stored(db, documents, None if embedder is None else embedder.name)
            return {
                way: await _mean(collection, ranking)
                for way, ranking in _ways(db, store, documents, embedder).items()
            }
        finally:
            await db.close()


async def _mean(collection: Collection, ranking: Ranking) -> float:
    gains = []
    for query, text in collection.queries.items():
        found = list(dict.fromkeys(await ranking(text)))
        gains.append(ndcg(found, collection.grades[query]))
    return sum(gains) / len(gains)


def _ways(
    db: Database, store: VectorStore, documents: list[_Document], embedder: Embedder | None
) -> dict[str, Ranking]:
    """Return the ways to search: the server's own, without an embedder and with it, and vectors alone."""
    without_vectors = VectorStore(
        id=store.id, project=store.project, created_at=0, last_active_at=store.last_active_at
    )
    words = _searching(Searcher(db, None, SystemClock()), without_vectors)
    if embedder is None:
        return {"full text": words}
    both = _searching(Searcher(db, embedder, SystemClock()), store)
    return {"full text": words, "vectors": _by_vectors(documents, embedder), "both": both}


def _searching(searcher: Searcher, store: VectorStore) -> Ranking:
    async def ranking(query: str) -> Iterable[str]:
        return [found.file.filename for found in await searcher.search([store], Wanted(query, CANDIDATES))]

    return ranking


def _by_vectors(documents: list[_Document], embedder: Embedder) -> Ranking:
    embedded = [(number, each.vectors) for number, each in enumerate(documents)]
    index: VectorIndex | None = None
    for number, vectors in embedded:
        if vectors is not None:
            index = index or VectorIndex(vectors.dimensions)
            index.add(number, vectors.data, vectors.ranges)

    async def ranking(query: str) -> Iterable[str]:
        (vector,) = await embedder.embed([query])
        return [documents[hit.file].id for hit in index.search(vector, CANDIDATES)] if index else []

    return ranking


# --- a store with the documents -------------------------------------------------------------------------


async def _embedded(collection: Collection, embedder: Embedder | None) -> list[_Document]:
    """Cut all documents as files are cut, and turn their windows into vectors."""
    tokens = Tokens()
    cut = {name: split([_Text(text)], tokens=tokens) for name, text in collection.documents.items()}
    if embedder is None:
        return [_Document(name, of, None) for name, of in cut.items()]
    windows = [window for of in cut.values() for window in of.windows]
    made: list[bytes] = []
    for start in range(0, len(windows), _AT_ONCE):
        made += await embedder.embed(windows[start : start + _AT_ONCE])
    vectors = iter(made)
    return [
        _Document(
            name, of, FileVectors(len(made[0]) // 2, _ranges(of), b"".join(next(vectors) for _ in of.windows))
        )
        for name, of in cut.items()
    ]


def _ranges(of: Split) -> list[tuple[int, int]]:
    return [chunk.windows for chunk in of.chunks]


async def _stored(db: Database, documents: Sequence[_Document], embedder: str | None) -> VectorStore:
    now, ids = SystemClock().now(), RandomIds()
    store = VectorStore(
        id=ids.new(VECTOR_STORE), project=_PROJECT, created_at=now, last_active_at=now, embedder=embedder
    )
    await db.write(vector_stores.add, store)
    for number, document in enumerate(documents):
        await db.write(_store, store, number, document)
    stored = await db.fetch(vector_stores.get, _PROJECT, store.id)
    assert stored is not None
    return stored


async def _store(tx: Transaction, store: VectorStore, number: int, document: _Document) -> None:
    """Store a document as the ingestion of a file does."""
    id = f"assistant-{number}"
    new = StoreFile(
        id=id, project=store.project, created_at=store.created_at, store_id=store.id, filename=document.id
    )
    await store_files.add(tx, [new])
    file = await store_files.get(tx, store.id, id)
    assert file is not None
    key = store_key(store.id)
    chunks = [
        StoredChunk(key, file.seq, n, each.text, each.tokens, each.page, each.first_line, each.last_line)
        for n, each in enumerate(document.split.chunks)
    ]
    await store_files.add_chunks(tx, chunks)
    await store_files.settle(tx, file, FileStatus.COMPLETED)
    if document.vectors is not None and store.embedder is not None:
        await store_files.add_vectors(tx, file.seq, store.embedder, document.vectors)


def main() -> None:
    """Measure a folder, or our own passages, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--documents", type=int, default=0, help="the first so many, 0 for all")
    parser.add_argument("--queries", type=int, default=0, help="the first so many, 0 for all")
    given = parser.parse_args()
    if given.folder is None:
        collections = {language: own(language) for language in languages()}
    else:
        collections = {given.folder.name: read(given.folder, given.documents, given.queries)}
    asyncio.run(_main(collections))


async def _main(collections: Mapping[str, Collection]) -> None:
    embedder = importlib.import_module("clew.search.embedders").make_embedder(load(), SystemClock())
    try:
        for name, collection in collections.items():
            begun = time.perf_counter()
            figures = await measure(collection, embedder)
            shown = ", ".join(f"{way} {figure:.3f}" for way, figure in figures.items())
            size = f"{len(collection.documents)} documents, {len(collection.queries)} queries"
            print(f"{name}: nDCG@10 of {shown} ({size}, {time.perf_counter() - begun:.0f} s)", flush=True)
    finally:
        if embedder is not None:
            await embedder.close()


if __name__ == "__main__":
    main()
