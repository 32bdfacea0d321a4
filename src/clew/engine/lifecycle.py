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
