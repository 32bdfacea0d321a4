"""A clock that only tests move."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from clew.engine.asking import Asking

START = 1_800_000_000_250
"""When a manual clock starts: 2027-01-15, a quarter of a second past, so that rounding shows."""

TIMEOUT = 10.0
"""Seconds that a test waits for somebody to fall asleep."""


_RETRY = Asking.sleep.__qualname__
"""Who sleeps until a model is asked again."""


class _Sleeper(NamedTuple):
    who: str
    asked: int
    due: int
    wake: Callable[[], None]


class ManualClock:
    """Time stands still until :meth:`advance`. Any thread may ask, sleep or move it."""

    def __init__(self, now: int = START) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._sleepers: list[_Sleeper] = []

    def now(self) -> int:
        return self._now

    @property
    def seconds(self) -> int:
        """Return the time as the wire shows it."""
        return self._now // 1000

    @property
    def asked(self) -> list[int]:
        """For how long those who sleep have asked to."""
        with self._changed:
            return [sleeper.asked for sleeper in self._sleepers]

    async def sleep(self, milliseconds: int) -> None:
        if milliseconds <= 0:
            await asyncio.sleep(0)
            return
        who = sys._getframe(1).f_code.co_qualname
        loop, awake = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(awake.set)

        sleeper = _Sleeper(who, milliseconds, self._now + milliseconds, wake)
        with self._changed:
            self._sleepers.append(sleeper)
            self._changed.notify_all()
        try:
            await awake.wait()
        finally:
            with self._changed:
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)

    def advance(self, milliseconds: int) -> None:
        """Let time pass and wake those whose time has come."""
        with self._changed:
            self._now += milliseconds
            due = [sleeper for sleeper in self._sleepers if sleeper.due <= self._now]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper.due > self._now]
        for sleeper in due:
            sleeper.wake()

    def wait_for_sleep(self, milliseconds: int) -> None:
        """Wait until somebody sleeps for just ``milliseconds``.

        Raises:
            TimeoutError: nobody did.
        """
        with self._changed:

            def asleep() -> bool:
                return any(sleeper.asked == milliseconds for sleeper in self._sleepers)

            if not self._changed.wait_for(asleep, TIMEOUT):
                raise TimeoutError(f"nobody sleeps for {milliseconds} ms")

    def pass_retry(self, least: int, most: int) -> int:
        """Wait until a model is to be asked again in ``least`` to ``most`` milliseconds, let them pass.

        Others sleep too, for as long as the tests before have left them. Returns how long it was.

        Raises:
            TimeoutError: nobody did.
        """
        with self._changed:

            def asleep() -> list[int]:
                retries = [each.asked for each in self._sleepers if each.who == _RETRY]
                return [asked for asked in retries if least <= asked <= most]

            if not self._changed.wait_for(asleep, TIMEOUT):
                raise TimeoutError(f"no model is to be asked again in {least} to {most} ms")
            pause = min(asleep())
        self.advance(pause)
        return pause

    def advance_past_sleep(self, milliseconds: int) -> None:
        """Wait until somebody sleeps for just ``milliseconds``, then let that much time pass.

        Raises:
            TimeoutError: nobody did.
        """
        self.wait_for_sleep(milliseconds)
        self.advance(milliseconds)
