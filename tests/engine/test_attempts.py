"""What bounds "at least once": what can't be stored, stores in trouble, workers that die or hand over."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.core.decide import MOST_ATTEMPTS
from clew.core.decisions import Decision
from clew.core.records import Run
from clew.engine.shares import Shares
from clew.engine.worker import Worker
from clew.model.catalogue import one_model
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.process import Process
from clew.store import agents, messages, runs, threads
from clew.store.database import Database, P, StoreFunction, StoreUnavailable, T, is_passing
from clew.store.pgvector import Pgvector
from clew.store.statement import Transaction
from clew.testing.replies import Raw
from clew.testing.scripted_model import ScriptedModel, call
from clew.tools.toolbox import Toolbox
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.server import MODEL_KEY
from tests.support.servers import Servers
from tests.support.store import NOW, PROJECT, opened
from tests.support.wait import until

pytestmark = pytest.mark.anyio


class Troubled:
    """A database in front of which a test decides what becomes of each commit of a run."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.trouble: Callable[[str], Exception | None] = lambda _: None

    @property
    def pgvector(self) -> Pgvector | None:
        return self.inner.pgvector

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        decision = next((each for each in args if isinstance(each, Decision)), None)
        if decision is not None and (error := self.trouble(str(decision.state.run.status))) is not None:
            raise error
        return await self.inner.write(function, *args, **kwargs)

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.fetch(function, *args, **kwargs)

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.read(function, *args, **kwargs)

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.scan(function, *args, **kwargs)

    async def open(self) -> None: ...

    async def fence(self, name: str) -> None: ...

    def refusing(self) -> str | None: ...

    async def close(self) -> None: ...


class Site:
    """A run on a database with trouble, and workers for it."""

    def __init__(self, db: Database, model: ScriptedModel) -> None:
        self.db, self.clock, self.ids = Troubled(db), ManualClock(NOW), CountingIds()
        self.gateway = RemoteModel(Endpoint(url=model.url, key=MODEL_KEY), timeout=5, clock=self.clock)

    def worker(self) -> Worker:
        return Worker(
            self.ids.new("worker_"),
            self.db,
            dispatch=LocalDispatch("worker_0", 10),
            events=LocalEvents(),
            models=one_model(self.gateway, offered=("scripted",)),
            toolbox=Toolbox({}),
            process=Process(self.clock, self.ids),
            shares=Shares(),
        )

    async def run(self) -> Run:
        run = await self.db.read(runs.get, PROJECT, "thread_1", "run_1")
        assert run is not None
        return run


async def _thread_with_run(tx: Transaction) -> None:
    await agents.add(tx, store.agent())
    await threads.add(tx, store.thread())
    await messages.add(tx, store.message())
    await runs.add(tx, store.run(position=2))


@asynccontextmanager
async def site(place: Place, model: ScriptedModel) -> AsyncIterator[Site]:
    async with opened(place) as db:
        await db.write(_thread_with_run)
        made = Site(db, model)
        try:
            yield made
        finally:
            await made.gateway.aclose()


async def test_an_outcome_that_can_not_be_stored_ends_the_run_and_is_asked_for_once(
    place: Place, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.reply("unheard")
    async with site(place, model) as world:
        world.db.trouble = lambda status: OverflowError("too large") if status == "completed" else None
        await world.worker().advance("run_1")
        run = await world.run()
        assert (run.status, run.turns) == ("failed", 0)
        assert run.last_error is not None
        assert run.last_error.code == "server_error"
        assert "could not store" in run.last_error.message
        assert "OverflowError: too large" in caplog.text
        assert len(model.requests) == 1


async def test_a_run_of_which_nothing_can_be_stored_is_taken_up_five_times_and_not_once_more(
    place: Place, model: ScriptedModel
) -> None:
    async with site(place, model) as world:
        world.db.trouble = lambda _: RuntimeError("never")
        for _ in range(2 * MOST_ATTEMPTS):
            if len(model.requests) < MOST_ATTEMPTS:
                model.reply("unheard")
            working = asyncio.ensure_future(world.worker().advance("run_1"))
            await _moving(world.clock, working)
            with suppress(RuntimeError):
                await working
            world.clock.advance(60_000)
        assert len(model.requests) == MOST_ATTEMPTS
        world.db.trouble = lambda _: None
        await world.worker().advance("run_1")
        run = await world.run()
        assert run.status == "failed"
        assert run.last_error is not None
        assert f"{MOST_ATTEMPTS} attempts" in run.last_error.message


async def _moving(clock: ManualClock, working: "asyncio.Future[None]") -> None:
    """Let time pass for whoever sleeps until somebody has done the work."""
    while not working.done():
        await asyncio.wait((working,), timeout=0.01)
        clock.advance(1_000)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        StoreUnavailable("away"),
        OSError(28, "No space left on device"),
    ],
    ids=["full", "away", "no space"],
)
async def test_what_a_store_in_trouble_does_not_take_is_kept_and_stored_later(
    place: Place, model: ScriptedModel, error: Exception
) -> None:
    if isinstance(error, sqlite3.OperationalError):
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
    model.reply("Go left.")
    refused = 0

    def trouble(status: str) -> Exception | None:
        nonlocal refused
        refused += 1
        return error if refused <= 12 else None

    async with site(place, model) as world:
        world.db.trouble = trouble
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await _moving(world.clock, working)
        await working
        assert (await world.run()).status == "completed"
        assert refused > 12
        assert len(model.requests) == 1, "the model was paid once"


