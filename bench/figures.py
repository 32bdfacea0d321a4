"""Figures, and what is made of many times."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number. ``of`` names the reference that it is a ratio of, with that ratio."""

    group: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str = ""


class Times(NamedTuple):
    """How long something took, in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Times":
        """Return the median and the ninety-ninth percentile of durations in seconds."""
        ordered = sorted(seconds)
        return cls(statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000)


async def timed(work: Callable[[], Awaitable[object]], times: int) -> Times:
    """Do something again and again, one after another."""
    durations = []
    for _ in range(times):
        begun = time.perf_counter()
        await work()
        durations.append(time.perf_counter() - begun)
    return Times.of(durations)
