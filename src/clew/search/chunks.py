"""Cuts documents into chunks, which searches return, and into windows, which are embedded.

A chunk may be longer than an embedding model can see, and chunks overlap. So the text is partitioned into
windows that the model sees whole, and a chunk is a range of windows: what overlaps is embedded once. A chunk
is as near to a query as the nearest of its windows (measured: nDCG@10 0.37 against 0.18 for a chunk's
beginning).

A page ends a chunk, so that a citation names the page that the words stand on; the price is that nothing
overlaps from page to page. Pages with little text, as slides have, are joined, and the first one is named.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Protocol

from msgspec import Struct

from clew.search.tokens import Tokens

MOST_TOKENS = 2_000_000
"""Tokens that a document may have. OpenAI's limit is 5,000,000 a file; see its guide to file search."""

LEAST_CHUNK_TOKENS, LEAST_WINDOW_TOKENS = 100, 128
"""100 is OpenAI's limit (``max_chunk_size_tokens``)."""

WORDPIECE = 0.75
"""Tokens of o200k for each of WordPiece, which has a smaller vocabulary."""

_MOST_CHARACTERS = 8
"""Characters of a token where tokens are long."""

_HEAD, _TRIED = 64, 64
"""Characters by which the beginning of a chunk is looked for in the one before, and places that are tried."""

_CLOSING = "\"'”’»)]}"  # noqa: RUF001
_STOPS = frozenset(".!?…")
_CJK_STOPS = frozenset("。！？．")  # noqa: RUF001


class Section(Protocol):
    """Text that belongs together in a document; ``page`` is that of a PDF, from 1, None where there are
    none."""

    @property
    def text(self) -> str: ...

    @property
    def page(self) -> int | None: ...


class Chunk(Struct, frozen=True):
    """What a search returns.

    Attributes:
        text: its windows, joined.
        tokens: of the text.
        page: that it stands on; the first, if pages were joined; None where there are none.
        first_line, last_line: counted from 1 within the page and those joined to it, or within the document
            where there are no pages; both belong to the chunk. Lines end with a line feed.
        windows: the first and the last, both belong to it: indexes into :attr:`Split.windows`.
    """

    text: str
    tokens: int
    page: int | None
    first_line: int
    last_line: int
    windows: tuple[int, int]


class Split(Struct, frozen=True):
    """A document's chunks and windows, both in order, and its tokens."""

    chunks: list[Chunk]
    windows: list[str]
    tokens: int


