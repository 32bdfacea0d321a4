"""Time, as a parameter: tests give one that doesn't wait."""

import time
from typing import Protocol

import anyio


class Time(Protocol):
    """What the toolkit knows of time."""

    def now(self) -> float:
        """Return seconds from some fixed moment; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""
        ...


class RealTime:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


REAL_TIME = RealTime()
