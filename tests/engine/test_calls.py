"""Calls of server-side tools at work: side by side, bounded, cancelled, taken over, given up.

A kind of the tests' own does what tools in the world do: it answers, hangs, floods, breaks, and takes its
worker with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents
from clew.core.calls import AT_ONCE
from clew.core.decide import MOST_ATTEMPTS, decide
from clew.core.errors import OutputsNotAccepted
from clew.core.events import CancelRequested, Submitted
from clew.core.journal import journal
from clew.core.records import Call, Outcome, Run, RunConfig, Step
from clew.core.states import CallResult
from clew.core.tools import FunctionDefinition, OtherTool, Tool
from clew.engine.shares import Shares
from clew.engine.worker import Worker
from clew.model.catalogue import one_model
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.process import Process
from clew.store import agents, messages, runs, steps, threads
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.testing.scripted_model import ScriptedModel, call
from clew.tools.tool import MOST_OUTPUT, CallContext
from clew.tools.toolbox import Toolbox
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.server import MODEL_KEY
from tests.support.store import NOW, PROJECT, opened
from tests.support.waiting import until_so

pytestmark = pytest.mark.anyio

KIND = "test_tool"
TOOL: Tool = OtherTool(given={"type": KIND})


class TestTool:
    """A kind whose functions do what their names say."""

    __test__ = False
    kind = KIND

    def __init__(self, *, repeatable: bool = True, deadline: int = 60_000) -> None:
        self.repeatable, self.deadline = repeatable, deadline
        self.begun: list[str] = []
        self.keys: list[str] = []
        self.at_work = self.most_at_work = 0
        self.released = asyncio.Event()
        self.changed = asyncio.Condition()

    def functions(self, tool: Tool) -> Sequence[FunctionDefinition]:
        names = ("answer", "wait", "hang", "hang_on", "flood", "flood_much", "fail")
        return [
            FunctionDefinition(name=name, description=name, parameters={"type": "object"}) for name in names
        ]

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        self.begun.append(call.name)
        self.keys.append(context.key)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        async with self.changed:
            self.changed.notify_all()
        try:
            return await self._do(call)
        finally:
            self.at_work -= 1

    async def _do(self, call: Call) -> Outcome:
        match call.name:
            case "wait":
                await self.released.wait()
            case "hang":
                await asyncio.Event().wait()
            case "hang_on":
                await self._refuse_to_end()
            case "flood":
                return Outcome(output="é" * (MOST_OUTPUT // 2))
            case "flood_much":
                return Outcome(output="x", detail={"pages": ["y" * 1000] * 2000})
            case "fail":
                raise RuntimeError("a secret of the tool's")
        return Outcome(output=f"{call.name}: {call.arguments}", detail={"seen": True})

    async def _refuse_to_end(self) -> None:
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()

    async def until_begun(self, calls: int) -> None:
        await self.until(lambda: len(self.begun) >= calls)

    async def until(self, true: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(true)


class Site:
    """A database with a run on it, and workers."""

    def __init__(self, db: Database, model: ScriptedModel, tool: TestTool) -> None:
        self.db, self.tool = db, tool
        self.clock, self.ids = ManualClock(NOW), CountingIds()
        self.gateway = RemoteModel(Endpoint(url=model.url, key=MODEL_KEY), timeout=5, clock=self.clock)
        self.toolbox = Toolbox({KIND: tool})

    def worker(self) -> Worker:
        return Worker(
            self.ids.new("worker_"),
            self.db,
            dispatch=LocalDispatch("worker_0", 10),
            events=LocalEvents(),
            models=one_model(self.gateway, offered=("scripted",)),
            toolbox=self.toolbox,
            process=Process(self.clock, self.ids),
            shares=Shares(),
        )

    async def run(self) -> Run:
        run = await self.db.read(runs.get, PROJECT, "thread_1", "run_1")
        assert run is not None
        return run

    async def steps(self) -> list[Step]:
        return await self.db.read(steps.of_run, "run_1")

    async def calls(self) -> list[Call]:
        return [call for step in await self.steps() for call in step.calls]

    async def until_results(self, *results: str | None) -> None:
        async def so() -> bool:
            return [each.result for each in await self.calls()] == list(results)

        await until_so(so)

    async def until_status(self, status: str) -> None:
        async def so() -> bool:
            return (await self.run()).status == status

        await until_so(so)

    async def add(self) -> None:
        tools = [TOOL]
        config = RunConfig(model="scripted", tools=tools, offers=self.toolbox.offers(tools))

        async def add(tx: Transaction) -> None:
            await agents.add(tx, store.agent())
            await threads.add(tx, store.thread())
            await messages.add(tx, store.message())
            await runs.add(tx, store.run(config=config, position=2))

        await self.db.write(add)


@asynccontextmanager
async def site(
    place: Place, model: ScriptedModel, *, repeatable: bool = True, deadline: int = 60_000
) -> AsyncIterator[Site]:
    async with opened(place) as db:
        made = Site(db, model, TestTool(repeatable=repeatable, deadline=deadline))
        await made.add()
        try:
            yield made
        finally:
            made.tool.released.set()  # what refuses to end may end now
            await made.gateway.aclose()


async def test_calls_run_side_by_side_and_the_model_gets_all_results(
    place: Place, model: ScriptedModel
) -> None:
    model.calls(call("wait"), call("answer", {"a": 1}), call("wait"))
    model.reply("Done.")
    async with site(place, model) as world:
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await world.tool.until(lambda: len(world.tool.begun) == 3)
        await world.until_results(None, "ok", None)
        assert (await world.run()).status == "in_progress"
        world.tool.released.set()
        await working
        assert (await world.run()).status == "completed"
        told = [each["content"] for each in model.requests[1].messages if each["role"] == "tool"]
        assert told == ["wait: {}", 'answer: {"a":1}', "wait: {}"]
        assert [each.detail for each in await world.calls()] == [{"seen": True}] * 3
        assert world.tool.keys == ["run_1/1/0", "run_1/1/1", "run_1/1/2"]


async def test_at_most_eight_are_at_work_at_once(place: Place, model: ScriptedModel) -> None:
    model.calls(*(call("wait") for _ in range(20)))
    model.reply("Done.")
    async with site(place, model) as world:
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await world.tool.until(lambda: world.tool.at_work == AT_ONCE)
        states = [each.state for each in await world.calls()]
        assert states == ["at_work"] * AT_ONCE + ["proposed"] * 12
        world.tool.released.set()
        await working
        assert world.tool.most_at_work == AT_ONCE
        assert len(world.tool.begun) == 20
        assert (await world.run()).status == "completed"


async def test_what_hangs_is_ended_at_its_deadline_and_the_model_is_told(
    place: Place, model: ScriptedModel
) -> None:
    model.calls(call("hang"), call("answer"))
    model.reply("Done.")
    async with site(place, model, deadline=50) as world:
        await world.worker().advance("run_1")
        hung, answered = await world.calls()
        assert (hung.result, answered.result) == ("failed", "ok")
        assert hung.output == '{"error":"The call took longer than 0.05 seconds and was ended."}'
        assert (await world.run()).status == "completed"


@pytest.mark.parametrize("name", ["flood", "flood_much"])
async def test_what_floods_is_bounded(place: Place, model: ScriptedModel, name: str) -> None:
    model.calls(call(name))
    model.reply("Done.")
    async with site(place, model) as world:
        await world.worker().advance("run_1")
        (flooded,) = await world.calls()
        told = model.requests[1].messages[-1]["content"]
        assert len(told.encode()) < 70_000
        if name == "flood":
            assert (flooded.result, len((flooded.output or "").encode())) == ("ok", MOST_OUTPUT)
            assert told.endswith(f"[cut: {MOST_OUTPUT - 65536} of {MOST_OUTPUT} bytes left out]")
        else:
            assert (flooded.result, flooded.detail) == ("failed", None)
        assert (await world.run()).status == "completed"


async def test_what_breaks_is_logged_and_the_model_learns_no_secret(
    place: Place, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.calls(call("fail"))
    model.reply("Done.")
    async with site(place, model) as world:
        await world.worker().advance("run_1")
        (broken,) = await world.calls()
        assert broken.result == CallResult.FAILED
        assert "secret" not in (broken.output or "")
        assert "a secret of the tool's" in caplog.text
        assert (await world.run()).status == "completed"


@pytest.mark.parametrize("name", ["hang", "hang_on"])
async def test_cancelling_ends_what_is_at_work_even_if_it_refuses(
    place: Place, model: ScriptedModel, name: str
) -> None:
    model.calls(call(name), call("answer"))
    async with site(place, model) as world:
        worker = world.worker()
        working = asyncio.ensure_future(worker.advance("run_1"))
        await world.tool.until(lambda: len(world.tool.begun) == 2)
        await world.db.write(_cancel)
        worker.interrupt("run_1")
        await world.until_status("cancelled")
        await working
        hung, _ = await world.calls()
        assert (hung.state, hung.result) == ("done", "cancelled")
        await _is_told_as_it_was(world)


async def _cancel(tx: Transaction) -> None:
    run = await runs.hold(tx, PROJECT, "thread_1", "run_1")
    assert run is not None
    before = await runs.state(tx, run)
    await runs.apply(tx, before, decide(before, CancelRequested(), NOW), NOW)


async def _is_told_as_it_was(world: Site) -> None:
    """The journal told from the rows has no gap at its end and no event twice."""
    run = await world.run()
    entries = journal(run, await world.steps(), await world.db.read(messages.of_run, "run_1"))
    assert entries[-1].end == run.position
    ends = [entry.end for entry in entries]
    assert ends == sorted(set(ends))


async def test_an_interrupt_for_nothing_disturbs_no_call(place: Place, model: ScriptedModel) -> None:
    model.calls(call("wait"), call("wait"))
    model.reply("Done.")
    async with site(place, model) as world:
        worker = world.worker()
        working = asyncio.ensure_future(worker.advance("run_1"))
        await world.tool.until(lambda: world.tool.at_work == 2)
        worker.interrupt("run_1")
        for _ in range(20):
            await asyncio.sleep(0)
        world.tool.released.set()
        await working
        assert world.tool.begun == ["wait", "wait"]
        assert (await world.run()).status == "completed"


# --- death and takeover ------------------------------------------------------------------------------


@pytest.mark.parametrize("repeatable", [True, False])
async def test_after_a_death_only_what_is_safe_to_repeat_is_repeated(
    place: Place, model: ScriptedModel, repeatable: bool
) -> None:
    model.calls(call("answer"), call("hang"))
    model.reply("Done.")
    async with site(place, model, repeatable=repeatable) as world:
        dying = asyncio.ensure_future(world.worker().advance("run_1"))
        await world.tool.until(lambda: len(world.tool.begun) == 2)
        await world.until_results("ok", None)
        dying.cancel()
        with suppress(asyncio.CancelledError):
            await dying
        world.tool.deadline = 50
        await world.worker().advance("run_1")
        answered, hung = await world.calls()
        assert answered.result == "ok"
        if repeatable:
            assert world.tool.begun == ["answer", "hang", "hang"]
            assert world.tool.keys[1] == world.tool.keys[2], "the key stays the same"
            assert (hung.result, hung.attempts) == ("failed", 2)
        else:
            assert world.tool.begun == ["answer", "hang"]
            assert hung.result == "unknown"
            assert "may or may not" in model.requests[1].messages[-1]["content"]
        assert (await world.run()).status == "completed"
        assert len(model.requests) == 2, "the turn that made the calls was not made again"
        await _is_told_as_it_was(world)


async def test_a_call_that_kills_its_workers_ends_the_run_after_five_attempts(
    place: Place, model: ScriptedModel
) -> None:
    model.calls(call("hang"))
    async with site(place, model) as world:
        for attempt in range(MOST_ATTEMPTS):
            assert (await world.run()).attempts == max(0, attempt - 1)
            await _perform_until_death(world)
            world.clock.advance(60_000)
        await world.worker().advance("run_1")
        run = await world.run()
        assert run.status == "failed"
        assert run.last_error is not None
        assert "5 attempts" in run.last_error.message
        assert len(world.tool.begun) == MOST_ATTEMPTS
        (died,) = await world.calls()
        assert died.result == "broken_off"


async def _perform_until_death(world: Site) -> None:
    """Let a worker take the run, and stop it in the middle: nothing is written, as when a process dies."""
    before = len(world.tool.begun)
    working = asyncio.ensure_future(world.worker().advance("run_1"))
    await world.tool.until(lambda: len(world.tool.begun) > before)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def test_a_takeover_waits_longer_each_time(place: Place, model: ScriptedModel) -> None:
    model.calls(call("hang"))
    async with site(place, model) as world:
        for wait in (0, 1_000, 5_000, 15_000, 30_000):
            await _perform_until_death(world)
            if wait:
                world.clock.advance(wait - 1)
                begun = len(world.tool.begun)
                await world.worker().advance("run_1")
                assert len(world.tool.begun) == begun, "it was claimed too early"
                world.clock.advance(1)
        await world.worker().advance("run_1")
        assert (await world.run()).status == "failed"
        assert len(world.tool.begun) == MOST_ATTEMPTS


async def test_handing_over_counts_as_no_attempt(place: Place, model: ScriptedModel) -> None:
    model.calls(call("hang"))
    model.reply("Done.")
    async with site(place, model) as world:
        for _ in range(2 * MOST_ATTEMPTS):
            worker = world.worker()
            before = len(world.tool.begun)
            working = asyncio.ensure_future(worker.advance("run_1"))
            await world.tool.until_begun(before + 1)
            owned = worker.owned()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            for run_id, epoch in owned:
                await worker.disown(run_id, epoch)
        assert (await world.run()).attempts == 0
        world.tool.deadline = 50
        await world.worker().advance("run_1")
        assert (await world.run()).status == "completed"


async def test_an_outcome_sets_the_count_back(place: Place, model: ScriptedModel) -> None:
    model.calls(call("wait"), call("hang"))
    async with site(place, model) as world:
        for _ in range(3):
            before = len(world.tool.begun)
            working = asyncio.ensure_future(world.worker().advance("run_1"))
            await world.tool.until_begun(before + 2)
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            world.clock.advance(60_000)
        assert (await world.run()).attempts == 2
        world.tool.released.set()
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await world.until_results("ok", None)
        assert (await world.run()).attempts == 0
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def test_a_run_is_not_asked_for_approvals_that_it_does_not_need(
    place: Place, model: ScriptedModel
) -> None:
    model.calls(call("wait"))
    async with site(place, model) as world:
        working = asyncio.ensure_future(world.worker().advance("run_1"))
        await world.tool.until(lambda: world.tool.at_work == 1)
        run = await world.run()
        state = await world.db.read(runs.state, run)
        with pytest.raises(OutputsNotAccepted):
            decide(state, Submitted(approvals=(("call_1", True),)), NOW)
        world.tool.released.set()
        model.reply("Done.")
        await working
