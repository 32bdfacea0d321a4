"""Time, as a parameter. Only this module reads the machine's clock."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the server knows of time. Tests give one that they move themselves."""

    def now(self) -> int:
        """Return milliseconds since the Unix epoch."""
        ...

    async def sleep(self, milliseconds: int) -> None:
        """Return when ``milliseconds`` have passed on this clock."""
        ...


def passed() -> float:
    """Return milliseconds that have passed since some moment, whatever the machine's clock is set to."""
    return time.monotonic() * 1000


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, milliseconds: int) -> None:
        await asyncio.sleep(max(0, milliseconds) / 1000)
