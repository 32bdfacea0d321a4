"""Threads that live long: on an endpoint with a small context, and on one that refuses whatever it can.

On both databases, over real sockets.
"""

from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest
from msgspec.structs import replace

from clew.core.records import Run
from clew.core.states import WaitsFor
from clew.core.tools import FunctionDefinition, FunctionTool
from clew.testing.odd_demands import prompt_tokens
from clew.testing.oddities import refusal
from clew.testing.scripted_model import Reply, Request, ScriptedModel, Usage, call
from tests.support import store
from tests.support.database import Place, miscounted_threads
from tests.support.site import Site, site

pytestmark = pytest.mark.anyio

CONTEXT = 1000
LOOK = FunctionTool(function=FunctionDefinition(name="look"))
STRICT = ("strict_roles", "no_empty_content", "no_stream_options")


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(context=CONTEXT) as model:
        yield model
        model.check()


# --- a small context --------------------------------------------------------------------------------------


def _told_at_length(request: Request) -> Reply:
    text = f"{request.last_user_text[:20]} Go left, then go on. " * (
        40 if "9:" in request.last_user_text else 4
    )
    return Reply((text,), usage=Usage(prompt_tokens(request), len(text) // 4))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("small_context", 100),
        ("small_context_untold", 100),
        ("small_context_with_answer", 100),
        ("small_context_with_answer", 5_000),
    ],
)
async def test_a_thread_of_two_hundred_runs_never_outgrows_a_small_context(
    place: Place, model: ScriptedModel, name: str, most: int
) -> None:
    model.oddities = (name,)
    model.default = _told_at_length
    config = replace(store.run().config, instructions="Be brief.", max_completion_tokens=most)
    async with site(place, default={"url": model.url, "retry_for": 0}) as here:
        await here.advance()
        for number in range(2, 202):
            run_id = f"run_{number}"
            text = f"{number}: which way now? " * (1 + number % 7)
            await here.begin(run_id, text, config=config)
            run = await here.advance(run_id)
            assert run.status == "completed", (number, run.last_error)
        refused = [
            request for request in model.requests if refusal((name,), request, context=CONTEXT) is not None
        ]
        assert len(refused) <= 20, "it is learned, not found out at every turn"


@pytest.mark.parametrize("name", ["small_context", "small_context_untold", "small_context_with_answer"])
@pytest.mark.parametrize("size", [5_000, 250_000])
async def test_what_is_too_long_for_any_context_fails_its_own_run_only(
    place: Place, model: ScriptedModel, name: str, size: int
) -> None:
    model.oddities = (name,)
    model.default = _told_at_length
    config = replace(store.run().config, tools=[LOOK], max_completion_tokens=300)
    async with site(place, default={"url": model.url, "retry_for": 0}) as here:
        await here.advance()
        await here.begin("run_2", "word " * (size // 5), config=config)
        run = await here.advance("run_2")
        assert (run.status, run.last_error is None) in (("failed", False), ("incomplete", True))
        await here.begin("run_3", "Look.", config=config)
        model.call("look")
        assert (await here.advance("run_3")).waits_for == WaitsFor.CLIENT
        await here.answer("wall " * (size // 5), run_id="run_3")
        assert (await here.advance("run_3")).status in ("failed", "incomplete")
        for number in range(4, 64):
            await here.begin(f"run_{number}", f"{number}: which way now? " * 5, config=config)
            run = await here.advance(f"run_{number}")
            assert run.status == "completed", (number, run.last_error)


# --- everything refused -------------------------------------------------------------------------------------


class Turns:
    """Kinds of runs on one thread: each plays one, and says how it is to end."""

    def __init__(self, here: Site, model: ScriptedModel) -> None:
        self._here, self._model = here, model
        self._runs = 1

    async def _run(self, text: str = "Which way?") -> Run:
        self._runs += 1
        self.run_id = f"run_{self._runs}"
        config = replace(store.run().config, tools=[LOOK])
        await self._here.begin(self.run_id, text, config=config, expires_at=store.NOW + 10**9)
        return await self._here.advance(self.run_id)

    async def _answered(self, *outputs: str) -> Run:
        await self._here.answer(*outputs, run_id=self.run_id)
        return await self._here.advance(self.run_id)

    async def answers(self) -> None:
        self._model.reply("Left.")
        assert (await self._run()).status == "completed"

    async def calls(self) -> None:
        self._model.calls(call("look", {"at": "door"}), call("look"), text="Let me see.")
        self._model.call("look")
        self._model.reply("Right.")
        assert (await self._run()).waits_for == WaitsFor.CLIENT
        assert (await self._answered("open", "")).waits_for == WaitsFor.CLIENT
        assert (await self._answered("")).status == "completed"

    async def calls_what_is_not_there(self) -> None:
        self._model.call("fly")
        self._model.reply("Then not.")
        assert (await self._run()).status == "completed"

    async def fails(self) -> None:
        self._model.fail(500)
        assert (await self._run()).status == "failed"

    async def breaks(self) -> None:
        self._model.cut(after="Go le")
        assert (await self._run()).status == "failed"

    async def fails_after_calls(self) -> None:
        self._model.call("look")
        self._model.fail(500)
        assert (await self._run()).waits_for == WaitsFor.CLIENT
        assert (await self._answered("a wall")).status == "failed"

    async def says_nothing(self) -> None:
        self._model.reply()
        assert (await self._run()).status == "completed"

    async def says_white_space(self) -> None:
        self._model.reply(" \n")
        assert (await self._run()).status == "completed"

    async def is_too_long(self) -> None:
        self._model.reply("Go left and ", finish_reason="length")
        assert (await self._run()).status == "incomplete"

    async def is_filtered(self) -> None:
        self._model.reply(finish_reason="content_filter")
        assert (await self._run()).status == "incomplete"

    async def refuses(self) -> None:
        self._model.refuse("No.")
        assert (await self._run()).status == "completed"

    async def is_cancelled_while_it_waits(self) -> None:
        self._model.call("look")
        assert (await self._run()).waits_for == WaitsFor.CLIENT
        await self._here.cancel(self.run_id)
        assert (await self._here.run(self.run_id)).status == "cancelled"

    async def is_cancelled_while_it_speaks(self) -> None:
        held = self._model.hold("Go ", "left.")
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            await anyio.to_thread.run_sync(held.wait_paused)
            await self._here.cancel(self.run_id)
        assert (await self._here.run(self.run_id)).status == "cancelled"


KINDS: tuple[Callable[[Turns], Awaitable[None]], ...] = (
    Turns.answers, Turns.fails, Turns.calls, Turns.breaks, Turns.says_nothing,
    Turns.is_too_long, Turns.calls_what_is_not_there, Turns.is_filtered, Turns.is_cancelled_while_it_speaks,
    Turns.says_white_space, Turns.fails_after_calls, Turns.refuses, Turns.is_cancelled_while_it_waits,
)  # fmt: skip


async def test_a_hundred_mixed_turns_leave_a_thread_usable(place: Place, model: ScriptedModel) -> None:
    model.oddities = STRICT
    async with site(place, default={"url": model.url, "retry_for": 0}) as here:
        await here.advance()
        turns = Turns(here, model)
        for number in range(100):
            await KINDS[number * 5 % len(KINDS)](turns)
            assert model.pending == 0
        await turns.answers()
        refused = [each for each in model.requests if refusal(STRICT, each, context=CONTEXT) is not None]
        assert len(refused) <= len(STRICT)
    assert miscounted_threads(place) == []
