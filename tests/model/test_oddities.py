"""Every oddity that a scripted model can have: a conversation with it goes as it should, or says why not.

Real sockets, a worker and a database. One conversation has a turn of calls without a text, an answer, and a
second run that says something before it calls.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clew.clock import SystemClock
from clew.core.content import text_content
from clew.core.records import Call, Run
from clew.core.states import WaitsFor
from clew.core.tools import FunctionDefinition, FunctionTool
from clew.model.chat import ChatRequest, Finished, ModelError, TextDelta, one_by_one
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.store import messages, steps
from clew.testing.oddities import KINDS, ODDITIES, SHAPES
from clew.testing.scripted_model import ScriptedModel, Usage, call
from tests.support import store
from tests.support.site import Site, site

pytestmark = pytest.mark.anyio

TEXT = 'Links \u2013 n\u00e4her: \U0001f600. And "so" on,\nand on.'
ARGUMENTS = {"at": "w\u00e4nde", "how": [1, {"deep": "}"}], "why": None}
TOOLS = [
    FunctionTool(function=FunctionDefinition(name="look", strict=True, parameters={"type": "object"})),
    FunctionTool(function=FunctionDefinition(name="take")),
]
WORDS = "The engine has run out of memory."

FAILED = {
    "no_end": "broke off",
    "finish_error": "(error)",
    "finish_error_in_middle": "network_error",
    "error_frame": WORDS,
    "error_event": WORDS,
    "error_line": WORDS,
    "error_200": WORDS,
    "rate_limit_200": WORDS,
    "error_in_middle": WORDS,
    "error_in_choice": WORDS,
    "html": "'Sign in'",
    "empty_200": "empty",
    "redirect": "/elsewhere/v1",
    "another_api": "/v1",
    "no_tools": "does not support tools",
}
"""Those with which a run fails, and what its error says."""

INCOMPLETE = {"finish_max_tokens": "max_completion_tokens", "finish_safety": "content_filter"}
NOTHING = {"nothing_said"}
ANSWERED = sorted(set(ODDITIES) - set(FAILED) - set(INCOMPLETE) - NOTHING)
DEMANDS = sorted(name for name, oddity in ODDITIES.items() if oddity.demand and name not in FAILED)


@pytest.fixture(scope="module")
def _model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture
def model(_model: ScriptedModel) -> Iterator[ScriptedModel]:
    _model.reset()
    yield _model
    _model.check()


@asynccontextmanager
async def talk(database: Path, model: ScriptedModel, **described: Any) -> AsyncIterator[Site]:
    """Serve a run with two functions and everything that a request can have."""
    config = replace(
        store.run().config,
        tools=TOOLS,
        instructions="Be brief.",
        temperature=0.5,
        max_completion_tokens=500,
        tool_choice="required",
    )
    endpoint = {"url": model.url, "retry_for": 0} | described
    async with site(database, run={"config": config}, default=endpoint) as here:
        await here.db.write(messages.add, store.message("msg_2", content=[text_content("Hello?")]))
        yield here


async def said(here: Site, run_id: str) -> list[str]:
    """Return the texts of a run's messages, oldest first."""
    found = await here.db.read(messages.of_run, run_id)
    return [store.text_of(each) for each in found]


async def called(here: Site, run_id: str) -> list[tuple[str, Any]]:
    """Return the calls of a run's last step, with their arguments."""
    *_, last = await here.db.read(steps.of_run, run_id)
    return [(each.name, _arguments(each)) for each in last.calls]


def _arguments(call: Call) -> Any:
    return msgspec.json.decode(call.arguments)


def script(model: ScriptedModel) -> None:
    model.calls(call("look", ARGUMENTS), call("take"))
    model.reply(TEXT, usage=Usage(700, 7))
    model.calls(call("look", {"at": "door"}), text="Let me see.")
    model.reply("It is open.")


