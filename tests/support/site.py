"""A worker whose models are remote endpoints, on a database with one thread, and a clock that tests move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.core.content import text_content
from clew.core.decide import decide
from clew.core.events import CancelRequested, Submitted
from clew.core.records import Run
from clew.engine.shares import Shares
from clew.engine.worker import Worker
from clew.model.catalogue import ModelEntry, Models
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.process import Process
from clew.store import agents, messages, runs, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.tools.toolbox import Toolbox
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.store import NOW, PROJECT, opened


class Site:
    """A database with a run, and a worker."""

    def __init__(self, db: Database, entries: dict[str, ModelEntry], clock: ManualClock) -> None:
        self.db, self.clock, self.ids = db, clock, CountingIds()
        self.models = Models(entries)
        self.worker = Worker(
            "worker_1",
            db,
            dispatch=LocalDispatch("worker_1", 10),
            events=LocalEvents(),
            models=self.models,
            toolbox=Toolbox({}),
            process=Process(clock, self.ids),
            shares=Shares(),
        )

    async def advance(self, run_id: str = "run_1") -> Run:
        """Work on a run, letting every pause pass at once, and return it."""
        async with anyio.create_task_group() as group:

            async def work() -> None:
                await self.worker.advance(run_id)
                group.cancel_scope.cancel()

            group.start_soon(work)
            while True:
                await anyio.sleep(0.001)
                if asked := self.clock.asked:
                    self.clock.advance(min(asked))
        return await self.run(run_id)

    async def run(self, run_id: str = "run_1") -> Run:
        run = await self.db.read(runs.get, PROJECT, "thread_1", run_id)
        assert run is not None
        return run

    async def answer(self, *outputs: str, run_id: str = "run_1") -> None:
        """Submit outputs for the calls that a run waits for."""

        async def submit(tx: Transaction) -> None:
            await threads.hold(tx, PROJECT, "thread_1")
            held = await runs.hold(tx, PROJECT, "thread_1", run_id)
            assert held is not None
            state = await runs.state(tx, held)
            assert state.open_step is not None
            given = tuple(zip((each.id for each in state.open_step.calls), outputs, strict=True))
            await runs.apply(tx, state, decide(state, Submitted(given), self.clock.now()), self.clock.now())

        await self.db.write(submit)

    async def cancel(self, run_id: str = "run_1") -> None:
        """Cancel a run, whether it is being worked on or waits."""

        async def request(tx: Transaction) -> None:
            await threads.hold(tx, PROJECT, "thread_1")
            held = await runs.hold(tx, PROJECT, "thread_1", run_id)
            assert held is not None
            state = await runs.state(tx, held)
            now = self.clock.now()
            await runs.apply(tx, state, decide(state, CancelRequested(), now), now)

        await self.db.write(request)
        if not self.worker.interrupt(run_id):
            await self.advance(run_id)

    async def begin(self, run_id: str, text: str = "Go on.", **config: Any) -> None:
        """Add a message and a run to the thread."""

        async def add(tx: Transaction) -> None:
            message = store.message(f"msg_of_{run_id}", content=[text_content(text)])
            await messages.add(tx, message)
            await runs.add(tx, store.run(run_id, position=2, **config))

        await self.db.write(add)


@asynccontextmanager
async def site(
    place: Place, *, run: dict[str, Any] | None = None, **described: dict[str, Any]
) -> AsyncIterator[Site]:
    """Serve a run of the model ``scripted`` by the endpoints described."""
    clock = ManualClock(NOW)
    entries = {}
    for name, table in described.items():
        endpoint = Endpoint(**table)
        back_end = RemoteModel(endpoint, timeout=5, clock=clock)
        retry_for = 60_000 if endpoint.retry_for is None else int(1000 * endpoint.retry_for)
        entries[name] = ModelEntry(back_end, endpoint.name, retry_for, endpoint.fallback, endpoint.prices)

    async def begin(tx: Transaction) -> None:
        await agents.add(tx, store.agent())
        await threads.add(tx, store.thread())
        await messages.add(tx, store.message())
        await runs.add(tx, store.run(position=2, **(run or {})))

    async with opened(place) as db:
        await db.write(begin)
        made = Site(db, entries, clock)
        try:
            yield made
        finally:
            await made.models.aclose()
