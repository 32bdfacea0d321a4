"""The driver that a process uses, found out when code is first to run."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clew.clock import Clock
from clew.sandbox.sandbox import Driver, SandboxTrouble

_AGAIN = 60_000
"""Milliseconds after which a driver that was refused is tried again."""


class Known(NamedTuple):
    """What has been found out: the driver's name, or why there is none; neither before code is first to run.

    ``python`` is the program that the next session runs; None for the server's own, without its packages.
    """

    driver: str | None
    trouble: str | None
    python: Path | None


class _Python(NamedTuple):
    """A Python for sessions, and when it was made: one that is made anew is another."""

    program: Path | None
    made: int


class Chosen:
    """Chooses once for each Python, and keeps what was chosen.

    Args:
        name: what CLEW_SANDBOX says.
        python: the Python that code is to run on. None: the one that ``clew code setup`` has made in
            ``data_dir``, as soon as it is there; until then the server's own, without its packages.
        data_dir: where Clew keeps its data.
        remote: makes the driver of that name, where there is a bus.
    """

<<<<<<< HEAD
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
=======
    def __init__(self, name: str, python: Path | None, data_dir: Path, clock: Clock) -> None:
        self._name, self._given, self._data_dir, self._clock = name, python, data_dir, clock
>>>>>>> 633f4fd (wip)
        self._lock = asyncio.Lock()
        self._driver: tuple[_Python, Driver] | None = None
        self._former: list[Driver] = []
        self._refused: tuple[_Python, int, str] | None = None

    async def driver(self) -> Driver:
        """Return it.

        Raises:
            SandboxTrouble: none holds here; the message says what is missing.
        """
        async with self._lock:
            python, now = self._python(), self._clock.now()
            if self._driver is not None and self._driver[0] == python:
                return self._driver[1]
            if self._refused is None or self._refused[0] != python or now >= self._refused[1] + _AGAIN:
                return await self._choose(python, now)
            raise SandboxTrouble(self._refused[2])

    def known(self) -> Known:
        """Return what has been found out so far."""
        python = self._python()
        refused = self._refused is not None and self._refused[0] == python
        return Known(
            None if refused or self._driver is None else self._driver[1].name,
            self._refused[2] if refused and self._refused is not None else None,
            python.program,
        )

    async def _choose(self, python: _Python, now: int) -> Driver:
        from clew.sandbox.choosing import chosen

        remote = self._remote
        others = {} if remote is None else {"remote": lambda *_: remote()}
        try:
<<<<<<< HEAD
            python = None if self._python is None else str(self._python)
            self._driver = await chosen(self._name, python, self._data_dir, others)
=======
            program = None if python.program is None else str(python.program)
            driver = await chosen(self._name, program, self._data_dir)
>>>>>>> 633f4fd (wip)
        except SandboxTrouble as trouble:
            self._refused = python, now, trouble.message
            raise
        if self._driver is not None:  # its sessions live on
            self._former.append(self._driver[1])
        self._driver, self._refused = (python, driver), None
        return driver

    def _python(self) -> _Python:
        if self._given is not None:
            return _Python(self._given, 0)
        from clew.sandbox import setup

        program = setup.program(self._data_dir)
        return _Python(program, 0 if program is None else setup.made_at(self._data_dir))

    async def close(self) -> None:
        """End the sessions of all drivers."""
        drivers = [*self._former, *([] if self._driver is None else [self._driver[1]])]
        await asyncio.gather(*(each.close() for each in drivers))
