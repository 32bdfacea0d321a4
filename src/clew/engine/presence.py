"""Who is there to work: tells a worker that has died from one that is only slow.

Every process that shares a database counts up a number in its row. Whoever looks remembers how often it
has seen the same number in a row of looks: so nothing depends on clocks agreeing, a database that is
away makes nobody look dead, and neither does an observer that itself stood still for a while. A mistake
costs work done twice, never a wrong row: whoever takes a run over fences the former owner off.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from clew.engine.lifecycle import LoopingService
from clew.process import Process
from clew.store import workers
from clew.store.database import Database, is_full, is_passing
from clew.store.workers import WorkerRow

_LOOKS = 5
"""Looks in a row that must see the same number, before its owner counts as gone."""

_FORGET_AFTER = 3600 * 1000
"""Milliseconds after which the row of a process that has gone is deleted."""

_log = logging.getLogger(__name__)


class Presence(Protocol):
    """What the sweep asks about workers."""

    @property
    def worker(self) -> str:
        """This process's own worker."""
        ...

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        ...

    @property
    def leads(self) -> bool:
        """Whether it is this process's turn to look after what belongs to nobody.

        Only saves work: whatever two processes take up at one time, the database gives to one.
        """
        ...

    def is_gone(self, worker: str, beats: int | None) -> bool:
        """Whether a worker does no work any more. ``beats`` are its row's, None if it has none."""
        ...


class SoleWorker:
    """The only process on its database: any other worker belongs to one that has ended."""

    alone = leads = True

    def __init__(self, worker: str) -> None:
        self.worker = worker

    def is_gone(self, worker: str, beats: int | None) -> bool:
        return worker != self.worker


class SharedPresence(LoopingService):
    """One of several processes on a database.

    Args:
        row: who this process is.
        takeover_after: milliseconds of silence after which a process counts as gone.
        active: tells how many runs this process works on.
        on_gone: called when somebody is found to have gone.
    """

    alone = False

    def __init__(
        self,
        db: Database,
        row: WorkerRow,
        *,
        process: Process,
        takeover_after: int,
        active: Callable[[], int],
        on_gone: Callable[[], None],
    ) -> None:
        self._db, self._row, self._clock = db, row, process.clock
        self._interval = takeover_after // (_LOOKS - 1)
        self._active, self._on_gone = active, on_gone
        self._seen: dict[str, tuple[int, int]] = {}
        self.worker = row.id

    @property
    def leads(self) -> bool:
        alive = [worker for worker, (_, looks) in self._seen.items() if looks < _LOOKS]
        return min(alive, default=self.worker) == self.worker

    def is_gone(self, worker: str, beats: int | None) -> bool:
        if worker == self.worker:
            return False
        if beats is None:
            return True
        seen, looks = self._seen.get(worker, (beats, 0))
        return seen == beats and looks >= _LOOKS

    async def start(self) -> None:
        """Say that this process is there, before it claims anything."""
        await self._look()
        await super().start()

    async def run(self) -> None:
        """Say so again and again, and watch the others, until cancelled."""
        while True:
            await self._clock.sleep(self._interval)
            try:
                await self._look()
            except Exception as error:
                if not is_full(error):  # of that the store has told
                    _log.error(
                        "nobody could be told that this process is alive: %s",
                        error,
                        exc_info=not is_passing(error),
                    )
                self._seen.clear()  # what was not watched says nothing

    async def _look(self) -> None:
        now = self._clock.now()
        beats = await self._db.write(workers.beat, self._row, self._active(), now, now - _FORGET_AFTER)
        before, self._seen = self._seen, {}
        for worker, count in beats.items():
            seen, looks = before.get(worker, (count, 0))
            self._seen[worker] = (count, looks + 1 if seen == count else 1)
        newly = [worker for worker, (_, looks) in self._seen.items() if looks == _LOOKS]
        if newly or before.keys() - self._seen.keys():
            _log.info("workers that have gone: %s", ", ".join(newly) or "one that said so")
            for worker in newly:
                await self._fence(worker)
            self._on_gone()

    async def _fence(self, worker: str) -> None:
        """End what a worker that has gone still holds; otherwise its runs wait until the database does."""
        try:
            await self._db.fence(worker)
        except Exception:
            _log.exception("what worker %s holds could not be ended", worker)

    async def stop(self) -> None:
        """Say that this process works no more: what it left may be taken up at once."""
        await super().stop()
        await self._db.write(workers.leave, self.worker)
