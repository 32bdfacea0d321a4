"""What an embeddings endpoint answers, checked: vectors that are wrong would spoil an index for good."""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from clew.search.encoding import packed

MOST_DIMENSIONS = 8192


class WrongAnswer(Exception):
    """An answer that can't be used; the text says what it has, to go on after "answered"."""


class _Entry(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Entry]


_decode = msgspec.json.Decoder(_Answer).decode


def vectors_of(said: bytes, count: int) -> list[bytes]:
    """Return the vectors of an answer to ``count`` texts (1 or more), in the texts' order.

    Each is of length 1, as little-endian float16s; all have as many dimensions. They may come as lists of
    numbers or as base64 of little-endian float32s.

    Raises:
        WrongAnswer: it is no such answer.
    """
    try:
        entries = _decode(said).data
    except (msgspec.DecodeError, RecursionError):
        raise WrongAnswer("something else than vectors of numbers") from None
    if len(entries) != count:
        raise WrongAnswer(f"{len(entries)} vectors for {count} texts")
    values = [_values(entry.embedding) for entry in _ordered(entries)]
    sizes = sorted({len(each) for each in values})
    if len(sizes) > 1:
        raise WrongAnswer(f"vectors of {sizes[0]} and of {sizes[-1]} dimensions")
    if not 0 < sizes[0] <= MOST_DIMENSIONS:
        raise WrongAnswer(f"vectors of {sizes[0]} dimensions, where there may be 1 to {MOST_DIMENSIONS}")
    try:
        return [packed(each) for each in values]
    except ValueError:
        raise WrongAnswer("a vector with a value that is no finite number") from None


def _ordered(entries: list[_Entry]) -> list[_Entry]:
    """Return entries in the order of their indexes, if they have any."""
    indexes = [entry.index for entry in entries]
    if all(index is None for index in indexes):
        return entries
    if sorted(-1 if index is None else index for index in indexes) != list(range(len(entries))):
        raise WrongAnswer("vectors whose indexes are not those of the texts")
    return sorted(entries, key=lambda entry: entry.index or 0)


def _values(embedding: list[float] | str) -> Sequence[float]:
    import numpy as np

    if isinstance(embedding, list):
        return embedding
    try:
        values: list[float] = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").tolist()
    except (binascii.Error, ValueError):
        raise WrongAnswer("text that is no base64 of float32s") from None
    return values
