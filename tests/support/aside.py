"""Asking something asynchronous from a test that may itself be running on an event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def aside(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop and a thread of its own, and wait for it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(make())).result()
