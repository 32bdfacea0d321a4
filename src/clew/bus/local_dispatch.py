"""Dispatch in one process: a task a delivery, no polling."""

import asyncio
import logging
from collections.abc import Callable

from clew.bus.dispatch import Advance
from clew.core.decisions import RunState

_log = logging.getLogger(__name__)


class LocalDispatch:
    """Runs each delivery as a task of this process, at most ``limit`` at once; more wait in line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._advance: Advance | None = None
        self._interrupt: Callable[[str], bool] | None = None
        self._expect: Callable[[int], None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running = 0
        self._waiting: dict[str, RunState | None] = {}
        self._closing = False

    def serve(
        self, advance: Advance, interrupt: Callable[[str], bool], expect: Callable[[int], None]
    ) -> None:
        """Say who works. ``interrupt`` returns whether it found the run being worked on."""
        self._advance, self._interrupt, self._expect = advance, interrupt, expect

    @property
    def ready(self) -> bool:
        return self._advance is not None and not self._closing and self._running < self._limit

    def advance(self, run_id: str, claimed: RunState | None = None) -> None:
        if self._closing:
            return
        if not self.ready:
            self._waiting[run_id] = claimed
            return
        self._start(run_id, claimed)

    def interrupt(self, run_id: str) -> None:
        if self._interrupt is None or self._closing:
            self.advance(run_id)
        elif not self._interrupt(run_id):  # nothing is left to do but to end it: that needs no place in line
            self._waiting.pop(run_id, None)
            self._start(run_id, None)

    def wake_at(self, due: int) -> None:
        if self._expect is not None:
            self._expect(due)

    def works_on(self, run_id: str) -> bool:
        return run_id in self._tasks or run_id in self._waiting

    def _start(self, run_id: str, claimed: RunState | None) -> None:
        assert self._advance is not None
        self._running += 1
        task = asyncio.ensure_future(self._advance(run_id, claimed))
        self._tasks[run_id] = task
        task.add_done_callback(lambda done: self._ended(run_id, done))

    def _ended(self, run_id: str, task: "asyncio.Future[None]") -> None:
        self._running -= 1
        if self._tasks.get(run_id) is task:
            del self._tasks[run_id]
        if not task.cancelled() and (error := task.exception()):
            _log.error(
                "run %s: the worker broke off; the sweep will take it up again", run_id, exc_info=error
            )
        while self._waiting and self.ready:
            first = next(iter(self._waiting))
            self._start(first, self._waiting.pop(first))

    async def close(self) -> None:
        """Stop all work. What was in flight goes on after the next start."""
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
