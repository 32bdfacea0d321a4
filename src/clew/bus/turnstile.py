"""How much is done for streams in one step of the event loop: the rest waits, in order, for the next.

As long as less comes than a step takes, nobody waits. Beyond that, a reader or a model's answer that has
waited goes on with all that has come meanwhile, in one piece: so a loop that is behind has less to do instead
of falling further behind, and requests come in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from clew.bus.rate import Rate

WIDTH = 50
"""Pieces and readers that are let through in one step: one to three milliseconds of work."""

PAUSE = 0.001
"""Seconds between two steps while some wait: for requests, and for the threads that want the interpreter."""


class Turnstile:
    """Lets through so many in one step of the event loop."""

    def __init__(self, width: int = WIDTH) -> None:
        self._width = self._left = width
        self.rate = Rate()
        """How many pieces models say."""
        self._waiting: deque[Callable[[], None]] = deque()
        self._armed = False

    @property
    def full(self) -> bool:
        """Whether who comes now has to wait."""
        return self._left <= 0

    def enter(self, go: Callable[[], None]) -> None:
        """Call ``go`` now, or when it is let through."""
        if self._left <= 0:
            self._waiting.append(go)
            return
        self.spend()
        go()

    def spend(self) -> None:
        """Note that something was done that has not waited."""
        self._left -= 1
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._step)

    async def through(self) -> None:
        """Return when one is let through: at once, unless it is full."""
        if not self.full:
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(partial(_let_through, place))
        await place

    def _step(self) -> None:
        self._armed, self._left = False, self._width
        while self._waiting and self._left:
            self._left -= 1
            self._waiting.popleft()()
        if self._left < self._width:
            self._armed = True
            loop = asyncio.get_running_loop()
            if self._waiting:
                loop.call_later(PAUSE, self._step)
            else:
                loop.call_soon(self._step)


def _let_through(place: "asyncio.Future[None]") -> None:
    if not place.done():
        place.set_result(None)
