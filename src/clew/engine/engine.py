"""The engine of one process: a worker, the sweep, and due work, on one bus."""

import logging
from collections.abc import Callable, Sequence

from anyio import CancelScope

from clew.bus.bus import Bus
from clew.bus.dispatch import Dispatch
from clew.bus.events import Events
from clew.core.webhooks import DELIVERY
from clew.engine.clock_watch import ClockWatch
from clew.engine.due_work import DueWork, Kind
from clew.engine.images import Images
from clew.engine.lifecycle import Service, Stopping
from clew.engine.presence import Presence, SharedPresence, SoleWorker
from clew.engine.shares import ShareKeeper, Shares
from clew.engine.sweeper import Sweeper
from clew.engine.worker import Worker
from clew.model.catalogue import Models
from clew.process import Process
from clew.store.database import Database
from clew.store.store_files import INGESTION, PURGE, REINDEX
from clew.store.workers import WorkerRow
from clew.tools.toolbox import Toolbox

_log = logging.getLogger(__name__)


class Engine:
    """Works on the runs of a database, and on what else is due there, until :meth:`stop`.

    Args:
        row: who this process is, as others on the database see it.
        process: its time, its ids, and who watches it.
        takeover_after: milliseconds of silence after which another process's runs are taken over.
        kinds: the kinds of due work that this process performs.
        tokens_a_day: tokens that the runs of a project without a limit of its own may use on one day (UTC).
        images: puts images among the files where models are to be shown them.
        passed: milliseconds that have passed, to compare the clock with; None compares nothing.
    """

    def __init__(
        self,
        db: Database,
        *,
        row: WorkerRow,
        process: Process,
        bus: Bus,
        models: Models,
        toolbox: Toolbox,
        takeover_after: int = 3_500,
        kinds: Sequence[Kind] = (),
        passed: Callable[[], float] | None = None,
        tokens_a_day: int | None = None,
        images: Images | None = None,
    ) -> None:
        self._bus, self._models, self._images = bus, models, images
        self._works = row.works
        self._serving = bus.dispatch
        self.dispatch: Dispatch = bus.dispatch
        self.events: Events = bus.events
        self.shares = Shares()
        self.shares.usual_tokens_a_day = tokens_a_day
        self._worker = Worker(
            row.id,
            db,
            dispatch=bus.dispatch,
            events=bus.events,
            models=models,
            toolbox=toolbox,
            process=process,
            shares=self.shares,
            wake_webhooks=self.wake_webhooks,
            images=images,
        )
        self._shared: SharedPresence | None = None
        presence: Presence = SoleWorker(row.id)
        if bus.shared:
            presence = self._shared = SharedPresence(
                db,
                row,
                process=process,
                takeover_after=takeover_after,
                active=lambda: bus.dispatch.active,
                on_gone=self._look_again,
            )
        self._sweeper = Sweeper(db, dispatch=bus.dispatch, presence=presence, process=process)
        self._keeper = ShareKeeper(db, self.shares, dispatch=bus.dispatch, presence=presence, works=row.works)
        self._due_work = DueWork(db, kinds, presence=presence, process=process, shared=bus.shared)
        self._clock_watch = None if passed is None else ClockWatch(process.clock, self._look_again, passed)
        self.stopping = Stopping()

    def wake_webhooks(self) -> None:
        """Have webhooks told of what has just been put into the outbox."""
        self._due_work.wake(DELIVERY)

    def wake_ingestion(self) -> None:
        """Look soon at files that were put into vector stores or taken out, and at stores to be reindexed."""
        for kind in (INGESTION, PURGE, REINDEX):
            self._due_work.wake(kind)
        for kind in (INGESTION, REINDEX):
            self._due_work.look_at_owners(kind)

    def go_on(self, run_id: str, project: str) -> None:
        """Have a run go on that waited for something."""
        self.dispatch.advance(run_id, project=project)

    def _look_again(self) -> None:
        """Look now for what nobody works on: somebody has gone, or the clock has jumped."""
        self._sweeper.look_now()
        self._due_work.look_at_owners()

    def trouble(self) -> str | None:
        """Return why this process should be given no new work now; None if it may."""
        if self.stopping.begun:
            return "the server is about to stop"
        return None if self._bus.up else "the bus does not answer"

    async def start(self) -> None:
        """Take up what nobody works on, and work on what comes.

        Raises:
            BusError: the bus can't be reached.
        """
        if self._works:
            CancelScope()  # is loaded at its first use, which must not be when no file can be opened
        self._serving.serve(self._worker if self._works else None, self._sweeper.look_by)
        if self._shared is not None:
            await self._shared.start()
        await self._bus.open(self._sweeper.hand_on_again)
        await self._keeper.start()
        await self._sweeper.start()
        await self._due_work.start()
        if self._clock_watch is not None:
            await self._clock_watch.start()

    def begin_to_stop(self) -> None:
        """Claim nothing more and let readers go but those of runs at work; what is under way goes on."""
        self.stopping.begun = True
        self.events.feed.end()
        self.events.wake_readers()
        self._serving.begin_to_close()

    def stop_waiting(self) -> None:
        """Let everybody go who still reads."""
        self.stopping.over = True
        self.events.wake_readers()

    async def stop(self, grace: float = 0) -> None:
        """Give what is under way so many seconds to end, then stop.

        What is unfinished then goes on at once in another process, or after the next start.
        """
        self.begin_to_stop()
        await self._serving.finish(grace)
        unfinished = self._worker.owned()
        await self._serving.close()
        await self._hand_over(unfinished)
        services: list[Service | None] = [
            self._clock_watch,
            self._due_work,
            self._keeper,
            self._sweeper,
            self._shared,
        ]
        for service in services:
            if service is not None:
                await service.stop()
        await self._bus.close()
        await self._models.aclose()
        if self._images is not None:
            await self._images.close()

    async def _hand_over(self, unfinished: list[tuple[str, int]]) -> None:
        """Give up what is unfinished: that it was, counts as no attempt of its next worker."""
        try:
            for run_id, epoch in unfinished:
                await self._worker.disown(run_id, epoch)
        except Exception:
            _log.exception("what is unfinished could not be given up; it counts as broken off")
        await self._serving.hand_over([run_id for run_id, _ in unfinished])
