"""Waiting for a condition, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 15.0
_PAUSE = 0.002


def until(condition: Callable[[], T | None], timeout: float = TIMEOUT) -> T:
    """Return the first true value of ``condition``, asking it again and again.

    Raises:
        AssertionError: it was not true within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout:g} s; the last value was {value!r}"
        time.sleep(_PAUSE)
