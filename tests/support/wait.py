"""Waiting for a condition, with an end."""

import asyncio
import itertools
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


async def until_async(holds: Callable[[], object]) -> None:
    """Return when something holds, while the event loop goes on.

    Raises:
        TimeoutError: it has not come to hold in time.
    """
    async with asyncio.timeout(TIMEOUT):
        for _ in itertools.repeat(None):
            if holds():
                return
            await asyncio.sleep(_PAUSE)
