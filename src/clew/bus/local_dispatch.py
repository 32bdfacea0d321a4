"""Dispatch in one process: a task a delivery, no polling."""

import asyncio
import logging
from collections.abc import Callable

from clew.bus.dispatch import RunWorker
from clew.bus.fair_line import FairLine
from clew.core.decisions import RunState

_log = logging.getLogger(__name__)


class LocalDispatch:
    """Runs each delivery as a task of this process, at most ``limit`` at once.

    More wait in line, in which projects take turns.

    Args:
        worker: the id under which this process claims runs.
        limit: how many runs are worked on at once.
        line: how many more may wait before the dispatch is full.
    """

    def __init__(self, worker: str, limit: int, line: int = 1000) -> None:
        self._worker_id = worker
        self._limit, self._line = limit, line
        self._worker: RunWorker | None = None
        self._look_by: Callable[[int], None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running = 0
        self._waiting = FairLine()
        self._closing = False
        self.on_room: Callable[[], None] | None = None
        """Called when there is room for a run again."""

    def serve(self, worker: RunWorker | None, look_by: Callable[[int], None]) -> None:
        """Say who works, if anybody does, and who is to be told of times at which something is due."""
        self._worker, self._look_by = worker, look_by

    @property
    def claimant(self) -> str | None:
        return self._worker_id if self.room > 0 else None

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._line

    def full_for(self, project: str) -> bool:
        return self.full and self._waiting.has_share(project, self._line)

    @property
    def works(self) -> bool:
        return self._worker is not None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more runs this process would begin to work on now."""
        return 0 if self._worker is None or self._closing else max(0, self._limit - self._running)

    @property
    def active(self) -> int:
        """How many runs this process works on."""
        return self._running

    def deliver(self, run_id: str, acknowledge: Callable[[], None]) -> None:
        """Begin a run that came over a bus; ``acknowledge`` is called when the bus may forget it."""
        self._start(run_id, None, acknowledge)

    def advance(self, run_id: str, claimed: RunState | None = None, *, project: str = "") -> None:
        if self._closing:
            return
        if not self.room:
            self._waiting.add(run_id, claimed, project)
            return
        self._start(run_id, claimed)

    def interrupt(self, run_id: str) -> None:
        if self._worker is None:
            self.advance(run_id)
        elif not self._worker.interrupt(run_id) and not self._closing:
            self._waiting.remove(run_id)  # nothing is left but to end it: that needs no place in line
            self._start(run_id, None)

    def wake_at(self, due: int) -> None:
        if self._look_by is not None:
            self._look_by(due)

    def at_work(self) -> set[str]:
        return set(self._tasks)

    def works_on(self, run_id: str) -> bool:
        return run_id in self._tasks or run_id in self._waiting

    def _start(
        self, run_id: str, claimed: RunState | None, acknowledge: Callable[[], None] | None = None
    ) -> None:
        self._running += 1
        assert self._worker is not None
        task = asyncio.ensure_future(self._worker.advance(run_id, claimed, acknowledge))
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
        while self._waiting and self.room:
            self._start(*self._waiting.next())
        if self.on_room is not None and self.room:
            self.on_room()

    def begin_to_close(self) -> None:
        """Begin nothing new. What waited in line is found by the next sweep, here or elsewhere."""
        self._closing = True
        self._waiting.clear()

    async def finish(self, seconds: float) -> None:
        """Give what is under way so much time to end."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)

    async def hand_over(self, run_ids: list[str]) -> None:
        """Nobody else is there: the next start goes on with them."""

    async def close(self) -> None:
        """Stop all work. What was in flight goes on after the next start, or elsewhere."""
        self.begin_to_close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
