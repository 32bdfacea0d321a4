"""A file's windows one by one, for an index that is not in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from clew.search.encoding import as_text


def told(
    vectors: bytes, dimensions: int, ranges: Sequence[tuple[int, int]], start: int, end: int
) -> list[tuple[int, int, str]]:
    """Return some of a file's windows: the first and last chunk of each, and its numbers as text.

    A window of no chunk is left out, and so is one of zeros, which is near to nothing.

    Args:
        vectors: of all its windows, as they are kept.
        ranges: the first and last window of each chunk.
        start, end: which windows: from ``start`` to before ``end``.
    """
    size = 2 * dimensions
    texts = as_text(vectors[start * size : end * size], dimensions)
    firsts, lasts = [first for first, _ in ranges], [last for _, last in ranges]
    found = []
    for window, text in enumerate(texts, start):
        chunk, after = bisect_left(lasts, window), bisect_right(firsts, window)
        if text is not None and chunk < after:
            found.append((chunk, after - 1, text))
    return found
