"""How long an event loop was busy at once, as its own thread's CPU time: a busy machine doesn't count."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Slices:
    """The longest slice so far, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._before: float | None = None
        self._over = False

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note what the loop has used since the last look, and look again in its next step."""
        now = time.thread_time()
        if self._before is not None:
            self.longest = max(self.longest, now - self._before)
        self._before = now
        if not self._over:
            loop.call_soon(self.look, loop)

    def end(self) -> None:
        """Look no more."""
        self._over = True


@contextmanager
def watched(loop: Any) -> Iterator[Slices]:
    """Watch a loop that runs in another thread."""
    slices = Slices()
    loop.call_soon_threadsafe(slices.look, loop)
    try:
        yield slices
    finally:
        loop.call_soon_threadsafe(slices.end)
