"""The index finds what comparing everything with everything finds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clew.search import vectors as module
from clew.search.vectors import Hit, VectorIndex

DIMENSIONS = 3
Vectors = NDArray[np.float64]


class File(NamedTuple):
    """A file's vectors and its chunks' windows."""

    vectors: list[tuple[int, ...]]
    ranges: list[tuple[int, int]]


def packed(vectors: Any) -> bytes:
    return np.asarray(vectors, "<f2").tobytes()


@st.composite
def files(draw: st.DrawFn) -> File:
    """Small whole numbers, so that much is equally near."""
    vector = st.tuples(*[st.integers(-2, 2)] * DIMENSIONS)
    vectors = draw(st.lists(vector, min_size=1, max_size=12))
    places = st.lists(st.integers(0, len(vectors) - 1), max_size=6)
    firsts = sorted(draw(places))
    lasts = [min(len(vectors) - 1, first + draw(st.integers(0, 3))) for first in firsts]
    return File(vectors, [(first, max(lasts[: n + 1])) for n, first in enumerate(firsts)])


def everything(held: dict[int, File], query: tuple[int, ...]) -> list[tuple[int, int, float]]:
    """Compare everything, in the plainest way."""

    def cosine(vector: tuple[int, ...]) -> float:
        lengths = sum(x * x for x in vector) * sum(x * x for x in query)
        return sum(x * y for x, y in zip(vector, query, strict=True)) / lengths**0.5 if lengths else 0.0

    found = [
        (file, chunk, round(max(0.0, *map(cosine, of.vectors[first : last + 1]), 0.0), 6))
        for file, of in held.items()
        for chunk, (first, last) in enumerate(of.ranges)
    ]
    return sorted(found, key=lambda hit: (-hit[2], hit[0], hit[1]))


STEPS = st.lists(st.tuples(st.integers(0, 5), st.none() | files()), max_size=12)
QUERIES = st.tuples(*[st.integers(-2, 2)] * DIMENSIONS)


@given(STEPS, QUERIES, st.integers(1, 30), st.none() | st.sets(st.integers(0, 5)))
def test_it_finds_what_comparing_everything_finds(
    steps: list[tuple[int, File | None]], query: tuple[int, ...], k: int, allowed: set[int] | None
) -> None:
    index, held = VectorIndex(DIMENSIONS), dict[int, File]()
    for file, content in steps:
        if content is None:
            index.remove(file)
            held.pop(file, None)
        else:
            index.add(file, packed(content.vectors), content.ranges)
            held[file] = content
    assert (set(index.files), index.windows) == (set(held), sum(len(of.vectors) for of in held.values()))
    sought = {file: of for file, of in held.items() if allowed is None or file in allowed}
    hits = index.search(packed(query), k, allowed)
    best = everything(sought, query)
    scores = {(file, chunk): score for file, chunk, score in best}
    assert [hit.score for hit in hits] == pytest.approx([score for _, _, score in best[:k]], abs=1e-5)
    assert all(scores[hit.file, hit.chunk] == pytest.approx(hit.score, abs=1e-5) for hit in hits)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.file, hit.chunk))
    assert len({(hit.file, hit.chunk) for hit in hits}) == len(hits)
    asked = [(hit.file, hit.chunk) for hit in hits]
    assert index.scores(packed(query), asked) == [hit.score for hit in hits]
    assert index.scores(packed(query), [(6, 0), (0, -1), (0, 99)]) == [0, 0, 0]


def clustered(
    windows: int, dimensions: int, seed: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make vectors around 50 centres, and 20 queries."""
    source = np.random.default_rng(seed)
    centres = source.standard_normal((50, dimensions))

    def near(count: int) -> NDArray[np.float32]:
        around = centres[source.integers(0, 50, count)] + 0.9 * source.standard_normal((count, dimensions))
        unit = around / np.linalg.norm(around, axis=1)[:, None]
        return np.asarray(unit.astype("<f2"), np.float32)

    return near(windows), near(20)


