"""Documents fall into windows without a rest, and chunks are ranges of windows."""

import time
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.search import chunks as module
from clew.search.chunks import Split, TooLong, split, windows_of
from clew.search.tokens import Tokens

TOKENS = Tokens()

PIECES = [
    "word ",
    "Ein Satz. ",
    "line\n",
    "\n\n",
    "天気。",
    "x" * 40,
    "🧶",
    "\r\n",
    " ",
    "e\u0301",
    "1234",
    ";;",
]
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.integers(1, 60)), max_size=30).map(
    lambda runs: "".join(piece * times for piece, times in runs)
)


class Page(NamedTuple):
    """A section as readers make them."""

    text: str
    page: int | None = None


class Limits(NamedTuple):
    """The limits of chunks and windows."""

    chunk_tokens: int = 800
    overlap_tokens: int = 400
    window_tokens: int = 256


LIMITS = st.builds(
    lambda chunk, share, window: Limits(chunk, chunk * share // 200, window),
    st.integers(100, 1000),
    st.integers(0, 100),
    st.integers(128, 512),
)


def _split(*pages: Page, limits: Limits | None = None) -> Split:
    return split(pages, **(limits or Limits())._asdict(), tokens=TOKENS)


def _prose(sentences: int) -> str:
    """Paragraphs of five sentences, each on its own line, all different."""
    lines = [
        f"Sentence number {n} says that {n * 7919} is no answer to question {n % 13}."
        for n in range(sentences)
    ]
    return "".join(line + ("\n\n" if n % 5 == 4 else "\n") for n, line in enumerate(lines))


@given(TEXTS, LIMITS)
def test_windows_are_the_text_and_chunks_are_windows(text: str, limits: Limits) -> None:
    result = _split(Page(text), limits=limits)
    assert "".join(result.windows) == (text if text.strip() else "")
    assert all(result.windows)
    for chunk in result.chunks:
        first, last = chunk.windows
        assert chunk.text == "".join(result.windows[first : last + 1])
        assert chunk.text.strip()
    covered = {n for chunk in result.chunks for n in range(chunk.windows[0], chunk.windows[1] + 1)}
    assert all(not window.strip() for n, window in enumerate(result.windows) if n not in covered)


@given(TEXTS, LIMITS)
def test_sizes_hold(text: str, limits: Limits) -> None:
    result = _split(Page(text), limits=limits)
    # Counted alone, what was cut inside a word or a run of spaces may have another token or so.
    counts = [TOKENS.count(window) for window in result.windows]
    assert all(count <= limits.window_tokens * 0.75 + 2 for count in counts)
    assert all(1 <= chunk.tokens <= limits.chunk_tokens for chunk in result.chunks)
    if text.strip():
        assert result.tokens == TOKENS.count(text)
    for before, after in pairwise(result.chunks):
        assert before.windows < after.windows
        shared = counts[after.windows[0] : before.windows[1] + 1]
        assert sum(shared) <= limits.overlap_tokens + 2 * len(shared)


@given(TEXTS, LIMITS)
def test_lines_are_those_of_the_text(text: str, limits: Limits) -> None:
    lines = text.split("\n")
    for chunk in _split(Page(text), limits=limits).chunks:
        own = "\n".join(lines[chunk.first_line - 1 : chunk.last_line]) + "\n"
        assert chunk.text in own
        # And of no more lines than that.
        assert own.count("\n") == chunk.text.count("\n") + (not chunk.text.endswith("\n"))


@given(TEXTS, LIMITS, st.integers(128, 512))
def test_chunks_are_cut_into_windows_anew(text: str, limits: Limits, window: int) -> None:
    chunks = [chunk.text for chunk in _split(Page(text), limits=limits).chunks]
    windows, ranges = windows_of(chunks, window, TOKENS)
    assert len(ranges) == len(chunks)
    for chunk, (first, last) in zip(chunks, ranges, strict=True):
        assert chunk == "".join(windows[first : last + 1])
    assert all(before[0] <= after[0] and before[1] <= after[1] for before, after in pairwise(ranges))
    assert all(TOKENS.count(each) <= window * 0.75 + 2 for each in windows)


def test_what_chunks_share_has_the_same_windows() -> None:
    cut = _split(Page(_prose(400)))
    windows, ranges = windows_of([chunk.text for chunk in cut.chunks], 256, TOKENS)
    assert len(ranges) > 10
    assert "".join(windows) == _prose(400)


def test_chunks_that_repeat_themselves_are_cut_in_little_time() -> None:
    begun = time.monotonic()
    windows, ranges = windows_of(["a" * 300_000 + "b"] * 20, 128, TOKENS)
    assert (len(ranges), ranges[-1][1]) == (20, len(windows) - 1)
    assert time.monotonic() - begun < 20


def test_chunks_are_nearly_as_long_and_overlap_nearly_as_much_as_asked_for() -> None:
    for limits in (Limits(), Limits(800, 80), Limits(1000, 0), Limits(4096, 2048), Limits(100, 50)):
        result = _split(Page(_prose(2000)), limits=limits)
        counts = [TOKENS.count(window) for window in result.windows]
        for before, after in zip(result.chunks[:-2], result.chunks[1:-1], strict=True):
            assert limits.chunk_tokens * 0.7 <= before.tokens <= limits.chunk_tokens
            shared = sum(counts[after.windows[0] : before.windows[1] + 1])
            assert limits.overlap_tokens * 0.7 <= shared <= limits.overlap_tokens


def test_cuts_prefer_paragraphs_then_lines_then_sentences_then_words() -> None:
    prose = _prose(400)
    assert all(window.endswith("\n\n") for window in _split(Page(prose)).windows)
    lines = prose.replace("\n\n", "\n")
    assert all(window.endswith(".\n") for window in _split(Page(lines)).windows)
    sentences = lines.replace("\n", " ")
    assert all(window.endswith(".") for window in _split(Page(sentences.rstrip())).windows)
    plain = sentences.replace(".", "").strip()
    windows = _split(Page(plain)).windows
    assert all(before.endswith(" ") or after.startswith(" ") for before, after in pairwise(windows))
    han = "数据库的索引可以加快查询速度但是会增加写入的成本。" * 100
    assert all(window.endswith("。") for window in _split(Page(han)).windows)


def test_a_page_ends_a_chunk_and_short_pages_are_joined() -> None:
    long = _prose(100)
    result = _split(
        Page("Title\nof it", 1), Page(" \n", 2), Page("Agenda", 3), Page(long, 4), Page("End.", 5)
    )
    assert [chunk.page for chunk in result.chunks] == [1] + [4] * (len(result.chunks) - 2) + [5]
    first = result.chunks[0]
    assert (first.text, first.first_line, first.last_line) == ("Title\nof it\nAgenda", 1, 3)
    assert "".join(result.windows) == "Title\nof it\nAgenda" + long + "End."
    assert (result.chunks[1].first_line, result.chunks[-1].first_line) == (1, 1)


def test_sections_without_pages_are_one_text() -> None:
    result = _split(Page("a\n"), Page("b"), Page(""), Page("c"))
    (chunk,) = result.chunks
    assert (chunk.text, chunk.page, chunk.first_line, chunk.last_line) == ("a\nb\nc", None, 1, 3)


@pytest.mark.parametrize("pages", [[], [Page("")], [Page(" \n\t", 1)]])
def test_nothing_is_split_into_nothing(pages: list[Page]) -> None:
    assert _split(*pages) == Split([], [], 0)


def test_a_document_may_be_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 1000)
    pages = [Page("word " * 300, n) for n in range(5)]
    assert _split(*pages[:3]).tokens == 903
    with pytest.raises(TooLong) as caught:
        _split(*pages)
    assert 1000 < caught.value.tokens < 1100


@pytest.mark.parametrize("limits", [Limits(99, 0), Limits(100, 51), Limits(100, -1), Limits(100, 0, 127)])
def test_limits_out_of_bounds_are_refused(limits: Limits) -> None:
    with pytest.raises(ValueError):
        _split(Page("text"), limits=limits)


def test_a_line_of_five_megabytes_is_split_in_linear_time() -> None:
    def taken(size: int) -> float:
        begun = time.process_time()
        assert len("".join(_split(Page("a" * size)).windows)) == size
        return time.process_time() - begun

    taken(10_000)
    # The square of the length would take 400 times as long.
    assert taken(5_000_000) < 200 * max(taken(250_000), 0.01)
