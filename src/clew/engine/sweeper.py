"""The sweep: finds runs whose time is up and runs that nobody works on, in the rows alone.

Messages between processes may get lost, and processes die; rows don't. Everything that is due at a
time is a row with that time in it, so a restart forgets nothing.
"""

import asyncio
import logging

from clew.bus.dispatch import Dispatch
from clew.clock import Clock
from clew.store import idempotency, runs
from clew.store.database import Database

_INTERVAL = 5_000
"""Milliseconds between two looks for runs that nobody works on."""

_FORGET_INTERVAL = 3600 * 1000
"""Milliseconds between two clearings of old answers."""

_PAUSE = 100
"""Milliseconds that a worker is given to end an expired run before it is told again."""

_log = logging.getLogger(__name__)


class Sweeper:
    """Wakes workers for what is due."""

    def __init__(self, db: Database, *, dispatch: Dispatch, clock: Clock) -> None:
        self._db, self._dispatch, self._clock = db, dispatch, clock
        self._next = 0
        self._forget_at = 0
        self._nudge = asyncio.Event()

    def expect(self, due: int) -> None:
        """Look no later than ``due`` (milliseconds since the epoch)."""
        if due < self._next:
            self._nudge.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            # Set before looking, so that what is made meanwhile and due soon brings another look.
            self._next = self._clock.now() + _INTERVAL
            try:
                self._next = await self._sweep()
            except Exception:
                _log.exception("a sweep failed; the next one follows in %d s", _INTERVAL // 1000)
                self._next = self._clock.now() + _INTERVAL
            await self._wait()

    async def _sweep(self) -> int:
        now = self._clock.now()
        expired, following = await self._db.scan(runs.due, now)
        for run_id in expired:
            self._dispatch.interrupt(run_id)
        for run_id in await self._unfinished():
            if not self._dispatch.works_on(run_id):
                _log.info("run %s: nobody works on it; taking it up", run_id)
                self._dispatch.advance(run_id)
        if now >= self._forget_at:
            await self._db.write(idempotency.forget, now - idempotency.KEPT_FOR)
            self._forget_at = now + _FORGET_INTERVAL
        soonest = min(following or now + _INTERVAL, now + _INTERVAL)
        return max(soonest, now + _PAUSE) if expired else soonest

    async def _unfinished(self) -> list[str]:
        """Return the live runs that somebody should be working on.

        Asked of the writer, not of a reader: it answers in order, so whoever has committed a run before
        has been told, and has handed the run on, when this is answered. A run that is merely on its
        way to a worker would otherwise look like one that nobody works on.
        """
        return await self._db.write(runs.unfinished)

    async def _wait(self) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(self._next - self._clock.now()))
        nudged = asyncio.ensure_future(self._nudge.wait())
        try:
            await asyncio.wait((timer, nudged), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            nudged.cancel()
            self._nudge.clear()
