"""Searching in vector stores: by vectors and by words, fused; indexes in memory follow the rows.

Nothing of it computes on the event loop: rows are read by the store's scanners, vectors are compared in a
thread, where numpy sets the interpreter free.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clew.clock import Clock
from clew.core.filters import Filter, matches
from clew.core.stores import VectorStore
from clew.search.embedder import Embedder, Unembeddable
from clew.search.ranking import fuse
from clew.search.terms import fts5_query, terms_of, tsquery
from clew.search.vectors import Hit, VectorIndex
from clew.store import full_text, near, store_files, vector_stores
from clew.store.database import Database
from clew.store.full_text import Words
from clew.store.near import NoTable
from clew.store.store_files import Findable, StoredChunk, store_key
from clew.tools.near_index import NearIndex

CANDIDATES = 50
"""Chunks that vectors and words each bring."""

_CANDIDATES_FILTERED = 2_000
"""Chunks that words bring where a filter may throw most of them away."""

_CACHE = 512 * 1024 * 1024
"""Bytes of vectors that are kept in memory; what was used longest ago goes first."""

_MOST_HELD = 1_000
"""Stores of which anything is kept in memory: threads have stores of their own, and there may be many."""

_CLEARLY_NEAR = 0.6
"""Part of the nearest chunk's score that another needs for its place among the near to count beside its place
by words. In a small store all chunks are candidates, and one that has nothing but a word in common would else
pass the one that answers without a common word (our own passages: nDCG@10 0.77 before, 0.88 since)."""

_LONGEST_QUERY = 4_000
"""Characters of a query that are looked at: a model sees no more of it anyway."""

LARGE = 50_000
"""Windows of a store in memory from which on pgvector is to hold them, where PostgreSQL has it."""

_TOUCH = 60_000
"""Milliseconds in which a store that is used is noted as used once."""


_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A chunk that was found.

    Attributes:
        score: from 0 to 1: how near the nearest window of it, or of one that was ranked below it, is to what
            was asked. Without vectors, its place.
    """

    file: Findable
    chunk: StoredChunk
    score: float


class Wanted(NamedTuple):
    """What is searched for, and how."""

    query: str
    most: int = 20
    threshold: float = 0.0
    filter: Filter | None = None


class _Hit(NamedTuple):
    store_file: int
    number: int


class _Held:
    """What is held of one store: its files, and their vectors if there are any of this process's embedder.

    Attributes:
        looked_at: files whose vectors are in ``index``.
        table: has the other files' vectors, where pgvector does.
    """

    def __init__(self, embedder: str | None) -> None:
        self.embedder = embedder
        self.version = -1
        self.files: dict[int, Findable] = {}
        self.looked_at: set[int] = set()
        self.index: VectorIndex | None = None
        self.table: NearIndex | None = None
        self.lock = asyncio.Lock()

    @property
    def has_vectors(self) -> bool:
        return self.index is not None or self.table is not None


