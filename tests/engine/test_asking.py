"""A turn asked for again, parked, cut, or of another model: on both databases, with a moved clock."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clew.core.content import TextContent
from clew.core.states import WaitsFor
from clew.core.tools import FunctionDefinition, FunctionTool
from clew.model.endpoint import Prices
from clew.model.remote import RemoteModel
from clew.store import messages, steps
from clew.testing.replies import Reply, Request
from clew.testing.scripted_model import Raw, ScriptedModel, Usage, call
from tests.support import store
from tests.support.database import Place
from tests.support.site import site
from tests.support.store import NOW

pytestmark = pytest.mark.anyio

UNREACHABLE = "http://127.0.0.1:1/v1"
LOOK = FunctionTool(function=FunctionDefinition(name="look"))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


# --- asked again, and parked -----------------------------------------------------------------------


async def test_a_run_whose_model_is_down_is_parked_and_goes_on_when_it_is_up(
    place: Place, model: ScriptedModel
) -> None:
    model.fail(503, "It is being updated.", times=8)
    model.reply("Left.")
    async with site(place, default={"url": model.url}) as here:
        parked = await here.advance()
        assert (parked.status, parked.waits_for, parked.worker) == ("in_progress", WaitsFor.RETRY, None)
        assert parked.due is not None
        assert parked.due > here.clock.now()
        assert here.clock.now() - NOW <= 7_500, "it holds a place for 5 s, and a pause"
        while parked.waits_for is not None:
            before = parked.position
            here.clock.advance(max(0, (parked.due or 0) - here.clock.now()))
            parked = await here.advance()
            assert parked.status == "completed" or parked.position == before, "nobody has heard anything"
        assert (parked.status, parked.turns, parked.attempts) == ("completed", 1, 0)
        assert parked.retrying_since is None
        assert len(model.requests) == 9
        assert len({each.headers["idempotency-key"] for each in model.requests}) == 1


async def test_a_parked_run_does_not_go_on_before_its_time(place: Place, model: ScriptedModel) -> None:
    model.fail(429, retry_after=30)
    async with site(place, default={"url": model.url}) as here:
        parked = await here.advance()
        assert parked.due == here.clock.now() + 30_000
        assert (await here.advance()).epoch == parked.epoch
        assert len(model.requests) == 1


async def test_a_run_fails_in_the_providers_words_when_its_time_for_that_is_over(
    place: Place, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.when(lambda _: True).fail(503, "It is being updated.")
    async with site(place, default={"url": model.url}) as here:
        run = await here.advance()
        while run.status == "in_progress":
            assert run.due is not None
            assert run.due - NOW <= 60_000
            here.clock.advance(max(0, run.due - here.clock.now()))
            run = await here.advance()
        assert run.status == "failed"
        assert run.last_error is not None
        assert "It is being updated." in run.last_error.message
        assert 60_000 <= here.clock.now() - NOW <= 61_000
        assert "It is being updated." in caplog.text


async def test_longer_than_the_span_nobody_waits(place: Place, model: ScriptedModel) -> None:
    model.fail(429, "Slow down.", retry_after=3600, times=2)
    async with site(place, default={"url": model.url}) as here:
        assert (await here.advance()).due == NOW + 60_000
        here.clock.advance(60_000)
        run = await here.advance()
        assert run.status == "failed"
        assert run.last_error is not None
        assert run.last_error.code == "rate_limit_exceeded"


async def test_an_endpoint_that_can_not_be_reached_is_tried_by_one_run_at_a_time(place: Place) -> None:
    async with site(place, default={"url": UNREACHABLE}) as here:
        first = await here.advance()
        assert (first.waits_for, first.status) == (WaitsFor.RETRY, "in_progress")
        took = here.clock.now() - NOW
        assert took <= 1_000, "it holds its place no longer than that"
        (entry,) = here.models.entries.values()
        assert isinstance(entry.back_end, RemoteModel)
        assert entry.back_end.reach.lost


async def test_a_fallback_answers_for_a_model_that_does_not(place: Place, model: ScriptedModel) -> None:
    model.reply("Left.")
    first = {"url": UNREACHABLE, "fallback": "other"}
    async with site(place, default=first, other={"url": model.url, "name": "second"}) as here:
        run = await here.advance()
        assert run.status == "completed"
        assert model.requests[0].model == "second"
        (step,) = await here.db.read(steps.of_run, "run_1")
        assert step.facts is not None
        assert (step.facts.endpoint, step.facts.model) == ("other", "second")


@pytest.mark.parametrize("fallback", [{"url": None}, {"url": UNREACHABLE, "context_tokens": 16}])
async def test_a_fallback_that_can_not_answer_does_no_harm(
    place: Place, model: ScriptedModel, fallback: dict[str, Any]
) -> None:
    model.fail(503, "It is being updated.")
    model.reply("Left.")
    with ScriptedModel() as refuses:
        refuses.when(lambda _: True).fail(401, "Who are you?")
        other = fallback | {"url": fallback["url"] or refuses.url}
        async with site(place, default={"url": model.url, "fallback": "other"}, other=other) as here:
            assert (await here.advance()).status == "completed"
        assert len(model.requests) == 2


async def test_a_fallback_answers_where_the_first_has_no_room(place: Place, model: ScriptedModel) -> None:
    model.reply("Left.")
    first = {"url": UNREACHABLE, "context_tokens": 16, "fallback": "other"}
    async with site(place, default=first, other={"url": model.url}) as here:
        assert (await here.advance()).status == "completed"


async def test_there_is_no_fallback_once_something_was_said(place: Place, model: ScriptedModel) -> None:
    model.cut(after="Go ")
    with ScriptedModel() as second:
        first = {"url": model.url, "fallback": "other"}
        async with site(place, default=first, other={"url": second.url}) as here:
            assert (await here.advance()).status == "failed"
            assert second.requests == []


async def test_a_model_that_is_gone_from_the_settings_fails_the_run(
    place: Place, model: ScriptedModel
) -> None:
    async with site(place, other={"url": model.url}) as here:
        run = await here.advance()
        assert run.status == "failed"
        assert run.last_error is not None
        assert "other" in run.last_error.message


# --- what goes back --------------------------------------------------------------------------------

THOUGHT = {"reasoning_content": "Hm.", "reasoning_details": [{"index": 0, "text": "Hm."}]}
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def _thinking_call(id: str | None = "own-1") -> list[Any]:

    piece = {"index": 0, "function": {"name": "look", "arguments": ""}} | SIGNED
    if id is not None:
        piece["id"] = id
    delta = THOUGHT | {"tool_calls": [piece]}
    frame = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return [Raw(b"data: " + msgspec.json.encode(frame) + b"\n\n")]


async def test_a_turn_goes_back_to_its_model_as_it_came_and_later_runs_don_t_see_it(
    place: Place, model: ScriptedModel
) -> None:
    model.reply(*_thinking_call(), finish_reason="tool_calls")
    model.reply("A wall.")
    config = store.run().config

    async with site(place, run={"config": replace(config, tools=[LOOK])}, default={"url": model.url}) as here:
        assert (await here.advance()).waits_for == WaitsFor.CLIENT
        await here.answer("wall")
        assert (await here.advance()).status == "completed"
        said = model.requests[1].messages[1]
        assert said == {
            "role": "assistant",
            "content": None,
            **THOUGHT,
            "tool_calls": [
                {"id": "own-1", "type": "function", "function": {"name": "look", "arguments": "{}"}, **SIGNED}
            ],
        }
        assert model.requests[1].messages[2]["tool_call_id"] == "own-1"
        await here.begin("run_2")
        await here.advance("run_2")
        assert "Hm." not in str(model.requests[2].body)
        assert "c2ln" not in str(model.requests[2].body)


async def test_another_model_is_not_shown_what_was_not_its_own(place: Place, model: ScriptedModel) -> None:

    model.reply(*_thinking_call(), finish_reason="tool_calls")
    model.when(lambda request: any(m["role"] == "tool" for m in request.messages)).fail(401, "No.")
    config = replace(store.run().config, tools=[LOOK])
    with ScriptedModel() as second:
        second.reply("A wall.")
        first = {"url": model.url, "fallback": "other"}
        described = {"default": first, "other": {"url": second.url}}
        async with site(place, run={"config": config}, **described) as here:
            await here.advance()
            await here.answer("wall")
            assert (await here.advance()).status == "completed"
            said = second.requests[0].messages[1]
            assert set(said) == {"role", "content", "tool_calls"}
            (sent,) = said["tool_calls"]
            assert set(sent) == {"id", "type", "function"}
            assert len(sent["id"]) == 9
            assert sent["id"].isalnum()


# --- too long --------------------------------------------------------------------------------------


def _tokens(request: Request) -> int:
    return sum(len(str(message["content"])) for message in request.messages) // 3


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 1000 tokens. However, your messages resulted in {} tokens.",
        "prompt is too long: {} tokens > 1000 maximum",
        "the request exceeds the available context size. try increasing the context size (1000)",
        "Input is too long for requested model.",
    ],
)
async def test_a_thread_that_grows_goes_on_for_ever(place: Place, model: ScriptedModel, words: str) -> None:
    def answer(request: Request) -> Reply | str:
        if (tokens := _tokens(request)) > 1000:
            return model_fail(400, words.format(tokens))
        return "Go on. " * 40

    def model_fail(status: int, message: str) -> Reply:
        return ScriptedModel().fail(status, message)

    model.default = answer
    async with site(place, default={"url": model.url}) as here:
        assert (await here.advance()).status == "completed"
        for number in range(2, 41):
            await here.begin(f"run_{number}", "Which way now? " * 10)
            assert (await here.advance(f"run_{number}")).status == "completed", number
        asked = len(model.requests)
        assert asked <= 55, "it is learned once, not at every turn"


# --- what it costs ----------------------------------------------------------------------------------


async def test_a_run_knows_what_it_cost(place: Place, model: ScriptedModel) -> None:

    model.reply("Left.", usage=Usage(1000, 10))
    prices = Prices(prompt=2.5, completion=10, cached=1)
    async with site(place, default={"url": model.url, "prices": prices}) as here:
        assert (await here.advance()).cost == 2_600


async def test_without_prices_a_run_costs_nobody_knows_what(place: Place, model: ScriptedModel) -> None:
    model.reply(call("look"))
    async with site(place, default={"url": model.url}) as here:
        assert (await here.advance()).cost is None


async def test_a_character_that_a_database_does_not_keep_ends_no_run(
    place: Place, model: ScriptedModel
) -> None:
    model.reply("Go\0left.", call("look", '{"at": "\\u0000 \0"}'))
    config = replace(store.run().config, tools=[LOOK])
    async with site(place, run={"config": config}, default={"url": model.url}) as here:
        assert (await here.advance()).waits_for == WaitsFor.CLIENT
        (said,) = await here.db.read(messages.of_run, "run_1")
        (part,) = said.content
        assert isinstance(part, TextContent)
        assert part.text.value in ("Go\0left.", "Go\ufffdleft.")
