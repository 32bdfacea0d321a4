"""Signals between a test and a server that lives in another thread.

A test must never sleep to let something happen: it waits for a signal, or releases a gate.
"""

import asyncio
import threading
from collections.abc import Callable

TIMEOUT = 10.0
"""Seconds a wait lasts at most, unless the caller says otherwise."""


class Signal:
    """Something that happens once. Any thread or event loop may set it and wait for it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._condition = threading.Condition()
        self._happened = False
        self._callbacks: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Signal {self._what}: {'yes' if self._happened else 'not yet'}>"

    def is_set(self) -> bool:
        """Return whether it has happened."""
        return self._happened

    def set(self) -> None:
        """Let it happen: everyone who waits goes on. Further calls do nothing."""
        with self._condition:
            self._happened = True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            callback()

    def wait(self, timeout: float = TIMEOUT) -> None:
        """Block this thread until it has happened.

        Raises:
            TimeoutError: it hasn't happened in ``timeout`` seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._happened, timeout):
                raise TimeoutError(f"{self._what}: not within {timeout:g} s")

    async def wait_async(self, timeout: float = TIMEOUT) -> None:
        """Like :meth:`wait`, for programs with an event loop.

        Raises:
            TimeoutError: it hasn't happened in ``timeout`` seconds.
        """
        happened = asyncio.Event()
        self.call(asyncio.get_running_loop(), happened.set)
        try:
            async with asyncio.timeout(timeout):
                await happened.wait()
        except TimeoutError:
            raise TimeoutError(f"{self._what}: not within {timeout:g} s") from None

    def call(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        """Have ``loop`` call ``callback`` once it has happened, at once if it has already."""

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback)

        with self._condition:
            if not self._happened:
                self._callbacks.append(wake)
                return
        wake()


class Gate:
    """A place in an answer where the model stops until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = Signal("the model has reached the gate")
        self.released = Signal("the gate was released")

    def wait_reached(self, timeout: float = TIMEOUT) -> None:
        """Block until the model has sent everything before the gate.

        Raises:
            TimeoutError: it didn't get there in ``timeout`` seconds.
        """
        self.reached.wait(timeout)

    def release(self) -> None:
        """Let the model go on; a gate that was released stays open."""
        self.released.set()
