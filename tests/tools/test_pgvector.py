"""Large stores on PostgreSQL with pgvector: the answers that a search in memory gives, and what happens to
tables when files, stores and the extension go."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from clew.cli import checks
from clew.clock import SystemClock
from clew.core.due import Work
from clew.core.filters import Less
from clew.core.stores import FileStatus, StoreFile, VectorStore
from clew.engine.due_work import Context, Done
from clew.engine.indexing import Indexing
from clew.engine.ingestion import Purge
from clew.search.encoding import packed
from clew.settings import Settings
from clew.store import due_work, near, store_files, vector_stores
from clew.store.near import INDEXING
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_schema import prepare_postgres
from clew.store.statement import Transaction
from clew.store.store_files import PURGE, FileVectors, StoredChunk, store_key
from clew.tools import near_index, searcher
from clew.tools.searcher import Found, Searcher, Wanted
from tests.support.aside import aside
from tests.support.pgvector import PACKAGES, running_pgvector
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.anyio

_PROJECT, _NOW = "alpha", 1_800_000_000_000
_FILES, _WINDOWS, _DIMENSIONS = 100, 12, 32
_RECALL = 0.98


class _Embedder:
    """Makes the same vector of the same text, in any process."""

    window_tokens = 256

    def __init__(self, name: str = "made up", dimensions: int = _DIMENSIONS) -> None:
        self.name, self.dimensions = name, dimensions

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> bytes:
        if text == "nothing":
            return bytes(2 * self.dimensions)
        rng = np.random.default_rng(list(text.encode()))
        return packed(rng.standard_normal(self.dimensions))

    async def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _little_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the graph used though there are few windows, unless a filter leaves less than eight files."""
    monkeypatch.setattr(near_index, "QUICK_EXACTLY", 7 * _WINDOWS)


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with running_pgvector(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def filled(server: PostgresServer) -> str:
    """A database with a store that has its table: others are copied from it."""

    async def fill() -> None:
        db = PostgresDatabase(server.new_database("filled"), clock=SystemClock())
        await db.open()
        await _new_store(db, _Embedder())
        await _index(db)
        await db.close()

    aside(fill)
    return "filled"


@pytest.fixture
async def db(server: PostgresServer, filled: str) -> AsyncIterator[PostgresDatabase]:
    """A database that uses the extension, with the store vs_1."""
    server.execute(f"CREATE DATABASE large TEMPLATE {filled} STRATEGY file_copy")
    db = PostgresDatabase(server.url("large"), clock=SystemClock(), alone=False)
    await db.open()
    assert db.pgvector is not None
    yield db
    await db.close()
    server.drop_database("large")


@pytest.fixture
async def plain(db: PostgresDatabase) -> AsyncIterator[PostgresDatabase]:
    """The same database, used without the extension."""
    plain = PostgresDatabase(db.url, clock=SystemClock(), alone=False)
    yield plain
    await plain.close()


async def _add_file(tx: Transaction, store: VectorStore, number: int, embedder: _Embedder) -> None:
    id = f"file-{store.id}-{number}"
    new = StoreFile(
        id=id,
        project=_PROJECT,
        created_at=_NOW,
        store_id=store.id,
        filename=f"{number}.txt",
        attributes={"place": float(number)},
    )
    await store_files.add(tx, [new])
    file = await store_files.get(tx, store.id, id)
    assert file is not None
    key = store_key(store.id)
    # Each chunk shares a window with the next one, so one window belongs to two.
    ranges = [(first, min(first + 2, _WINDOWS - 1)) for first in range(0, _WINDOWS - 1, 2)]
    chunks = [
        StoredChunk(key, file.seq, place, f"file{number} part{place}", 5, None, 1, 1)
        for place in range(len(ranges))
    ]
    await store_files.add_chunks(tx, chunks)
    data = b"".join(embedder.vector(f"{number} {window}") for window in range(_WINDOWS))
    await store_files.settle(tx, file, FileStatus.COMPLETED)
    await store_files.add_vectors(tx, file.seq, embedder.name, FileVectors(embedder.dimensions, ranges, data))


async def _new_store(db: PostgresDatabase, embedder: _Embedder, id: str = "vs_1") -> VectorStore:
    store = VectorStore(
        id=id, project=_PROJECT, created_at=_NOW, last_active_at=1 << 60, embedder=embedder.name
    )

    async def fill(tx: Transaction) -> None:
        await vector_stores.add(tx, store)
        for number in range(_FILES):
            await _add_file(tx, store, number, embedder)

    await db.write(fill)
    return await _now(db, id)


async def _now(db: PostgresDatabase, id: str = "vs_1") -> VectorStore:
    store = await db.fetch(vector_stores.get, _PROJECT, id)
    assert store is not None
    return store


async def _index(db: PostgresDatabase, id: str = "vs_1") -> None:
    """Do what is due of a store's index, once."""
    await db.write(near.ask, _blank(id), _NOW)
    (work,) = await db.fetch(due_work.due, INDEXING, id, _NOW, 1)
    assert await db.write(due_work.claim, work, "worker_1", 1)
    work = replace(work, epoch=work.epoch + 1)
    context = Context(db, work, noted=1)
    done = await Indexing(db).perform(work, context)
    assert isinstance(done, Done)
    assert await db.write(due_work.finish, context.work, done.result)


def _blank(id: str) -> VectorStore:
    return VectorStore(id=id, project=_PROJECT, created_at=_NOW, last_active_at=_NOW)


async def _purge(db: PostgresDatabase, seqs: Sequence[int]) -> None:
    work = Work(kind=PURGE, id="p", project=_PROJECT, lane="p", created_at=_NOW, due=_NOW, payload=list(seqs))
    await db.write(due_work.add, work)
    (work,) = await db.fetch(due_work.due, PURGE, "p", _NOW, 1)
    assert await db.write(due_work.claim, work, "worker_1", 1)
    work = replace(work, epoch=work.epoch + 1)
    context = Context(db, work, noted=1)
    await Purge(db).perform(work, context)
    await db.write(due_work.finish, context.work, None)


def _shown(found: Sequence[Found]) -> list[tuple[tuple[str, int], float]]:
    return [((each.file.id, each.chunk.number), each.score) for each in found]


async def _rows(db: PostgresDatabase, query: str) -> list[Any]:
    async with db._pool.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def _tables(db: PostgresDatabase) -> list[str]:
    rows = await _rows(db, "SELECT tablename FROM pg_tables WHERE tablename ~ '^near_[0-9]+$'")
    return [row[0] for row in rows]


async def test_the_answers_are_those_of_a_search_in_memory(
    db: PostgresDatabase, plain: PostgresDatabase
) -> None:
    embedder = _Embedder()
    store = await _now(db)
    by_graph, in_memory = (Searcher(each, embedder, SystemClock()) for each in (db, plain))
    # What a filter leaves, in per cent. 8 are few: compared exactly, or filtered until enough are left.
    for left in (1, 5, 8, 50, 95, None):
        wanted_filter = None if left is None else Less(key="place", value=float(left))
        same = total = 0
        for number in range(12):
            wanted = Wanted(f"question {number} file3 part2", 50, 0.0, wanted_filter)
            ours, theirs = [
                dict(_shown(await each.search([store], wanted))) for each in (by_graph, in_memory)
            ]
            assert len(ours) == len(theirs)
            if left in (1, 5):
                assert ours == pytest.approx(theirs, abs=1e-6), "few are compared exactly"
                assert list(ours) == list(theirs)
            same, total = same + len(ours.keys() & theirs.keys()), total + len(theirs)
        assert same >= _RECALL * total, (left, same, total)
    assert by_graph._held["vs_1"].index is None, "it holds no vectors"
    # A vector that is like nothing, and words that nobody has: the first chunks, in their order.
    found = [_shown(await each.search([store], Wanted("nothing", 50))) for each in (by_graph, in_memory)]
    assert found[0] == found[1]
    assert len(found[0]) == 50


async def test_recall_of_the_graph_against_all_windows(db: PostgresDatabase, plain: PostgresDatabase) -> None:
    embedder = _Embedder()
    store = await _now(db)
    by_graph, in_memory = (Searcher(each, embedder, SystemClock()) for each in (db, plain))
    held, whole = await by_graph._fresh(store), await in_memory._fresh(store)
    assert held.table is not None
    assert whole.index is not None
    found = 0
    for number in range(40):
        query = embedder.vector(f"question {number}")
        ours = await held.table.search(query, 50, held.files)
        theirs = whole.index.search(query, 50)
        for one, other in zip(ours, theirs, strict=True):
            assert one.score <= other.score + 1e-5, "nothing is nearer than the nearest"
        found += len({(hit.file, hit.chunk) for hit in ours} & {(hit.file, hit.chunk) for hit in theirs})
    assert found >= _RECALL * 40 * 50, found


async def test_what_a_table_lacks_is_found_and_what_was_removed_is_not(db: PostgresDatabase) -> None:
    embedder = _Embedder()
    searching = Searcher(db, embedder, SystemClock())
    await searching.search([await _now(db)], Wanted("question"))

    await db.write(_add_file, await _now(db), 1_000, embedder)
    (first, *_) = await searching.search([await _now(db)], Wanted("1000 7"))
    assert (first.file.filename, round(first.score, 3)) == ("1000.txt", 1.0)
    (file,) = await db.fetch(store_files.of_file, "file-vs_1-1000")
    await _index(db)
    assert file.seq in await _indexed(db)
    (first, *_) = await searching.search([await _now(db)], Wanted("1000 7"))
    assert (first.file.filename, round(first.score, 3)) == ("1000.txt", 1.0)

    assert await db.write(store_files.remove, file, _NOW)
    found = await searching.search([await _now(db)], Wanted("1000 7", 50))
    assert "1000.txt" not in {each.file.filename for each in found}
    assert len(found) == 50
    await _purge(db, [file.seq])
    assert file.seq not in await _indexed(db)
    (table,) = await _tables(db)
    assert await _rows(db, f"SELECT 1 FROM {table} WHERE store_file = {file.seq}") == []


async def _indexed(db: PostgresDatabase) -> set[int]:
    return {row[0] for row in await _rows(db, "SELECT store_file FROM near_files WHERE whole")}


async def test_files_may_go_while_others_search(db: PostgresDatabase) -> None:
    embedder = _Embedder()
    searching = Searcher(db, embedder, SystemClock())
    files = [await db.fetch(store_files.get, "vs_1", f"file-vs_1-{number}") for number in range(_FILES)]

    async def remove() -> None:
        for file in files[: _FILES - 10]:
            assert file is not None
            await db.write(store_files.remove, file, _NOW)
            if file.seq % 10 == 0:
                await _purge(db, [file.seq])

    removing = asyncio.ensure_future(remove())
    while not removing.done():
        gone = {file.id for file in files if file is not None} - {
            file.id for file in await db.scan(store_files.findable, "vs_1")
        }
        found = await searching.search([await _now(db)], Wanted("question", 50))
        assert not gone & {each.file.id for each in found}
    await removing
    # 10 files of 6 chunks each are left; what is still to be purged takes nobody's place.
    found = await searching.search([await _now(db)], Wanted("question", 50))
    assert len(found) == 50


async def test_stores_of_two_embedders_have_a_table_each_which_goes_with_the_store(
    db: PostgresDatabase, plain: PostgresDatabase
) -> None:
    large = _Embedder("another", 48)
    await _new_store(db, large, "vs_2")
    await _index(db, "vs_2")
    assert len(await _tables(db)) == 2
    store = await _now(db, "vs_2")
    ours, theirs = [
        _shown(await Searcher(each, large, SystemClock()).search([store], Wanted("3 4", 5)))
        for each in (db, plain)
    ]
    assert dict(ours) == pytest.approx(dict(theirs), abs=1e-6)

    seqs = [file.seq for file in await db.scan(store_files.findable, "vs_2")]

    async def delete(tx: Transaction) -> None:
        await vector_stores.remove(tx, _PROJECT, "vs_2")
        await store_files.remove_all(tx, _PROJECT, "vs_2", _NOW)

    await db.write(delete)
    await _purge(db, seqs)
    assert len(await _tables(db)) == 1
    assert await _rows(db, "SELECT store FROM near_stores") == [("vs_1",)]
    await db.write(near.ask, _blank("vs_2"), _NOW)  # as a search that was under way might
    (work,) = await db.fetch(due_work.due, INDEXING, "vs_2", _NOW, 1)
    await Indexing(db).perform(work, Context(db, work, noted=1))
    assert len(await _tables(db)) == 1


async def test_a_search_of_a_large_store_asks_for_its_table(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = _Embedder()
    store = await _new_store(db, embedder, "vs_2")
    searching = Searcher(db, embedder, SystemClock())
    await searching.search([store, await _now(db)], Wanted("question"))
    assert await _rows(db, "SELECT id FROM due_work WHERE kind = 'indexing'") == []
    monkeypatch.setattr(searcher, "LARGE", _FILES * _WINDOWS)
    await Searcher(db, embedder, SystemClock()).search([store], Wanted("question"))
    assert await _rows(db, "SELECT id FROM due_work WHERE kind = 'indexing'") == [("vs_2",)]
    await _index(db, "vs_2")
    held = await searching._fresh(await _now(db, "vs_2"))
    assert held.table is not None
    assert held.index is not None
    assert (held.index.windows, held.index.nbytes) == (0, 0), "what the table has is let go of"


async def test_without_the_extension_all_goes_on_and_with_it_tables_are_made_anew(
    db: PostgresDatabase,
) -> None:
    embedder = _Embedder()
    store = await _now(db)
    searching = Searcher(db, embedder, SystemClock())
    before = dict(_shown(await searching.search([store], Wanted("5 6", 5))))
    await _rows(db, "DROP EXTENSION vector CASCADE")
    after = dict(_shown(await searching.search([store], Wanted("5 6", 5))))
    assert after == pytest.approx(before, abs=1e-6)

    await asyncio.to_thread(prepare_postgres, db.url)  # the extension is made again, what it left is dropped
    assert await _tables(db) == []
    await _index(db)
    assert len(await _tables(db)) == 1
    again = Searcher(db, embedder, SystemClock())
    assert dict(_shown(await again.search([await _now(db)], Wanted("5 6", 5)))) == pytest.approx(
        before, abs=1e-6
    )
    assert again._held["vs_1"].table is not None


async def test_the_doctor_says_which_version_there_is(db: PostgresDatabase) -> None:
    assert db.pgvector is not None
    (finding, *_) = await checks.store(Settings(database_url=db.url), SystemClock())
    assert f"pgvector {db.pgvector.said}" in finding.text
    await _rows(db, "DROP EXTENSION vector CASCADE")
    (finding, *_) = await checks.store(Settings(database_url=db.url), SystemClock())
    assert "without pgvector" in finding.text


async def test_who_may_not_make_the_extension_goes_on_without(server: PostgresServer) -> None:
    server.execute("CREATE ROLE modest LOGIN")
    server.execute("CREATE DATABASE modest OWNER modest")
    url = server.url("modest").replace("clew@", "modest@")
    await asyncio.to_thread(prepare_postgres, url)
    db = PostgresDatabase(url, clock=SystemClock())
    await db.open()
    assert db.pgvector is None
    await db.close()
    server.drop_database("modest")
    server.execute("DROP ROLE modest")
