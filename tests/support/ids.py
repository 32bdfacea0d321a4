"""Ids that count, so that two runs of a test are alike."""

import itertools


class CountingIds:
    """``prefix_`` and 24 digits, each id greater than the one before, whatever its prefix."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._derived: dict[tuple[str, ...], str] = {}

    def new(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):024d}"

    def derived(self, prefix: str, *parts: str) -> str:
        """Return the id that was made when these parts were first met."""
        key = (prefix, *parts)
        if key not in self._derived:
            self._derived[key] = self.new(prefix)
        return self._derived[key]
