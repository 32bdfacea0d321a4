"""The engine of one process: a worker, the sweep, and the local bus between them and the API."""

import asyncio
from contextlib import suppress

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.clock import Clock
from clew.engine.deliverer import Deliverer, WakingEvents
from clew.engine.sweeper import Sweeper
from clew.engine.worker import Worker
from clew.ids import Ids
from clew.model.catalogue import Models
from clew.store.database import Database


class Engine:
    """Works on the runs of a database, and tells webhooks if there is a deliverer, until :meth:`stop`."""

    def __init__(
        self,
        db: Database,
        *,
        models: Models,
        clock: Clock,
        ids: Ids,
        max_active_runs: int,
        deliverer: Deliverer | None = None,
    ) -> None:
        self.dispatch = LocalDispatch(max_active_runs)
        self.events = LocalEvents() if deliverer is None else WakingEvents(deliverer.wake)
        self._models = models
        self._worker = Worker(
            db, dispatch=self.dispatch, events=self.events, models=models, clock=clock, ids=ids
        )
        self._sweeper = Sweeper(db, dispatch=self.dispatch, clock=clock)
        self._deliverer = deliverer
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up what an earlier process left unfinished, and work on what comes."""
        self.dispatch.serve(self._worker.advance, self._worker.interrupt, self._sweeper.expect)
        self._tasks.append(asyncio.ensure_future(self._sweeper.run()))
        if self._deliverer is not None:
            self._tasks.append(asyncio.ensure_future(self._deliverer.run()))

    async def stop(self) -> None:
        """Stop working. Unfinished runs go on after the next start."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.dispatch.close()
        await self._models.aclose()
