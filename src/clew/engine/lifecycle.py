"""How services of a process start and stop: all alike."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Protocol


class Service(Protocol):
    """Something that goes on between its start and its stop."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """End; what was begun and is durable goes on after the next start, here or elsewhere."""
        ...


class Stopping:
    """Whether the process is about to stop, and whether it waits no longer for those who read.

    Attributes:
        begun: nothing new is begun.
        over: the time is over that runs under way were given.
    """

    def __init__(self) -> None:
        self.begun = self.over = False

    def lets_go(self, *, at_work: bool) -> bool:
        """Whether a reader goes: of a run that is not at work here at once, of another when time is over."""
        return self.over or (self.begun and not at_work)


class LoopingService(ABC):
    """A service that is one loop, cancelled when it is to stop."""

    _task: "asyncio.Task[None] | None" = None

    @abstractmethod
    async def run(self) -> None:
        """Loop until cancelled."""

    async def start(self) -> None:
        self._task = asyncio.ensure_future(self.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