async def converse(here: Site) -> None:
    """Have a conversation, and check what comes of each turn."""
    run = await here.advance()
    assert run.waits_for == WaitsFor.CLIENT, run.last_error
    assert await called(here, "run_1") == [("look", ARGUMENTS), ("take", {})]
    assert await said(here, "run_1") == []
    await here.answer("wall", "")
    await _completed(here, "run_1", [TEXT])
    await here.begin("run_2", "And now?", config=replace(run.config, tool_choice="auto"))
    run = await here.advance("run_2")
    assert run.waits_for == WaitsFor.CLIENT, run.last_error
    assert await called(here, "run_2") == [("look", {"at": "door"})]
    assert [text.rstrip() for text in await said(here, "run_2")] == ["Let me see."]
    await here.answer("open", run_id="run_2")
    await _completed(here, "run_2", ["Let me see.", "It is open."])


async def _completed(here: Site, run_id: str, texts: list[str]) -> Run:
    run = await here.advance(run_id)
    assert run.status == "completed", run.last_error
    assert [text.rstrip() for text in await said(here, run_id)] == texts
    assert 0 < run.usage.prompt_tokens < 10**8
    return run


# --- each alone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERED)
async def test_a_conversation_goes_as_it_should(
    database: Path, model: ScriptedModel, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    model.oddities = (name,)
    script(model)
    think: dict[str, Any] = {"think": "hide"} if name == "think_tags" else {}
    limit = {"limit_field": "max_tokens"} if name == "only_max_completion_tokens" else {}
    began = time.monotonic()
    async with talk(database, model, **think, **limit) as here:
        await converse(here)
    assert time.monotonic() - began < 5
    assert not [record for record in caplog.records if record.exc_info]
    model.check(all_used=True)


@pytest.mark.parametrize("name", FAILED)
async def test_a_run_fails_in_the_providers_words(
    database: Path, model: ScriptedModel, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    model.oddities = (name,)
    model.reply("Left. ", "Or right.")
    async with talk(database, model) as here:
        run = await here.advance()
        assert run.status == "failed"
        assert run.last_error is not None
        assert FAILED[name] in run.last_error.message
        assert (run.last_error.code == "rate_limit_exceeded") == (name == "rate_limit_200")
        assert run.last_error.message in caplog.text
        model.reset()
        await here.begin("run_2", "Again?")
        await _completed(here, "run_2", ["You said: Again?"])
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("name", INCOMPLETE)
async def test_a_run_is_incomplete_and_hands_out_no_cut_call(
    database: Path, model: ScriptedModel, name: str
) -> None:
    model.oddities = (name,)
    model.calls(call("look", '{"at": "wa'), text="Left.")
    async with talk(database, model) as here:
        run = await here.advance()
        assert run.status == "incomplete"
        assert run.incomplete_reason == INCOMPLETE[name]
        assert await said(here, "run_1") == ["Left."]
        assert run.waits_for is None
        for step in await here.db.read(steps.of_run, "run_1"):
            assert all(each.ended_at is not None for each in step.calls)


async def test_an_answer_with_nothing_in_it_is_never_sent_to_a_model(
    database: Path, model: ScriptedModel
) -> None:
    model.reply("Left.", oddities=("nothing_said",))
    async with talk(database, model) as here:
        assert (await here.advance()).status == "completed"
        await here.begin("run_2")
        assert (await here.advance("run_2")).status == "completed"
    assert [each["role"] for each in model.requests[1].messages] == ["user"] * 3


# --- what is learned --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEMANDS)
async def test_what_was_learned_is_not_refused_twice(database: Path, model: ScriptedModel, name: str) -> None:
    model.oddities = (name,)
    script(model)
    limit = {"limit_field": "max_tokens"} if name == "only_max_completion_tokens" else {}
    async with talk(database, model, **limit) as here:
        await converse(here)
        await here.begin("run_3")
        asked = len(model.requests)
        await _completed(here, "run_3", ["You said: Go on."])
        assert len(model.requests) == asked + 1
    assert asked <= 4 + 2


MANY = (
    "strict_roles", "no_empty_content", "no_null_content", "no_system_role", "tool_names_required",
    "own_ids_only", "no_stream_options", "no_streaming", "only_max_tokens", "no_parallel_tool_calls",
    "no_temperature", "no_tool_choice", "no_strict", "parameters_required",
)  # fmt: skip


@pytest.mark.parametrize("shape", [None, *SHAPES])
async def test_many_lessons_are_learned_in_one_turn(
    database: Path, model: ScriptedModel, shape: str | None
) -> None:
    model.oddities, model.refusal_shape = MANY, shape
    script(model)
    try:
        async with talk(database, model) as here:
            await converse(here)
    finally:
        model.refusal_shape = None


@pytest.mark.parametrize("spelled", ["reasoning", "reasoning_details", "signatures"])
async def test_what_one_endpoint_sends_and_another_refuses_is_left_out(
    database: Path, model: ScriptedModel, spelled: str
) -> None:
    model.oddities = (spelled, "unknown_fields_refused")
    script(model)
    async with talk(database, model) as here:
        await converse(here)


FULL = ChatRequest(
    model="m",
    messages=(
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": ""},
        {"role": "user", "content": "Hi."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "wall"},
    ),
    tools=({"type": "function", "function": {"name": "look", "strict": True}},),
    tool_choice="required",
    parallel_tool_calls=False,
    temperature=0.5,
    max_completion_tokens=5,
)
TAUGHT = sorted(set(DEMANDS) - {"nine_letter_ids", "wants_reasoning_back", "wants_signatures_back"})


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_demand_is_understood_in_every_shape(model: ScriptedModel, shape: str) -> None:
    model.refusal_shape = shape
    try:
        for name in TAUGHT:
            limit: Any = "max_tokens" if name == "only_max_completion_tokens" else "max_completion_tokens"
            endpoint = Endpoint(url=model.url, limit_field=limit)
            remote = RemoteModel(endpoint, timeout=5, clock=SystemClock())
            model.oddities = (name,)
            try:
                chunks = [chunk async for chunk in one_by_one(remote.stream(FULL))]
            except ModelError as error:
                raise AssertionError(f"{name}: {error}") from error
            finally:
                await remote.aclose()
            assert "".join(each.text for each in chunks if isinstance(each, TextDelta)) == "You said: Hi."
            assert isinstance(chunks[-1], Finished)
    finally:
        model.refusal_shape = None


# --- its end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stays_open", "stays_open_without_done", "pings_without_done"])
async def test_nobody_waits_for_the_end_of_a_connection(model: ScriptedModel, name: str) -> None:
    model.reply("Left.", oddities=(name,))
    remote = RemoteModel(Endpoint(url=model.url), timeout=30, clock=SystemClock())
    began = time.monotonic()
    chunks = [chunk async for chunk in one_by_one(remote.stream(replace(FULL, messages=FULL.messages[:1])))]
    assert time.monotonic() - began < 0.5
    assert isinstance(chunks[-1], Finished)
    assert remote.learned.of("m").context_tokens is None
    await remote.aclose()


# --- several at once --------------------------------------------------------------------------------------

_TOGETHER: dict[str, list[str]] = {}
_ALONE = {
    "only_max_completion_tokens", "think_tags", "pings_without_done", "nine_letter_ids", "whole_json",
    "whole_json_in_lines", "whole_json_as_event", "json_lines", "tool_calls_as_an_object",
    "choices_as_an_object",
}  # fmt: skip
"""Those that undo others, or need what a conversation does not have."""

for _name in sorted(set(ANSWERED) - _ALONE):
    _TOGETHER.setdefault(ODDITIES[_name].kind, []).append(_name)


def _mixtures(count: int) -> list[tuple[str, ...]]:
    """Return mixtures in which each oddity comes up about as often: one of each kind."""
    strides = dict(zip(KINDS, (3, 7, 5, 1, 11, 0, 13), strict=True))
    return [
        tuple(names[number * strides[kind] % len(names)] for kind, names in _TOGETHER.items())
        for number in range(count)
    ]


@pytest.mark.parametrize("names", _mixtures(40), ids="-".join)
async def test_several_oddities_at_once(database: Path, model: ScriptedModel, names: tuple[str, ...]) -> None:
    model.oddities = names
    script(model)
    async with talk(database, model) as here:
        await converse(here)
