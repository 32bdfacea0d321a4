"""The driver that a process uses, found out when code is first to run."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from clew.clock import Clock
from clew.sandbox.sandbox import Driver, SandboxTrouble

_AGAIN = 60_000
"""Milliseconds after which a driver that was refused is tried again."""


class Chosen:
    """Chooses once, and keeps what was chosen.

    Args:
        name: what CLEW_SANDBOX says.
        python: the Python that code is to run on; None for the server's own, without its packages.
        data_dir: where Clew keeps its data.
        remote: makes the driver of that name, where there is a bus.
    """

    def __init__(
        self,
        name: str,
        python: Path | None,
        data_dir: Path,
        clock: Clock,
        remote: Callable[[], Driver] | None = None,
    ) -> None:
        self._name, self._python, self._data_dir, self._clock = name, python, data_dir, clock
        self._remote = remote
        self._lock = asyncio.Lock()
        self._driver: Driver | None = None
        self._refused: tuple[int, str] | None = None

    async def driver(self) -> Driver:
        """Return it.

        Raises:
            SandboxTrouble: none holds here; the message says what is missing.
        """
        async with self._lock:
            if self._driver is not None:
                return self._driver
            now = self._clock.now()
            if self._refused is None or now >= self._refused[0] + _AGAIN:
                self._refused = None
                await self._choose(now)
            if self._driver is None:
                assert self._refused is not None
                raise SandboxTrouble(self._refused[1])
            return self._driver

    async def _choose(self, now: int) -> None:
        from clew.sandbox.choosing import chosen

        remote = self._remote
        others = {} if remote is None else {"remote": lambda *_: remote()}
        try:
            python = None if self._python is None else str(self._python)
            self._driver = await chosen(self._name, python, self._data_dir, others)
        except SandboxTrouble as trouble:
            self._refused = now, trouble.message

    async def close(self) -> None:
        """End the driver's sessions."""
        if self._driver is not None:
            await self._driver.close()
