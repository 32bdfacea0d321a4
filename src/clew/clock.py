"""Time, as a parameter. Only this module reads the machine's clock."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the server knows of time. Tests give one that they move themselves."""

    def now(self) -> float:
        """Return seconds since the Unix epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed on this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