class Searcher:
    """Searches in vector stores.

    Args:
        embedder: makes the vectors of what is asked; None if nobody does.
    """

    def __init__(self, db: Database, embedder: Embedder | None, clock: Clock) -> None:
        self._db, self._embedder, self._clock = db, embedder, clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._told: set[str] = set()

    @property
    def embedder(self) -> str | None:
        """The name of whoever makes vectors here."""
        return None if self._embedder is None else self._embedder.name

    def hindered(self, store: VectorStore) -> str | None:
        """Return why a store is searched by words alone though it has vectors; None if it is not."""
        if store.embedder in (None, self.embedder):
            return None
        return (
            f"Searched by words alone: the vectors of {store.id} were made with {store.embedder}, and this "
            f"server embeds with {self.embedder or 'none'}. `clew stores reindex {store.id}` makes new ones."
        )

    async def search(self, stores: Sequence[VectorStore], wanted: Wanted) -> list[Found]:
        """Return the chunks of some stores that answer best, best first.

        Raises:
            Unembeddable: what is asked could not be turned into a vector, and words find nothing.
        """
        wanted = wanted._replace(query=wanted.query[:_LONGEST_QUERY])
        vector, trouble = await self._vector(stores, wanted.query)
        found: list[Found] = []
        for store in stores:
            self._tell(store)
            ours = store.embedder is not None and store.embedder == self.embedder
            found += await self._in_one(store, wanted, vector if ours else None)
            if store.last_active_at + _TOUCH < self._clock.now():
                await self._db.write(vector_stores.touch, store.id, self._clock.now())
        if trouble is not None:
            if not found:
                raise trouble
            _log.warning(
                "searched by words alone, as the question could not be embedded: %s", trouble.message
            )
        found.sort(key=lambda each: -each.score)
        return found[: wanted.most]

    def _tell(self, store: VectorStore) -> None:
        """Log once a model that a store's vectors can't be used. Models are few."""
        if (why := self.hindered(store)) is not None and store.embedder not in self._told:
            self._told.add(str(store.embedder))
            _log.warning("%s", why)

    async def _vector(
        self, stores: Sequence[VectorStore], query: str
    ) -> tuple[bytes | None, Unembeddable | None]:
        if self._embedder is None or all(store.embedder != self._embedder.name for store in stores):
            return None, None
        try:
            (vector,) = await self._embedder.embed([query])
        except Unembeddable as trouble:
            return None, trouble
        return vector, None

    async def _in_one(self, store: VectorStore, wanted: Wanted, vector: bytes | None) -> list[Found]:
        held = await self._fresh(store)
        allowed: Mapping[int, Findable] = held.files
        if wanted.filter is not None:
            allowed = await asyncio.to_thread(_matching, held.files, wanted.filter)
        if not allowed:
            return []
        scores: dict[_Hit, float] = {}
        near: list[_Hit] = []
        if vector is not None and held.has_vectors:
            hits = await self._nearest(store, held, vector, allowed)
            scores = {_Hit(hit.file, hit.chunk): hit.score for hit in hits}
            near = list(scores)
        most = CANDIDATES if wanted.filter is None else _CANDIDATES_FILTERED
        named = await self._by_words(store, wanted.query, most)
        named = [hit for hit in named if hit.store_file in allowed][:CANDIDATES]
        if vector is not None and held.has_vectors:
            await self._score(store, held, vector, [hit for hit in named if hit not in scores], scores)
        ranked = _ranked(near, named, scores)
        if not scores:
            scores = dict(ranked)
        return await self._read(held, ranked, scores, wanted)

    async def _nearest(
        self, store: VectorStore, held: _Held, vector: bytes, allowed: Mapping[int, Findable]
    ) -> list[Hit]:
        """Return the nearest chunks, from memory and from the table."""
        hits: list[Hit] = []
        if held.table is not None:
            try:
                hits = await held.table.search(vector, CANDIDATES, allowed)
            except NoTable as error:
                await self._without_table(store, held, error)
        if held.index is not None:
            hits += await asyncio.to_thread(held.index.search, vector, CANDIDATES, allowed)
        return sorted(hits, key=lambda hit: (-hit.score, hit.file, hit.chunk))[:CANDIDATES]

    async def _score(
        self, store: VectorStore, held: _Held, vector: bytes, hits: list[_Hit], scores: dict[_Hit, float]
    ) -> None:
        """Add the scores of chunks that words have found and vectors have not."""
        near: dict[tuple[int, int], float] = {}
        if held.table is not None and hits:
            try:
                near.update(await held.table.scores(vector, hits))
            except NoTable as error:
                await self._without_table(store, held, error)
        if held.index is not None:
            here = [hit for hit in hits if hit not in near]
            near.update(zip(here, await asyncio.to_thread(held.index.scores, vector, here), strict=True))
        for hit in hits:
            scores[hit] = near.get(hit, 0.0)

    async def _by_words(self, store: VectorStore, query: str, most: int) -> list[_Hit]:
        terms = terms_of(query)
        words = Words(fts5_query(terms, "text"), tsquery(terms))
        found = await self._db.scan(full_text.search, store_key(store.id), words, most)
        return [_Hit(*each) for each in found]

    async def _read(
        self, held: _Held, ranked: list[tuple[_Hit, float]], scores: dict[_Hit, float], wanted: Wanted
    ) -> list[Found]:
        """Return what was found with its text. No score is less than that of what is ranked below."""
        kept = [hit for hit, _ in ranked if scores.get(hit, 0.0) >= wanted.threshold][: wanted.most]
        least, shown = 0.0, []
        for hit in reversed(kept):
            least = max(least, scores.get(hit, 0.0))
            shown.append((hit, least))
        found = []
        for hit, score in reversed(shown):
            chunk = await self._db.fetch(store_files.chunk, hit.store_file, hit.number)
            file = held.files.get(hit.store_file)
            if chunk is not None and file is not None:  # else it was removed a moment ago
                found.append(Found(file, chunk, score))
        return found

    # --- what is held in memory -----------------------------------------------------------------

    async def _fresh(self, store: VectorStore) -> _Held:
        """Return what is held of a store, as its rows are now."""
        held = self._held.get(store.id)
        if held is None or held.embedder != store.embedder:
            held = self._held[store.id] = _Held(store.embedder)
        self._held.move_to_end(store.id)
        async with held.lock:
            if held.version != store.version:
                await self._follow(held, store)
                held.version = store.version
        self._make_room()
        return held

    async def _follow(self, held: _Held, store: VectorStore, *, by_table: bool = True) -> None:
        files = {file.seq: file for file in await self._db.scan(store_files.findable, store.id)}
        ours = store.embedder is not None and store.embedder == self.embedder
        held.table = await self._table(store) if by_table and ours else None
        elsewhere = {} if held.table is None else held.table.files
        kept = files.keys() - elsewhere
        for gone in held.looked_at - kept:
            held.looked_at.remove(gone)
            if held.index is not None:
                await asyncio.to_thread(held.index.remove, gone)  # it may copy all that is left
        # Not only what is new: a file may get its vectors after it was first found.
        for seq in kept - held.looked_at if ours else ():
            await self._hold(held, seq, str(store.embedder))
        held.files = files
        if by_table and held.index is not None and held.index.windows >= LARGE and self._db.pgvector:
            await self._db.write(near.ask, store, self._clock.now())

    async def _hold(self, held: _Held, store_file: int, embedder: str) -> None:
        """Hold the vectors of a file in memory, if it has any."""
        vectors = await self._db.scan(store_files.vectors_of, store_file, embedder)
        if vectors is not None and vectors.dimensions:
            held.looked_at.add(store_file)
            if held.index is None:
                held.index = VectorIndex(vectors.dimensions)
            await asyncio.to_thread(held.index.add, store_file, vectors.data, vectors.ranges)

    async def _table(self, store: VectorStore) -> NearIndex | None:
        """Return a store's table, where pgvector has one that is ready."""
        if self._db.pgvector is None:
            return None
        table = await self._db.scan(near.table_of, store.id, str(store.embedder))
        return NearIndex(self._db, table) if table is not None and table.ready else None

    async def _without_table(self, store: VectorStore, held: _Held, error: NoTable) -> None:
        """Hold all of a store in memory, as its table is not there any more."""
        async with held.lock:
            if held.table is not None:
                _log.warning("the vectors of %s are searched in memory: %s", store.id, error)
                await self._follow(held, store, by_table=False)

    def _make_room(self) -> None:
        total = sum(held.index.nbytes for held in self._held.values() if held.index is not None)
        while (total > _CACHE or len(self._held) > _MOST_HELD) and len(self._held) > 1:
            _, held = self._held.popitem(last=False)
            total -= held.index.nbytes if held.index is not None else 0


def _matching(files: Mapping[int, Findable], wanted: Filter) -> dict[int, Findable]:
    return {seq: file for seq, file in files.items() if matches(wanted, file.attributes)}


def _ranked(near: list[_Hit], named: list[_Hit], scores: Mapping[_Hit, float]) -> list[tuple[_Hit, float]]:
    """Join what is near and what words have found, each best first; what is not clearly near comes last."""
    clearly = [hit for hit in near if scores[hit] >= _CLEARLY_NEAR * scores[near[0]]]
    ranked = fuse(clearly, named)
    there = {hit for hit, _ in ranked}
    return ranked + [(hit, 0.0) for hit in near if hit not in there]
