"""The driver that a process uses, found out when code is first to run."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clew.clock import Clock
from clew.sandbox.sandbox import Driver, SandboxTrouble

WITH_THEIR_OWN = ("wasm", "remote")
"""Drivers whose sessions run another Python than one of this machine."""

_AGAIN = 60_000
"""Milliseconds after which a driver that was refused is tried again."""

_SOON = 5_000
"""The same for code workers: nothing is tried here, and they may just be starting."""


class Known(NamedTuple):
    """What is known of where code runs.

    Attributes:
        driver: its name, once code was to be run.
        trouble: why there is none, then.
        python: what the next session runs; None for the server's own Python without packages, or another's.
        packages: what that has, with versions.
        outdated: whether it has been made by ``clew code setup`` of another version of Clew.
    """

    driver: str | None
    trouble: str | None
    python: Path | None
    packages: dict[str, str]
    outdated: bool


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

    def __init__(
        self,
        name: str,
        python: Path | None,
        data_dir: Path,
        clock: Clock,
        remote: Callable[[], Driver] | None = None,
    ) -> None:
        self.name, self._given, self._data_dir, self._clock = name, python, data_dir, clock
        self._remote = remote
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
            again = _SOON if self.name == "remote" else _AGAIN
            if self._refused is None or self._refused[0] != python or now >= self._refused[1] + again:
                return await self._choose(python, now)
            raise SandboxTrouble(self._refused[2])

    def known(self) -> Known:
        """Return what has been found out so far. Not for the event loop: it looks into folders."""
        python, refused = self._python(), self._refused
        driver = None if self._driver is None else self._driver[1].name
        if refused is not None and refused[0] == python:
            return self._known(python, None, refused[2])
        return self._known(python, driver, None)

    def _known(self, python: _Python, driver: str | None, trouble: str | None) -> Known:
        from clew.sandbox import setup

        program = None if driver in WITH_THEIR_OWN else python.program
        packages = {} if program is None else setup.packages_of(program)
        ours = self._given is None and program is not None
        return Known(driver, trouble, program, packages, ours and setup.outdated(self._data_dir))

    async def _choose(self, python: _Python, now: int) -> Driver:
        from clew.sandbox.choosing import chosen

        remote = self._remote
        others = {} if remote is None else {"remote": lambda *_: remote()}
        try:
            program = None if python.program is None else str(python.program)
            driver = await chosen(self.name, program, self._data_dir, others)
        except SandboxTrouble as trouble:
            self._refused = python, now, trouble.message
            raise
        if self._driver is not None:  # its sessions live on
            self._former.append(self._driver[1])
        self._driver, self._refused = (python, driver), None
        return driver

    def _python(self) -> _Python:
        if self._given is not None or self.name in WITH_THEIR_OWN:
            return _Python(self._given, 0)
        from clew.sandbox import setup

        program = setup.program(self._data_dir)
        return _Python(program, 0 if program is None else setup.made_at(self._data_dir))

    async def close(self) -> None:
        """End the sessions of all drivers."""
        drivers = [*self._former, *([] if self._driver is None else [self._driver[1]])]
        await asyncio.gather(*(each.close() for each in drivers))