@pytest.mark.parametrize("dimensions", [384, 100])
@pytest.mark.parametrize("allowed", [None, set(range(0, 200, 2))], ids=["all", "half"])
def test_signs_choose_nearly_all_that_is_nearest(
    monkeypatch: pytest.MonkeyPatch, dimensions: int, allowed: set[int] | None
) -> None:
    monkeypatch.setattr(module, "PREFILTER_FROM", 9_000)
    vectors, queries = clustered(20_000, dimensions)
    index = VectorIndex(dimensions)
    index.add(999, packed(vectors[:10_200]), [(0, 10_199)])
    for file in range(200):
        index.add(file, packed(vectors[file * 100 :][:100]), [(n, n) for n in range(100)])
        if file == 100:
            # Signs are there of some before the rest comes, and before rows move.
            index.search(packed(queries[0]), 1)
            index.remove(999)
    found = nearest = 0
    for query in queries:
        cosines = vectors @ query
        if allowed is not None:
            cosines[np.arange(len(cosines)) // 100 % 2 == 1] = -1
        best = set(np.argsort(-cosines)[:20].tolist())
        hits = index.search(packed(query), 20, allowed)
        assert len(hits) == 20
        assert all(abs(hit.score - cosines[hit.file * 100 + hit.chunk]) < 1e-3 for hit in hits)
        found += len(best & {hit.file * 100 + hit.chunk for hit in hits})
        nearest += len(best)
    assert found / nearest >= (0.97 if dimensions == 384 else 0.85)


def test_where_signs_choose_too_few_chunks_all_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREFILTER_FROM", 1_000)
    index = VectorIndex(2)
    index.add(1, packed([[1, 0.01]] * 1500), [(0, 1499)])
    index.add(2, packed([[1, -0.5]]), [(0, 0)])
    hits = index.search(packed([1, 0.1]), 2)
    assert [(hit.file, round(hit.score, 3)) for hit in hits] == [(1, 0.996), (2, 0.846)]


def test_a_filter_that_leaves_few_files_finds_them_all() -> None:
    vectors, queries = clustered(3_000, 16)
    index = VectorIndex(16)
    for file in range(300):
        index.add(file, packed(vectors[file * 10 :][:10]), [(0, 9)])
    assert {hit.file for hit in index.search(packed(queries[0]), 20, {3, 5, 250, 999})} == {3, 5, 250}
    assert index.search(packed(queries[0]), 20, set()) == []


def test_many_windows_of_one_chunk_hide_no_other() -> None:
    index = VectorIndex(2)
    index.add(1, packed([[1, 0]] * 1000), [(0, 999)])
    index.add(2, packed([[1, 1], [0, 1], [-1, 0]]), [(0, 0), (1, 1), (2, 2)])
    hits = index.search(packed([1, 0]), 5)
    assert hits[0] == Hit(1, 0, 1.0)
    assert [(hit.file, hit.chunk) for hit in hits] == [(1, 0), (2, 0), (2, 1), (2, 2)]
    assert [round(hit.score, 3) for hit in hits[1:]] == [0.707, 0, 0]


def test_what_is_the_same_scores_the_same_wherever_it_stands() -> None:
    vectors, queries = clustered(37, 384)
    index = VectorIndex(384)
    for file in range(400):
        same = np.vstack([vectors[: file % 5], vectors[36:]])
        index.add(file, packed(same), [(len(same) - 1, len(same) - 1)])
    hits = index.search(packed(queries[0]), 400)
    assert len({hit.score for hit in hits}) == 1
    assert [hit.file for hit in hits] == list(range(400))
    assert index.search(packed(queries[0]), 5) == hits[:5]


def test_the_best_few_are_the_first_of_all_however_near_they_are() -> None:
    vectors, _ = clustered(1, 384)
    index = VectorIndex(384)
    # Cosines that differ by less than float32 shows.
    same = np.linspace(1, 9, 2000)[:, None] * vectors
    index.add(1, packed(same), [(n, n) for n in range(2000)])
    assert index.search(packed(vectors), 5) == index.search(packed(vectors), 2000)[:5]


def test_nothing_is_nearer_than_itself() -> None:
    vectors, _ = clustered(200, 24)
    index = VectorIndex(24)
    index.add(1, packed(vectors), [(n, n) for n in range(200)])
    for chunk, vector in enumerate(vectors):
        (hit,) = index.search(packed(vector), 1)
        assert hit.chunk == chunk
        assert 1 - 1e-6 < hit.score <= 1


def test_the_room_of_what_has_gone_is_used_again() -> None:
    index = VectorIndex(64)
    block = packed(np.ones((100, 64)))
    for round_ in range(20):
        for file in range(10):
            index.add(file, block, [(0, 99)])
        assert index.nbytes <= 4 * 1000 * 64 * 4, round_
    for file in range(10):
        index.remove(file)
    assert (index.windows, index.nbytes, index.search(packed(np.ones(64)), 1)) == (0, 0, [])


@pytest.mark.parametrize(
    ("vectors", "ranges"),
    [
        (b"1", []),
        (packed([1, 2, 3, 4]), []),
        (packed([1, 2, np.nan]), []),
        (packed([1, 2, np.inf]), []),
        (packed([1, 2, 3]), [(0, 1)]),
        (packed([1, 2, 3]), [(-1, 0)]),
        (packed([[1, 2, 3]] * 2), [(1, 0)]),
        (packed([[1, 2, 3]] * 2), [(1, 1), (0, 1)]),
        (packed([[1, 2, 3]] * 2), [(0, 1), (0, 0)]),
        (b"", [(0, 0)]),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(vectors: bytes, ranges: list[tuple[int, int]]) -> None:
    index = VectorIndex(3)
    index.add(1, packed([1, 0, 0]), [(0, 0)])
    with pytest.raises(ValueError):
        index.add(1, vectors, ranges)
    assert index.search(packed([1, 0, 0]), 5) == [Hit(1, 0, 1.0)]


@pytest.mark.parametrize("query", [b"", packed([1, 2]), packed([[1, 2, 3]] * 2), packed([1, 2, np.nan])])
def test_a_query_of_other_dimensions_is_refused(query: bytes) -> None:
    index = VectorIndex(3)
    with pytest.raises(ValueError):
        index.search(query, 1)


def test_vectors_have_dimensions() -> None:
    with pytest.raises(ValueError):
        VectorIndex(0)


@given(st.binary(min_size=6, max_size=6))
@example(packed([65504, -65504, 65504]))
@example(packed([6e-8, 0, 0]))
def test_scores_are_between_0_and_1(query: bytes) -> None:
    index = VectorIndex(3)
    index.add(1, packed([[1, 2, 3], [0, 0, 0], [6e-8, 0, 0]]), [(0, 0), (1, 1), (2, 2)])
    if np.isfinite(np.frombuffer(query, "<f2")).all():
        hits = index.search(query, 3)
        assert len(hits) == 3
        assert all(0 <= hit.score <= 1 for hit in hits)
    else:
        with pytest.raises(ValueError):
            index.search(query, 3)


def test_threads_that_search_see_files_whole_while_others_come_and_go() -> None:
    """Adding moves the matrix, and removing moves rows within it."""
    index = VectorIndex(DIMENSIONS)
    ranges = [(n, n) for n in range(50)]
    index.add(0, packed([(1, 0, 0)] * 50), ranges)
    troubles: list[str] = []
    over = threading.Event()

    def search() -> None:
        while not over.is_set():
            found = index.search(packed([(1, 0, 0)]), 60)
            wrong = [hit for hit in found if hit.score != (hit.file == 0)]
            if len(found) != 60 or wrong:
                troubles.append(f"{len(found)} found, {wrong[:3]}")

    index.add(1, packed([(0, 1, 0)] * 50), ranges)
    with ThreadPoolExecutor(3) as threads:
        searches = [threads.submit(search) for _ in range(3)]
        for n in range(200):
            index.add(2 + n, packed([(0, 1, 0)] * 50), ranges)
            index.remove(2 + n)
        over.set()
    for each in searches:
        each.result()
    assert troubles == []
