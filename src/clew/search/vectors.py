"""The windows of one vector store in memory, as one matrix, and the search in it.

The product of a matrix and a vector is exact, and as quick as an approximate index up to 100,000 windows (7
ms). Above :data:`PREFILTER_FROM` the signs of the numbers, one bit each, choose whom to compare exactly: the
alternative, a graph, would be a second truth beside the rows.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.intp]

PREFILTER_FROM = 200_000
"""Windows to be searched from which on signs choose first."""

_LEAST_CHOSEN, _CHOSEN_PART = 800, 100
"""How many windows the signs choose: so many, or one in 100, if that is more. Of 260,000 made-up ones 99.6 %
of the 50 nearest are among these, in 7 ms; of one in 500 95 %, in 4."""

_NEAR = 1e-5
"""More than products in float32 differ from exact ones: what is nearer to the last place is compared
exactly."""

_FIRST_TRIED = 4
"""Windows for each chunk sought that are looked at first; several may belong to one chunk."""

_ROWS_AT_ONCE = 4096
"""Rows compared exactly at a time, since each number takes eight bytes."""


class Hit(Struct, frozen=True):
    """A chunk that was found: its file, its index within the file, and how near it is, from 0 to 1."""

    file: int
    chunk: int
    score: float


class _Block:
    """Rows of one file, one after another. ``alive`` is false once the file has gone."""

    __slots__ = ("alive", "file", "firsts", "lasts", "size", "start")

    def __init__(self, file: int, start: int, size: int, ranges: Sequence[tuple[int, int]]) -> None:
        self.file, self.start, self.size, self.alive = file, start, size, True
        self.firsts = [first for first, _ in ranges]
        self.lasts = [last for _, last in ranges]

    def chunks_of(self, row: int) -> range:
        """Return the chunks that a row, counted within the file, belongs to."""
        return range(bisect_left(self.lasts, row), bisect_right(self.firsts, row))


class VectorIndex:
    """Vectors of windows, by file. Threads take turns; numpy sets the interpreter free at work.

    Attributes:
        files: that are in it.

    Args:
        dimensions: numbers of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        # Imported here, since a process without vector stores should not hold it.
        import numpy

        self._np: Any = numpy
        if dimensions < 1:
            raise ValueError("A vector has at least one dimension.")
        self._dimensions = dimensions
        self._blocks: list[_Block] = []
        self._starts: list[int] = []
        self._by_file: dict[int, _Block] = {}
        self._used = self._alive = 0
        self._matrix: Floats = numpy.empty((0, dimensions), numpy.float32)
        self._signs = _Signs(numpy, dimensions)
        self._turn = threading.Lock()  # a search whose caller has gone still goes on in its thread

    @property
    def files(self) -> Set[int]:
        """The files that are in it."""
        return self._by_file.keys()

    @property
    def windows(self) -> int:
        """Windows of the files that are in it."""
        return self._alive

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and signs, and of the room kept for more."""
        return int(self._matrix.nbytes) + self._signs.nbytes

    def add(self, file: int, vectors: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """Add a file, or put it in its former place.

        Args:
            file: its number.
            vectors: of its windows, in order: float16, little endian, one after another. Their length is of
                no account; a vector of zeros is near to nothing.
            ranges: the first and last window of each chunk, both belong to it. Neither goes back from one
                chunk to the next.

        Raises:
            ValueError: the vectors are not of the index's dimensions, are not finite, or a range is
            impossible.
        """
        rows = self._decoded(vectors)
        _check_ranges(ranges, len(rows))
        with self._turn:
            self._remove(file)
            self._reserve(len(rows))
            self._matrix[self._used : self._used + len(rows)] = rows
            self._append(_Block(file, self._used, len(rows), ranges))

    def remove(self, file: int) -> None:
        """Take a file out, if it is there. Its room is used again once more than half of all is of such
        files."""
        with self._turn:
            self._remove(file)

    def _remove(self, file: int) -> None:
        block = self._by_file.pop(file, None)
        if block is None:
            return
        block.alive = False
        self._alive -= block.size
        if self._used > 2 * self._alive:
            self._compact()

    def search(self, query: bytes, k: int, allowed: Container[int] | None = None) -> list[Hit]:
        """Return the chunks nearest to a query.

        A chunk's score is the cosine of its nearest window, at least 0. The answer is exact up to
        :data:`PREFILTER_FROM` windows of allowed files; above, a chunk may be missed, but scores are exact.

        Args:
            query: a vector as in :meth:`add`.
            k: the most chunks.
            allowed: files that may be found, by default all. Those alone are compared.

        Returns:
            Best first; of the same score by file, then chunk. Fewer than k only if there are no more.

        Raises:
            ValueError: the query is not one vector of the index's dimensions, or not finite.
        """
        wanted = self._query(query)
        with self._turn:
            return self._search(wanted, k, allowed)

    def scores(self, query: bytes, chunks: Sequence[tuple[int, int]]) -> list[float]:
        """Return how near some chunks are to a query, as :meth:`search` says it; 0 for one that is not there.

        Args:
            query: a vector as in :meth:`add`.
            chunks: file and index within the file of each.

        Raises:
            ValueError: the query is not one vector of the index's dimensions, or not finite.
        """
        wanted = self._query(query)
        with self._turn:
            return [self._score(wanted, file, chunk) for file, chunk in chunks]

    def _score(self, query: "Floats", file: int, chunk: int) -> float:
        block = self._by_file.get(file)
        if block is None or not 0 <= chunk < len(block.firsts):
            return 0.0
        rows = self._np.arange(block.start + block.firsts[chunk], block.start + block.lasts[chunk] + 1)
        return min(max(0.0, *(score for _, score in self._exact(query, rows))), 1.0)

    def _query(self, query: bytes) -> "Floats":
        wanted = self._decoded(query)
        if len(wanted) != 1:
            raise ValueError(f"A query is one vector, not {len(wanted)}.")
        one: Floats = wanted[0]
        return one

    def _search(self, query: "Floats", k: int, allowed: Container[int] | None) -> list[Hit]:
        blocks = [block.alive and (allowed is None or block.file in allowed) for block in self._blocks]
        if k < 1 or not any(blocks):
            return []
        scores = self._near(query, k, blocks) if query.any() else {}
        hits = [Hit(file, chunk, min(score, 1.0)) for (file, chunk), score in scores.items() if score > 0]
        hits.sort(key=lambda hit: (-hit.score, hit.file, hit.chunk))
        del hits[k:]
        if len(hits) < k:
            self._fill(hits, k, blocks)
        return hits

    def _near(self, query: "Floats", k: int, blocks: list[bool]) -> dict[tuple[int, int], float]:
        """Return exact scores of chunks: of the k best, and some more."""
        rows = self._rows(blocks)
        most = self._used if rows is None else len(rows)
        if most > PREFILTER_FROM:
            chosen = self._signs.nearest(
                self._matrix[: self._used], query, rows, max(_LEAST_CHOSEN, 16 * k, most // _CHOSEN_PART)
            )
            scores = self._best(query, chosen, k)
            if sum(score > 0 for score in scores.values()) >= k:
                return scores
        return self._best(query, rows, k)

    def _rows(self, blocks: list[bool]) -> "Rows | None":
        """Return the rows of blocks, None if they are all rows."""
        if all(blocks):
            return None
        sizes = [block.size for block in self._blocks]
        rows: Rows = self._np.flatnonzero(self._np.repeat(blocks, sizes))
        return rows

    def _best(self, query: "Floats", rows: "Rows | None", k: int) -> dict[tuple[int, int], float]:
        """Return exact scores of the k best chunks of these rows, if so many are above 0, and some more."""
        np = self._np
        rough = self._product(query, rows)
        most = min(_FIRST_TRIED * k + 16, len(rough))
        while True:
            last = float(np.partition(rough, len(rough) - most)[len(rough) - most]) if len(rough) else 0.0
            # Chunks of score 0 need not be found.
            places = np.flatnonzero(rough >= max(last, 0.0) - _NEAR)
            scores = self._by_chunk(query, places if rows is None else rows[places])
            if len(scores) >= k or most == len(rough) or last <= 0:
                return scores
            most = min(4 * most, len(rough))

    def _product(self, query: "Floats", rows: "Rows | None") -> "Floats":
        if rows is None or len(rows) * 4 > self._used:
            # Copying so many rows would take longer than comparing all.
            product: Floats = self._matrix[: self._used] @ query
            return product if rows is None else product[rows]
        return self._matrix[rows] @ query

    def _by_chunk(self, query: "Floats", rows: "Rows") -> dict[tuple[int, int], float]:
        scores: dict[tuple[int, int], float] = {}
        for row, score in self._exact(query, rows):
            block = self._blocks[bisect_right(self._starts, row) - 1]
            for chunk in block.chunks_of(row - block.start):
                key = block.file, chunk
                if score > scores.get(key, -2.0):
                    scores[key] = score
        return scores

    def _exact(self, query: "Floats", rows: "Rows") -> Iterator[tuple[int, float]]:
        """Yield rows and their cosines, which unlike a product of matrices are the same wherever a row
        stands."""
        np = self._np
        wide = query.astype(np.float64)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            cosines = (self._matrix[some] * wide).sum(axis=1)
            yield from zip(some.tolist(), cosines.tolist(), strict=True)

    def _fill(self, hits: list[Hit], k: int, blocks: list[bool]) -> None:
        """Add chunks of score 0 in their order."""
        found = {(hit.file, hit.chunk) for hit in hits}
        some = [block for block, is_allowed in zip(self._blocks, blocks, strict=True) if is_allowed]
        for block in sorted(some, key=lambda block: block.file):
            for chunk in range(len(block.firsts)):
                if (block.file, chunk) not in found:
                    hits.append(Hit(block.file, chunk, 0.0))
                    if len(hits) == k:
                        return

    def _decoded(self, vectors: bytes) -> "Floats":
        """Return vectors of length 1, or 0, as rows."""
        np = self._np
        if len(vectors) % (2 * self._dimensions):
            raise ValueError(f"{len(vectors)} bytes are no vectors of {self._dimensions} dimensions.")
        rows: Floats = np.frombuffer(vectors, "<f2").reshape(-1, self._dimensions).astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        if not np.isfinite(lengths).all():
            raise ValueError("A vector's numbers are finite.")
        lengths[lengths == 0] = 1
        rows /= lengths[:, None]
        return rows

    def _reserve(self, more: int) -> None:
        needed = self._used + more
        if needed > len(self._matrix):
            capacity = max(needed, len(self._matrix) * 3 // 2)
            grown = self._np.empty((capacity, self._dimensions), self._np.float32)
            grown[: self._used] = self._matrix[: self._used]
            self._matrix = grown

    def _append(self, block: _Block) -> None:
        self._blocks.append(block)
        self._starts.append(block.start)
        self._by_file[block.file] = block
        self._used += block.size
        self._alive += block.size

    def _compact(self) -> None:
        """Copy what is alive together."""
        old, kept = self._matrix, [block for block in self._blocks if block.alive]
        self._matrix = self._np.empty((self._alive, self._dimensions), self._np.float32)
        self._blocks, self._starts, self._used, self._alive = [], [], 0, 0
        self._signs = _Signs(self._np, self._dimensions)
        for block in kept:
            self._matrix[self._used : self._used + block.size] = old[block.start : block.start + block.size]
            block.start = self._used
            self._append(block)


class _Signs:
    """The signs of vectors, as bits, made when first asked for."""

    def __init__(self, numpy: Any, dimensions: int) -> None:
        self._np = numpy
        self._words = -(-dimensions // 64)
        # A column a vector: so each step runs over numbers that stand side by side.
        self._bits: Any = numpy.empty((self._words, 0), numpy.uint64)
        self._done = 0

    @property
    def nbytes(self) -> int:
        return int(self._bits.nbytes)

    def nearest(self, matrix: "Floats", query: "Floats", rows: "Rows | None", most: int) -> "Rows":
        """Return the rows, of those given, whose signs differ least from a query's, and not many more than
        most."""
        np = self._np
        self._follow(matrix)
        distances = np.zeros(len(matrix), np.uint16)
        for bits, own in zip(self._bits, self._packed(query[None, :])[:, 0], strict=True):
            distances += np.bitwise_count(bits[: len(matrix)] ^ own)
        if rows is not None:
            distances = distances[rows]
        up_to = np.cumsum(np.bincount(distances))
        farthest = int(np.searchsorted(up_to, most))
        nearer = np.flatnonzero(distances < farthest)
        # Of those equally far there may be any number.
        places = np.concatenate([nearer, np.flatnonzero(distances == farthest)[:most]])
        places.sort()
        chosen: Rows = places if rows is None else rows[places]
        return chosen

    def _follow(self, matrix: "Floats") -> None:
        """Make the signs of rows that were added."""
        if len(matrix) > self._bits.shape[1]:
            grown = self._np.empty((self._words, len(matrix) * 5 // 4), self._np.uint64)
            grown[:, : self._done] = self._bits[:, : self._done]
            self._bits = grown
        for start in range(self._done, len(matrix), _ROWS_AT_ONCE):
            some = matrix[start : start + _ROWS_AT_ONCE]
            self._bits[:, start : start + len(some)] = self._packed(some)
        self._done = len(matrix)

    def _packed(self, rows: "Floats") -> Any:
        packed = self._np.packbits(rows > 0, axis=1)
        padded = self._np.zeros((len(rows), self._words * 8), self._np.uint8)
        padded[:, : packed.shape[1]] = packed
        return padded.view(self._np.uint64).T


def _check_ranges(ranges: Sequence[tuple[int, int]], windows: int) -> None:
    before = (0, 0)
    for each in ranges:
        first, last = each
        if not (before[0] <= first <= last < windows and before[1] <= last):
            raise ValueError(f"No chunk can have the windows {each} after {before}, of {windows}.")
        before = each
