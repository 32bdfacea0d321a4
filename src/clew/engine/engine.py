"""The engine of one process: a worker, the sweep, and the local bus between them and the API."""

import asyncio
from contextlib import suppress

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.clock import Clock
from clew.engine.sweeper import Sweeper
from clew.engine.worker import Worker
from clew.ids import Ids
from clew.model.catalogue import Models
from clew.store.database import Database


class Engine:
    """Works on the runs of a database until :meth:`stop`."""

    def __init__(
        self, db: Database, *, models: Models, clock: Clock, ids: Ids, max_active_runs: int = 256
    ) -> None:
        self.dispatch = LocalDispatch(max_active_runs)
        self.events = LocalEvents()
        self._models = models
        self._worker = Worker(
            db, dispatch=self.dispatch, events=self.events, models=models, clock=clock, ids=ids
        )
        self._sweeper = Sweeper(db, dispatch=self.dispatch, clock=clock)
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take up what an earlier process left unfinished, and work on what comes."""
        self.dispatch.serve(self._worker.advance, self._worker.interrupt, self._sweeper.expect)
        self._sweeping = asyncio.ensure_future(self._sweeper.run())

    async def stop(self) -> None:
        """Stop working. Unfinished runs go on after the next start."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        await self.dispatch.close()
        await self._models.aclose()
