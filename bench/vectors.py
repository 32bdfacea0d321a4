"""How fast stores are searched and filled: ``python -m bench.vectors [--windows N ...] [--queries N]``.

Searched are made-up vectors around centres, against the bare product of the same matrix with the same query.
Their recall is measured against comparing everything. A store is filled by extracting text from pages, and by
cutting it into chunks.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.figures import Figure, Times
from clew.reading.reader import Reader
from clew.search.chunks import split
from clew.search.tokens import Tokens
from clew.search.vectors import VectorIndex
from tests.reading.made import pdf

SIZES = (1_000, 10_000, 100_000)

_DIMENSIONS, _FILE, _CENTRES, _FOUND = 384, 1_000, 200, 50
_QUERIES = 100
_PAGES, _WORDS = 200, 400


class _Text(NamedTuple):
    text: str
    page: int | None = None


def searched(sizes: tuple[int, ...], queries: int = _QUERIES) -> list[Figure]:
    """Measure searches among so many windows each."""
    return [figure for size in sizes for figure in _of_size(size, queries)]


def _of_size(size: int, queries: int) -> Iterator[Figure]:
    group = f"search of {size:,} windows"
    source = np.random.default_rng(7)
    centres = source.standard_normal((_CENTRES, _DIMENSIONS)).astype(np.float32)
    asked = _near(source, centres, queries)
    index = VectorIndex(_DIMENSIONS)
    matrix = np.empty((size, _DIMENSIONS), np.float32)
    begun = time.perf_counter()
    for file, start in enumerate(range(0, size, _FILE)):
        some = _near(source, centres, min(_FILE, size - start)).astype("<f2")
        index.add(file, some.tobytes(), [(n, n) for n in range(len(some))])
        matrix[start : start + len(some)] = some
    filled = time.perf_counter() - begun
    wanted = [query.astype("<f2").tobytes() for query in asked]
    begun = time.perf_counter()
    index.search(wanted[0], _FOUND)  # makes the signs, where there are so many
    first = (time.perf_counter() - begun) * 1000
    found, times = _timed(lambda n: index.search(wanted[n], _FOUND), queries)
    best, bare = _timed(lambda n: _bare(matrix, asked[n]), queries)
    kept = sum(
        len({hit.file * _FILE + hit.chunk for hit in hits} & set(nearest.tolist()))
        for hits, nearest in zip(found, best, strict=True)
    )
    yield Figure(group, "p50", times.p50, "ms", times.p50 / bare.p50, "a bare product")
    yield Figure(group, "p99", times.p99, "ms")
    yield Figure(group, "a bare product and its best 50", bare.p50, "ms")
    yield Figure(group, "the first search", first, "ms")
    yield Figure(group, "recall of the best 50", 100 * kept / (min(_FOUND, size) * queries), "%")
    yield Figure(group, "memory", index.nbytes / 1e6, "MB")
    yield Figure(group, "filled from rows", size / filled, "windows/s")


def _near(source: Any, centres: Any, count: int) -> Any:
    around = centres[source.integers(0, len(centres), count)]
    around = around + 0.9 * source.standard_normal((count, _DIMENSIONS), dtype=np.float32)
    return around / np.linalg.norm(around, axis=1)[:, None]


def _bare(matrix: Any, query: Any) -> Any:
    cosines = matrix @ query
    return np.argpartition(-cosines, _FOUND - 1)[:_FOUND]


def _timed(work: Any, times: int) -> tuple[list[Any], Times]:
    results, seconds = [], []
    for number in range(times):
        begun = time.perf_counter()
        results.append(work(number))
        seconds.append(time.perf_counter() - begun)
    return results, Times.of(seconds)


async def filled() -> list[Figure]:
    """Measure how fast text is extracted from a PDF, in its process, and cut into chunks."""
    words = " ".join(f"word{n % 97} and" for n in range(_WORDS // 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        path.write_bytes(pdf([words] * _PAGES))
        reader = Reader(1)
        try:
            begun = time.perf_counter()
            sections = await reader.text(path, path.name)
            extracted = time.perf_counter() - begun
        finally:
            await reader.close()
    tokens = Tokens()
    tokens.count("so that its vocabulary is loaded")
    begun = time.perf_counter()
    cut = split(sections, tokens=tokens)
    passed = time.perf_counter() - begun
    group = "a store is filled"
    return [
        Figure(
            group, f"text of a PDF of {_PAGES} pages, its process included", _PAGES / extracted, "pages/s"
        ),
        Figure(group, "cut into chunks of 800 tokens", len(cut.chunks) / passed, "chunks/s"),
        Figure(group, "cut", cut.tokens / passed, "tokens/s"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.vectors", description=__doc__)
    parser.add_argument("--windows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--queries", type=int, default=_QUERIES)
    given = parser.parse_args()
    for figure in [*asyncio.run(filled()), *searched(tuple(given.windows), given.queries)]:
        ratio = f"  ({figure.ratio:.2f} times {figure.of})" if figure.ratio else ""
        print(f"{figure.group}: {figure.name}: {figure.value:,.2f} {figure.unit}{ratio}")
    if sys.platform == "linux":
        print(
            f"memory of all at the most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
