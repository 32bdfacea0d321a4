"""How quickly a large store's nearest windows are found: by pgvector, and in memory. Made-up vectors.

    python -m bench.nearest URL [--windows 100000] [--questions 100]

URL is an empty PostgreSQL database whose server has the extension. The windows lie in 2,000 heaps, as texts
about 2,000 things do; a question lies in one of them. Filters leave some of the files.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from clew.clock import SystemClock
from clew.core.due import Work
from clew.core.stores import FileStatus, StoreFile, VectorStore
from clew.engine.due_work import Context
from clew.engine.indexing import Indexing
from clew.search.encoding import packed
from clew.search.vectors import Hit, VectorIndex
from clew.store import due_work, near, store_files, vector_stores
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_schema import prepare_postgres
from clew.store.statement import Transaction
from clew.store.store_files import FileVectors
from clew.tools.near_index import NearIndex

_DIMENSIONS, _HEAPS, _SPREAD, _A_FILE, _PLACES = 384, 2_000, 0.7, 250, 50
_LEFT = (1.0, 0.5, 0.1, 0.05, 0.01, 0.001)

Search = Callable[[bytes, Mapping[int, object]], Awaitable[list[Hit]]]


class _Vectors:
    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        self._heaps = self._rng.standard_normal((_HEAPS, _DIMENSIONS))

    def one(self) -> bytes:
        heap = self._heaps[self._rng.integers(_HEAPS)]
        return packed(heap + _SPREAD * self._rng.standard_normal(_DIMENSIONS))

    def some_of(self, files: list[int], part: float) -> dict[int, None]:
        chosen = self._rng.choice(files, max(1, round(part * len(files))), replace=False)
        return dict.fromkeys(chosen.tolist())


async def _add_file(tx: Transaction, store: VectorStore, id: str, data: bytes) -> None:
    file = StoreFile(id=id, project=store.project, created_at=1, store_id=store.id, filename=id)
    await store_files.add(tx, [file])
    stored = await store_files.get(tx, store.id, id)
    assert stored is not None
    await store_files.settle(tx, stored, FileStatus.COMPLETED)
    ranges = [(window, window) for window in range(_A_FILE)]
    await store_files.add_vectors(tx, stored.seq, "made up", FileVectors(_DIMENSIONS, ranges, data))


async def _fill(db: PostgresDatabase, windows: int, vectors: _Vectors) -> VectorIndex:
    store = VectorStore(id="vs_1", project="p", created_at=1, last_active_at=1, embedder="made up")
    await db.write(vector_stores.add, store)
    index = VectorIndex(_DIMENSIONS)
    for number in range(windows // _A_FILE):
        data = b"".join(vectors.one() for _ in range(_A_FILE))
        await db.write(_add_file, store, f"file-{number}", data)
    begun = time.perf_counter()
    for file in await db.scan(store_files.findable, store.id):
        found = await db.scan(store_files.vectors_of, file.seq, "made up")
        assert found is not None
        index.add(file.seq, found.data, found.ranges)
    print(f"in memory: loaded in {time.perf_counter() - begun:.1f} s, {index.nbytes / 1e6:.0f} MB a process")
    return index


async def _make_table(db: PostgresDatabase) -> NearIndex:
    begun = time.perf_counter()
    work = Work(kind=near.INDEXING, id="vs_1", project="p", lane="p", created_at=1, due=1)
    await db.write(due_work.add, work)
    (work,) = await db.fetch(due_work.due, near.INDEXING, "p", 1, 1)
    done: Any = await Indexing(db).perform(work, Context(db, work, noted=1))
    await db.write(due_work.finish, work, done.result)
    table = await db.scan(near.table_of, "vs_1", "made up")
    assert table is not None
    assert table.ready
    print(f"pgvector: filled and built in {time.perf_counter() - begun:.0f} s")
    return NearIndex(db, table)


async def _timed(
    search: Search, questions: list[bytes], allowed: Mapping[int, object]
) -> tuple[str, list[set[Any]]]:
    times, found = [], []
    for question in questions:
        begun = time.perf_counter()
        hits = await search(question, allowed)
        times.append((time.perf_counter() - begun) * 1000)
        found.append({(hit.file, hit.chunk) for hit in hits})
    p50, p99 = np.percentile(times, [50, 99])
    return f"{p50:7.1f} {p99:7.1f}", found


async def main(url: str, windows: int, questions: int) -> None:
    """Measure, and print a table."""
    db = PostgresDatabase(url, clock=SystemClock())
    await db.open()
    assert db.pgvector is not None, "the server has no pgvector, or does not let us have it"
    vectors = _Vectors()
    index = await _fill(db, windows, vectors)
    table = await _make_table(db)

    async def in_memory(question: bytes, allowed: Mapping[int, object]) -> list[Hit]:
        return await asyncio.to_thread(index.search, question, _PLACES, allowed)

    async def by_table(question: bytes, allowed: Mapping[int, object]) -> list[Hit]:
        return await table.search(question, _PLACES, allowed)

    asked = [vectors.one() for _ in range(questions)]
    print(f"pgvector {db.pgvector.said}, {windows:,} windows; ms p50 and p99, of the nearest {_PLACES} found")
    print("left       in memory        pgvector   found")
    for part in _LEFT:
        allowed = vectors.some_of(list(index.files), part)
        mine, truth = await _timed(in_memory, asked, allowed)
        theirs, found = await _timed(by_table, asked, allowed)
        same = sum(len(one & other) for one, other in zip(found, truth, strict=True))
        print(f"{part:6.1%} {mine} {theirs} {same / max(1, sum(map(len, truth))):7.4f}", flush=True)
    await db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=100)
    given = parser.parse_args()
    prepare_postgres(given.url)
    asyncio.run(main(given.url, given.windows, given.questions))
