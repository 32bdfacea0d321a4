"""Ids that count, so that two runs of a test are alike."""

import itertools


class CountingIds:
    """``prefix_`` and 24 digits, each id greater than the one before, whatever its prefix."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):024d}"
