"""The sweep: finds runs whose time is up and runs that nobody works on, in the rows alone.

Messages between processes may get lost, and processes die; rows don't. Everything that is due at a
time is a row with that time in it, so a restart forgets nothing.
"""

import asyncio
import logging
from collections.abc import Iterator

from clew.bus.dispatch import Dispatch
from clew.core.states import RunStatus
from clew.engine.lifecycle import LoopingService
from clew.engine.presence import Presence
from clew.process import Process
from clew.store import idempotency, runs
from clew.store.database import Database, is_full, is_passing
from clew.store.runs import Unfinished

_INTERVAL = 5_000
"""Milliseconds between two looks for runs that nobody works on."""

_SECOND_LOOK = 200
"""Milliseconds after which a run that may be on its way to a worker is looked at again."""

_TELL_AGAIN = 30_000
"""Milliseconds for which a run that was handed on may wait for a worker with room."""

_FORGET_INTERVAL = 3600 * 1000
"""Milliseconds between two clearings of old answers."""

_PAUSE = 100
"""Milliseconds that a worker is given to end an expired run before it is told again."""

_log = logging.getLogger(__name__)


class Sweeper(LoopingService):
    """Wakes workers for what is due."""

    def __init__(self, db: Database, *, dispatch: Dispatch, presence: Presence, process: Process) -> None:
        self._db, self._dispatch, self._presence, self._clock = db, dispatch, presence, process.clock
        self._next = 0
        self._forget_at = 0
        self._nudge = asyncio.Event()
        self._suspects: dict[str, int] = {}
        self._told: dict[str, tuple[int, int]] = {}
        self._fresh = presence.alone
        """Whether nothing can be on its way: this process has just begun, and it is alone."""

    def look_by(self, due: int) -> None:
        """Look no later than ``due`` (milliseconds since the epoch)."""
        if due < self._next:
            self._nudge.set()

    def look_now(self) -> None:
        """Look at once: somebody who worked has gone."""
        self._nudge.set()

    def hand_on_again(self) -> None:
        """Hand on once more whatever nobody works on: what was told before may have got lost."""
        self._told.clear()
        self._nudge.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            # Set before looking, so that what is made meanwhile and due soon brings another look.
            self._next = self._clock.now() + _INTERVAL
            try:
                self._next = await self._sweep()
            except Exception as error:
                if not is_full(error):  # of that the store has told
                    _log.error(
                        "a sweep failed (%s); the next one follows in %d s",
                        error,
                        _INTERVAL // 1000,
                        exc_info=not is_passing(error),
                    )
                self._next = self._clock.now() + _INTERVAL
            await self._wait()

    async def _sweep(self) -> int:
        """Look once; return when the next look is due."""
        now = self._clock.now()
        expired, following = await self._db.scan(runs.due, now)
        for run_id in expired:
            if self._presence.leads or self._dispatch.works_on(run_id):
                self._dispatch.interrupt(run_id)
        at_work = self._dispatch.at_work()
        unfinished = await self._db.scan(runs.unfinished, now)
        if missing := at_work - {run.id for run in unfinished}:
            for run_id in await self._db.scan(runs.gone, sorted(missing)):
                self._dispatch.interrupt(run_id)  # deleted by somebody who told nobody
        self._take_up([run for run in unfinished if run.not_before <= now], now)
        self._fresh = False
        if now >= self._forget_at:
            await self._db.write(idempotency.forget, now - idempotency.KEPT_FOR)
            self._forget_at = now + _FORGET_INTERVAL
        later = [run.not_before for run in unfinished if run.not_before > now]
        return self._next_look(now, min([following or now + _INTERVAL, *later]), expired=bool(expired))

    def _next_look(self, now: int, following: int, *, expired: bool) -> int:
        soonest = min(following, now + _INTERVAL)
        if self._suspects:
            soonest = min(soonest, now + _SECOND_LOOK)
        return max(soonest, now + _PAUSE) if expired else soonest

    def _take_up(self, unfinished: list[Unfinished], now: int) -> None:
        """Hand on what nobody works on."""
        told = {run.id: self._told[run.id] for run in unfinished if run.id in self._told}
        self._told = told
        suspects: dict[str, int] = {}
        for run in self._orphans(unfinished, suspects):
            version, at = told.get(run.id, (-1, 0))
            if version != run.version or now >= at + _TELL_AGAIN:
                _log.info("run %s: nobody works on it; taking it up", run.id)
                told[run.id] = (run.version, now)
                self._dispatch.advance(run.id, project=run.project)
        self._suspects = suspects

    def _orphans(self, unfinished: list[Unfinished], suspects: dict[str, int]) -> Iterator[Unfinished]:
        """Yield the runs that nobody works on; put those that may be on their way among the suspects."""
        presence = self._presence
        for run in unfinished:
            if self._dispatch.works_on(run.id):
                if run.status == RunStatus.CANCELLING:  # whoever told us so may not have been heard
                    self._dispatch.interrupt(run.id)
            elif run.worker not in (None, presence.worker):
                if presence.leads and presence.is_gone(run.worker or "", run.beats):
                    yield run
            elif run.worker == presence.worker or presence.leads:
                # Nobody's, or ours though nobody here works on it. It was perhaps committed just now.
                told, _ = self._told.get(run.id, (-1, 0))
                if (
                    self._fresh
                    or run.waits_for is not None
                    or run.version in (told, self._suspects.get(run.id))
                ):
                    yield run
                else:
                    suspects[run.id] = run.version

    async def _wait(self) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(self._next - self._clock.now()))
        nudged = asyncio.ensure_future(self._nudge.wait())
        try:
            await asyncio.wait((timer, nudged), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            nudged.cancel()
            self._nudge.clear()
