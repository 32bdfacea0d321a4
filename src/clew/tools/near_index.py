"""The search in a large store's table of pgvector's, with the answers that the matrix in memory gives."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clew.search.encoding import as_text
from clew.search.vectors import Hit
from clew.store import near
from clew.store.database import Database
from clew.store.near import MOST_LOOKED_AT, Near, NearWindow, Only

_FIRST_TRIED = 4
"""Windows for each chunk sought that are asked for first; several may belong to one chunk."""

_FEW = 10
"""Filters that leave fewer than one in so many windows are searched exactly where the extension does not go
on until enough are left: a graph finds only some."""

QUICK_EXACTLY = 20_000
"""Windows up to which comparing one by one takes no longer than the graph does (measured: 0.002 ms each,
where the graph took 40 ms)."""


class _Plan(NamedTuple):
    """Which files of a table are searched, and how.

    Attributes:
        only: what the database is told of that; None if it need not be.
    """

    files: frozenset[int]
    only: Only | None
    exact: bool


class NearIndex:
    """The table of a store. Makes no vectors, holds none."""

    def __init__(self, db: Database, table: Near) -> None:
        self._db, self._table = db, table

    @property
    def files(self) -> Mapping[int, int]:
        """The files that are in it, with the number of their windows."""
        return self._table.files

    async def search(self, query: bytes, k: int, allowed: Mapping[int, object]) -> list[Hit]:
        """Return the chunks nearest to a query, as :meth:`clew.search.vectors.VectorIndex.search` does.

        The graph may miss some; scores are those of a comparison in float32.

        Raises:
            NoTable: it is not there any more.
        """
        plan, (text,) = await asyncio.to_thread(
            lambda: (self._plan(allowed), as_text(query, self._table.dimensions))
        )
        if not plan.files:
            return []
        scores = {} if text is None else await self._near(text, k, plan)
        hits = [Hit(file, chunk, min(score, 1.0)) for (file, chunk), score in scores.items() if score > 0]
        hits.sort(key=lambda hit: (-hit.score, hit.file, hit.chunk))
        del hits[k:]
        if len(hits) < k:
            await self._fill(hits, k, plan.files)
        return hits

    async def scores(self, query: bytes, chunks: Iterable[tuple[int, int]]) -> dict[tuple[int, int], float]:
        """Return the scores of chunks, file and number, of files that are in it.

        Raises:
            NoTable: it is not there any more.
        """
        wanted = [chunk for chunk in chunks if chunk[0] in self._table.files]
        (text,) = as_text(query, self._table.dimensions)
        if text is None or not wanted:
            return {}
        found = await self._db.scan(near.cosines, self._table, text, wanted)
        return {chunk: min(max(cosine, 0.0), 1.0) for chunk, cosine in found.items()}

    def _plan(self, allowed: Mapping[int, object]) -> _Plan:
        own = self._table.files
        files = frozenset(own.keys() & allowed.keys())
        left, total = sum(own[file] for file in files), sum(own.values())
        pgvector = self._db.pgvector
        iterates = pgvector is not None and pgvector.iterates
        exact = left <= QUICK_EXACTLY or (left * _FEW < total and not iterates)
        if len(files) == len(own):
            return _Plan(files, None, exact)
        if len(files) * 2 <= len(own):
            return _Plan(files, Only(sorted(files)), exact)
        return _Plan(files, Only(sorted(own.keys() - files), but=True), exact)

    async def _near(self, text: str, k: int, plan: _Plan) -> dict[tuple[int, int], float]:
        """Return the scores of the k best chunks, if so many are above 0, and of some more.

        Where the graph finds too few, all are compared: it may have stopped at windows that are filtered out,
        or belong to files that were removed.
        """
        most, exact = _FIRST_TRIED * k + 16, plan.exact
        while True:
            found = await self._windows(text, plan, most, exact=exact)
            scores = _by_chunk(found, plan.files)
            is_all = exact and (len(found) < most or found[-1].cosine <= 0)
            if is_all or sum(score > 0 for score in scores.values()) >= k:
                return scores
            if not exact and len(found) == most and most < MOST_LOOKED_AT:
                most = min(4 * most, MOST_LOOKED_AT)
            elif exact:
                most *= 4
            else:
                exact = True

    async def _windows(self, text: str, plan: _Plan, most: int, *, exact: bool) -> list[NearWindow]:
        only = plan.only
        if exact and only is None:  # what was removed and is still there would take the places of others
            only = Only(sorted(plan.files))
        pgvector = self._db.pgvector
        return await self._db.scan(
            near.nearest,
            self._table,
            text,
            only,
            most,
            exact=exact,
            iterates=pgvector is not None and pgvector.iterates,
        )

    async def _fill(self, hits: list[Hit], k: int, files: frozenset[int]) -> None:
        """Add chunks of score 0 in their order."""
        found = {(hit.file, hit.chunk) for hit in hits}
        for file, chunk in await self._db.scan(near.first_chunks, sorted(files), k):
            if (file, chunk) not in found and len(hits) < k:
                hits.append(Hit(file, chunk, 0.0))


def _by_chunk(found: list[NearWindow], files: frozenset[int]) -> dict[tuple[int, int], float]:
    scores: dict[tuple[int, int], float] = {}
    for window in found:  # nearest first
        if window.store_file in files:
            for chunk in range(window.first, window.last + 1):
                scores.setdefault((window.store_file, chunk), window.cosine)
    return scores
