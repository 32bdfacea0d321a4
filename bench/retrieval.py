"""How well files are found: nDCG@10 of full text, vectors and both, on a public test collection.

    python -m bench.retrieval FOLDER [--documents 0] [--queries 0]

The folder has the form of BEIR: ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``) and ``qrels/test.tsv`` (query, document, grade; a line of names first). What embeds is what the
settings say. Each document is one chunk of as many windows as it takes.
"""

import argparse
import asyncio
import importlib
import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from clew.clock import SystemClock
from clew.search.chunks import split
from clew.search.ranking import fuse
from clew.search.terms import fts5_query, terms_of
from clew.search.tokens import Tokens
from clew.search.vectors import VectorIndex
from clew.settings import load

_DEPTH, _PLACES = 50, 10
"""How many a ranking has, and how many of them count."""

_AT_ONCE = 32


class Embedder(Protocol):
    """Turns texts into vectors: float16, little endian."""

    async def embed(self, texts: Sequence[str]) -> list[bytes]: ...


class Collection(NamedTuple):
    """Documents and queries by id, and the grades of documents by query: above 0 is what was sought."""

    documents: dict[str, str]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


class _Text(NamedTuple):
    text: str
    page: int | None = None


def read(folder: Path, documents: int = 0, queries: int = 0) -> Collection:
    """Read a collection; of documents and judged queries the first so many, or all for 0."""
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    corpus = {
        row["_id"]: f"{row.get('title') or ''}\n{row['text']}".strip()
        for row in _rows(folder / "corpus.jsonl", documents)
    }
    asked = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl", 0) if row["_id"] in grades}
    return Collection(corpus, dict(list(asked.items())[: queries or None]), grades)


def _rows(path: Path, most: int) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for count, line in enumerate(file):
            if most and count == most:
                return
            yield json.loads(line)


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


def by_text(collection: Collection) -> dict[str, list[str]]:
    """Return the ranking of each query by SQLite's full-text search."""
    ids = list(collection.documents)
    rankings = {}
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'porter unicode61')")
        rows = enumerate(collection.documents.values())
        database.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", rows)
        for query, text in collection.queries.items():
            expression = fts5_query(terms_of(text))
            found = database.execute(
                "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?",
                (expression, _DEPTH),
            )
            rankings[query] = [ids[row] for (row,) in found] if expression else []
    return rankings


async def by_vectors(collection: Collection, embedder: Embedder) -> dict[str, list[str]]:
    """Return the ranking of each query by the nearest window of each document."""
    ids, tokens = list(collection.documents), Tokens()
    windows = [split([_Text(text)], tokens=tokens).windows for text in collection.documents.values()]
    vectors = iter(await _embedded(embedder, [window for each in windows for window in each]))
    queries = await _embedded(embedder, list(collection.queries.values()))
    index = VectorIndex(len(queries[0]) // 2)
    for document, own in enumerate(windows):
        index.add(document, b"".join(next(vectors) for _ in own), [(0, len(own) - 1)] if own else [])
    return {
        query: [ids[hit.file] for hit in index.search(vector, _DEPTH)]
        for query, vector in zip(collection.queries, queries, strict=True)
    }


async def _embedded(embedder: Embedder, texts: Sequence[str]) -> list[bytes]:
    vectors: list[bytes] = []
    for start in range(0, len(texts), _AT_ONCE):
        vectors += await embedder.embed(texts[start : start + _AT_ONCE])
    return vectors


async def measure(collection: Collection, embedder: Embedder | None) -> dict[str, float]:
    """Return the mean nDCG@10 of each way; of full text alone if nothing embeds."""
    rankings = {"full text": by_text(collection)}
    if embedder is not None:
        near = await by_vectors(collection, embedder)
        rankings["vectors"] = near
        rankings["both"] = {
            query: [document for document, _ in fuse(words, near[query])]
            for query, words in rankings["full text"].items()
        }
    return {
        way: sum(ndcg(ranking, collection.grades[query]) for query, ranking in of.items()) / len(of)
        for way, of in rankings.items()
    }


def main() -> None:
    """Measure a folder and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=0, help="the first so many, 0 for all")
    parser.add_argument("--queries", type=int, default=0, help="the first so many, 0 for all")
    given = parser.parse_args()
    asyncio.run(_main(read(given.folder, given.documents, given.queries)))


async def _main(collection: Collection) -> None:
    embedder = importlib.import_module("clew.search.embedders").make_embedder(load(), SystemClock())
    begun = time.perf_counter()
    try:
        figures = await measure(collection, embedder)
    finally:
        if embedder is not None:
            await embedder.close()
    passed = time.perf_counter() - begun
    print(f"{len(collection.documents)} documents, {len(collection.queries)} queries, {passed:.0f} s")
    for way, figure in figures.items():
        print(f"{way:10} nDCG@10 {figure:.3f}")


if __name__ == "__main__":
    main()