def test_only_trouble_of_the_store_itself_passes() -> None:
    locked, wrong = sqlite3.OperationalError("locked"), sqlite3.OperationalError("no such column")
    locked.sqlite_errorcode, wrong.sqlite_errorcode = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR
    assert is_passing(locked)
    assert not is_passing(wrong)
    assert not is_passing(OverflowError("too large"))
    for state, passing in (
        ("53100", True),
        ("57P01", True),
        ("08006", True),
        ("25006", True),
        ("22003", False),
    ):
        error = Exception()
        error.sqlstate = state  # type: ignore[attr-defined]
        assert is_passing(error) == passing


# --- through the API -----------------------------------------------------------------------------------

_COUNTS = (
    99999999999999999999,
    -5,
    1.5,
    "17",
    "many",
    None,
    True,
    [1],
    {"a": 1},
)


@pytest.mark.parametrize("count", _COUNTS, ids=repr)
def test_a_model_that_reports_absurd_counts_completes(
    servers: Servers, model: ScriptedModel, count: object
) -> None:
    usage = json.dumps({"prompt_tokens": count, "completion_tokens": count})
    chunk = b'data: {"choices": [], "usage": ' + usage.encode() + b"}\n\n"
    model.reply("Go left.", Raw(chunk), usage_at="never")
    with servers.start() as api:
        run = api.run(api.thread("Which way?"), api.agent()).wait("completed")
    assert 0 <= run["usage"]["prompt_tokens"] <= 10_000_000


@pytest.mark.parametrize("name", ["x" * 10_000, "look\x00", "é" * 100])
def test_names_that_no_index_holds_are_cut(servers: Servers, model: ScriptedModel, name: str) -> None:
    model.calls(call(name))
    model.reply("Sorry.")
    with servers.start() as api:
        run = api.run(api.thread("Go."), api.agent())
        run.wait("completed")
        (called, _) = run.steps()
    assert len(called["step_details"]["tool_calls"][0]["function"]["name"]) <= 64


def test_more_calls_than_a_turn_may_make_are_left_out(servers: Servers, model: ScriptedModel) -> None:
    model.calls(*(call("fly") for _ in range(200)))
    model.reply("Sorry.")
    with servers.start() as api:
        run = api.run(api.thread("Go."), api.agent())
        run.wait("completed")
        (called, _) = run.steps()
    assert len(called["step_details"]["tool_calls"]) == 128


def test_deploys_in_the_middle_of_an_answer_fail_no_run(servers: Servers, model: ScriptedModel) -> None:
    """A server that is told to stop gives up what it has not ended; that counts as no attempt."""
    thread = ""
    for number in range(MOST_ATTEMPTS + 2):
        held = model.hold("Go ", "left.")
        with servers.start() as api:
            if not thread:
                thread = api.thread("Which way?")
                run = api.run(thread, api.agent())
            held.wait_paused()
            assert api.get(run.path)["status"] == "in_progress", number
    model.reply("Go left.")
    with servers.start() as api:
        until(lambda: api.get(run.path)["status"] == "completed")
        assert api.texts(thread)[-1] == "Go left."