class TooLong(Exception):
    """A document has more tokens than :data:`MOST_TOKENS`.

    Attributes:
        tokens: counted when it was given up.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__(f"more than {MOST_TOKENS} tokens")
        self.tokens = tokens


def split(
    sections: Sequence[Section],
    *,
    chunk_tokens: int = 800,
    overlap_tokens: int = 400,
    window_tokens: int = 256,
    tokens: Tokens,
) -> Split:
    """Cut a document.

    The windows together are the text of the sections, but for three things: sections of white space alone
    are left out; where sections are joined, a line feed is put between them if none stands there; and
    nothing is normalized. Cuts fall at the end of a paragraph, else a line, else a sentence, else a word, if
    there is one in the last fifth of what may stand before the cut. Chunks and overlaps are whole windows,
    so most are a little shorter than asked for, and none is longer. The time is linear in the text.

    Args:
        sections: of one document, in order.
        chunk_tokens: the most that a chunk has, at least 100.
        overlap_tokens: the most that a chunk shares with the one before, at most half of chunk_tokens
            (OpenAI's rule).
        window_tokens: the most that a window has, in tokens of WordPiece; at least 128.
        tokens: counts.

    Raises:
        TooLong: the document has more than 2,000,000 tokens.
        ValueError: a limit is out of its bounds.
    """
    if chunk_tokens < LEAST_CHUNK_TOKENS:
        raise ValueError(f"A chunk has at least {LEAST_CHUNK_TOKENS} tokens.")
    if not 0 <= overlap_tokens * 2 <= chunk_tokens:
        raise ValueError("Chunks overlap by at most half of their tokens.")
    if window_tokens < LEAST_WINDOW_TOKENS:
        raise ValueError(f"A window has at least {LEAST_WINDOW_TOKENS} tokens.")
    sizes = _Sizes(chunk_tokens, overlap_tokens, int(window_tokens * WORDPIECE))
    result = Split([], [], 0)
    total = 0
    for text, page in _joined(sections, chunk_tokens // 4, tokens):
        cutter = _Cutter(text, tokens, MOST_TOKENS - total)
        _cut_text(text, page, cutter, sizes, result)
        total += cutter.counted
    return Split(result.chunks, result.windows, total)


def windows_of(
    texts: Sequence[str], window_tokens: int, tokens: Tokens
) -> tuple[list[str], list[tuple[int, int]]]:
    """Cut a document's chunks into windows anew, for an embedder that sees more or less than the one before.

    What a chunk shares with the one before is found by comparing, and is embedded once, as in :func:`split`.

    Args:
        texts: of the chunks, in order; none is empty.
        window_tokens: as in :func:`split`.

    Returns:
        The windows, and the first and the last of each chunk.
    """
    windows: list[str] = []
    ranges: list[tuple[int, int]] = []
    size = int(window_tokens * WORDPIECE)
    first, begun = 0, 0  # the first window of the chunk, and how much of it has windows already
    for number, text in enumerate(texts):
        after = texts[number + 1] if number + 1 < len(texts) else ""
        border = _border(text, begun, after)
        _cut_windows(text[begun:border], size, tokens, windows)
        shared = len(windows)
        _cut_windows(text[border:], size, tokens, windows)
        ranges.append((first, len(windows) - 1))
        first, begun = shared if border < len(text) else len(windows), len(text) - border
    return windows, ranges


def _border(text: str, start: int, after: str) -> int:
    """Return from where on a text, from ``start`` on, is what the next one begins with; its end if nowhere.

    Any such place will do: the windows behind it are part of both. Few are tried, so that a text that repeats
    itself costs no more than others.
    """
    head = after[:_HEAD]
    place = start - 1
    for _ in range(_TRIED):
        place = text.find(head, place + 1) if head else -1
        if place < 0:
            break
        if after.startswith(text[place:]):
            return place
    return len(text)


def _cut_windows(text: str, size: int, tokens: Tokens, windows: list[str]) -> None:
    cutter, start = _Cutter(text, tokens, MOST_TOKENS), 0
    while (cut := cutter.cut(size)) is not None:
        windows.append(text[start : cut[0]])
        start = cut[0]


@dataclass(frozen=True, slots=True)
class _Sizes:
    chunk: int
    overlap: int
    window: int


def _joined(sections: Sequence[Section], short: int, tokens: Tokens) -> Iterator[tuple[str, int | None]]:
    """Yield the texts within which chunks may stand, and the page of each: short pages and all without a
    page."""
    texts: list[str] = []
    page: int | None = None
    size = 0
    for section in sections:
        if not section.text.strip():
            continue
        more = 0 if section.page is None else _tokens_of_page(section.text, short, tokens)
        if texts and (section.page is None) == (page is None) and (page is None or size + more <= short):
            if not texts[-1].endswith("\n"):
                texts.append("\n")
        else:
            if texts:
                yield "".join(texts), page
            texts, page, size = [], section.page, 0
        texts.append(section.text)
        size += more
    if texts:
        yield "".join(texts), page


def _tokens_of_page(text: str, short: int, tokens: Tokens) -> int:
    # What is clearly long need not be counted twice.
    return tokens.count(text) if len(text) <= short * _MOST_CHARACTERS else short + 1


def _cut_text(text: str, page: int | None, cutter: "_Cutter", sizes: _Sizes, result: Split) -> None:
    """Cut one text into windows and chunks, and add them to the result."""
    base = len(result.windows)
    layout = _lay(cutter, sizes)
    ends = [0, *layout.ends]
    result.windows.extend(text[start:end] for start, end in pairwise(ends))
    counts = [0, *accumulate(layout.tokens)]
    line, at = 1, 0
    for first, after in layout.chunks:
        start, end = ends[first], ends[after]
        line, at = line + text.count("\n", at, start), start
        words = text[start:end]
        if words.strip():
            # A line feed at the end still belongs to the last line.
            last_line = line + words.count("\n", 0, -1)
            size = counts[after] - counts[first]
            windows = (base + first, base + after - 1)
            result.chunks.append(Chunk(words, size, page, line, last_line, windows))


@dataclass(slots=True)
class _Layout:
    """Where windows end, the tokens of each, and chunks as ranges of windows (the end is not part of it)."""

    ends: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)


def _lay(cutter: "_Cutter", sizes: _Sizes) -> _Layout:
    """Lay out chunks: what each has alone, then what it shares with the next, which begins the next one."""
    layout = _Layout()
    first, shared = 0, 0
    stride = sizes.chunk - sizes.overlap
    while not cutter.at_end or not layout.chunks:
        # What it shares with the one before counts; what then remains to the next one's beginning may be
        # nothing.
        if shared < stride * 4 // 5:
            _segment(cutter, stride - shared, sizes.window, layout)
        begun = len(layout.ends)
        shared = 0 if cutter.at_end else _segment(cutter, sizes.overlap, sizes.window, layout)
        layout.chunks.append((first, len(layout.ends)))
        first = begun
    return layout


def _segment(cutter: "_Cutter", budget: int, window: int, layout: _Layout) -> int:
    """Cut windows that together have at most a budget of tokens, and nearly that; return their tokens."""
    used = 0
    while not cutter.at_end:
        cut = cutter.cut(min(window, budget - used))
        if cut is None:
            break
        end, size = cut
        layout.ends.append(end)
        layout.tokens.append(size)
        used += size
        # A scrap of a window would be embedded for little.
        if budget - used < min(window, budget) // 2:
            break
    return used


class _Cutter:
    """Takes windows off the front of a text.

    Attributes:
        counted: tokens of what has been read so far.
    """

    def __init__(self, text: str, tokens: Tokens, limit: int) -> None:
        self._text, self._limit = text, limit
        self._parts = tokens.parts(text)
        self._ahead: deque[tuple[int, int]] = deque()
        self._at = 0
        self.counted = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._text)

    def cut(self, budget: int) -> tuple[int, int] | None:
        """Return where a window of at most so many tokens ends, and its tokens; None if nothing fits."""
        taken: list[tuple[int, int]] = []
        end, used = self._at, 0
        while (part := self._next()) is not None:
            if used + part[1] > budget:
                self._ahead.appendleft(part)
                break
            taken.append(part)
            end, used = end + part[0], used + part[1]
        if not taken:
            return None
        if end < len(self._text):
            end, used = self._back(taken, end, used, budget)
        self._at = end
        return end, used

    def _back(self, taken: list[tuple[int, int]], end: int, used: int, budget: int) -> tuple[int, int]:
        """Go back to the best place for a cut within the last fifth."""
        best, keep = -1, len(taken)
        place, size = end, used
        for count in range(len(taken), 0, -1):
            if size * 5 < budget * 4 and count < len(taken):
                break
            worth = _worth(self._text, place)
            if worth > best:
                best, keep, end, used = worth, count, place, size
            place, size = place - taken[count - 1][0], size - taken[count - 1][1]
        self._ahead.extendleft(reversed(taken[keep:]))
        return end, used

    def _next(self) -> tuple[int, int] | None:
        if self._ahead:
            return self._ahead.popleft()
        part = next(self._parts, None)
        if part is not None:
            self.counted += part[1]
            if self.counted > self._limit:
                raise TooLong(MOST_TOKENS - self._limit + self.counted)
        return part


def _worth(text: str, place: int) -> int:
    """Return how well a text may be cut before the character at a place: 4 a paragraph ends ... 0 inside a
    word."""
    before = text[max(0, place - 16) : place]
    if before[-1] in "\r\n":
        space = before[len(before.rstrip()) :]
        return 4 if space.count("\n") > 1 else 3
    if before[-1] in _CJK_STOPS:
        return 2
    if text[place].isspace():
        return 2 if before.rstrip(_CLOSING)[-1:] in _STOPS else 1
    return 1 if before[-1].isspace() else 0
