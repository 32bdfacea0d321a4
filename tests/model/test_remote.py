"""The gateway to a model, against what real servers are known to get wrong.

The protocol is the OpenAI API reference, "Create chat completion".
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from clew.core.records import Usage
from clew.model.answer import AnswerReader
from clew.model.chat import (
    CallDelta,
    ChatRequest,
    Chunk,
    Finished,
    ModelError,
    RefusalDelta,
    TextDelta,
    one_by_one,
)
from clew.model.endpoint import Endpoint
from clew.model.frames import Done, Frame
from clew.model.quirks import LimitField
from clew.model.remote import RemoteModel
from clew.testing import scripted_model
from clew.testing.scripted_model import Raw, ScriptedModel, call
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(model="scripted", messages=({"role": "user", "content": "Which way?"},))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture
async def gateway(model: ScriptedModel) -> AsyncIterator[RemoteModel]:
    gateway = RemoteModel(Endpoint(url=model.url, key=None), timeout=5, clock=ManualClock())
    yield gateway
    await gateway.aclose()


async def _answer(gateway: RemoteModel, request: ChatRequest = REQUEST) -> list[Chunk]:
    return [chunk async for chunk in one_by_one(gateway.stream(request))]


def _text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


def _calls(chunks: list[Chunk]) -> list[tuple[str, str]]:
    """Return each call's name and arguments, put together as the engine does."""
    calls: list[list[str]] = []
    for chunk in chunks:
        if isinstance(chunk, CallDelta):
            if chunk.index == len(calls):
                calls.append([chunk.name or "", ""])
            calls[chunk.index][1] += chunk.arguments
    return [(name, arguments) for name, arguments in calls]


def _finished(chunks: list[Chunk]) -> Finished:
    last = chunks[-1]
    assert isinstance(last, Finished)
    assert not any(isinstance(chunk, Finished) for chunk in chunks[:-1])
    return last


def _event(**body: Any) -> Raw:
    return Raw(b"data: " + msgspec.json.encode(body) + b"\n\n")


def _delta(**delta: Any) -> Raw:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])


def _call_piece(index: int | None, id: str | None, name: str | None, arguments: Any) -> Raw:
    function = {"name": name, "arguments": arguments}
    piece = {"index": index, "id": id, "function": {k: v for k, v in function.items() if v is not None}}
    return _delta(tool_calls=[{key: value for key, value in piece.items() if value is not None}])


async def test_an_answer_comes_in_pieces_and_ends_once(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply("Go left and then ", "right.", usage=scripted_model.Usage(7, 5), pace=0.01)
    chunks = await _answer(gateway)
    assert _text(chunks) == "Go left and then right."
    assert len(chunks) > 3
    assert _finished(chunks) == Finished("stop", Usage(prompt_tokens=7, completion_tokens=5))


async def test_nothing_said_is_an_answer_too(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply()
    chunks = await _answer(gateway)
    assert len(chunks) == 1
    assert _finished(chunks).reason == "stop"


async def test_a_refusal_is_told_apart_from_text(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.refuse("I won't do that.")
    chunks = await _answer(gateway)
    said = "".join(chunk.text for chunk in chunks if isinstance(chunk, RefusalDelta))
    assert (said, _text(chunks)) == ("I won't do that.", "")


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", "end_turn", "eos"])
async def test_calls_are_calls_whatever_reason_is_given(
    gateway: RemoteModel, model: ScriptedModel, reason: str
) -> None:
    model.reply(call("look", {"at": "wall"}), finish_reason=reason)
    chunks = await _answer(gateway)
    assert _calls(chunks) == [("look", '{"at":"wall"}')]
    assert _finished(chunks).reason == "tool_calls"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_cut_answer_says_why(gateway: RemoteModel, model: ScriptedModel, reason: str) -> None:
    model.reply("Go le", finish_reason=reason)
    assert _finished(await _answer(gateway)).reason == reason


@pytest.mark.parametrize("call_ids", [True, False])
async def test_several_calls_keep_their_arguments_apart(
    gateway: RemoteModel, model: ScriptedModel, call_ids: bool
) -> None:
    one, two = {"way": "left" * 20}, {"way": "right" * 20}
    model.reply("Hm. ", call("turn", one), call("turn", two), call("look"), call_ids=call_ids)
    names_and_arguments = _calls(await _answer(gateway))
    assert [name for name, _ in names_and_arguments] == ["turn", "turn", "look"]
    assert [msgspec.json.decode(arguments) for _, arguments in names_and_arguments] == [one, two, {}]


async def test_a_server_that_numbers_every_call_zero(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply(
        _call_piece(0, "a", "turn", '{"way":'),
        _call_piece(0, None, None, '"left"}'),
        _call_piece(0, "b", "look", '{"at":'),
        _call_piece(0, None, None, '"wall"}'),
    )
    assert _calls(await _answer(gateway)) == [("turn", '{"way":"left"}'), ("look", '{"at":"wall"}')]


async def test_a_server_that_numbers_no_call(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply(
        _call_piece(None, "a", "turn", '{"way":'),
        _call_piece(None, None, None, '"left"}'),
        _call_piece(None, "b", "look", "{}"),
    )
    assert _calls(await _answer(gateway)) == [("turn", '{"way":"left"}'), ("look", "{}")]


async def test_a_server_that_repeats_the_id_in_every_piece(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    model.reply(
        _call_piece(0, "a", "turn", ""),
        _call_piece(0, "a", None, '{"way":'),
        _call_piece(0, "a", None, '"left"}'),
        _call_piece(1, "b", "look", "{}"),
    )
    assert _calls(await _answer(gateway)) == [("turn", '{"way":"left"}'), ("look", "{}")]


async def test_a_server_that_starts_counting_at_one(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply(
        _call_piece(1, "a", "turn", '{"way":'),
        _call_piece(1, None, None, '"left"}'),
        _call_piece(2, "b", "look", '{"at":'),
        _call_piece(2, None, None, '"wall"}'),
    )
    assert _calls(await _answer(gateway)) == [("turn", '{"way":"left"}'), ("look", '{"at":"wall"}')]


async def test_arguments_given_as_an_object_become_a_string(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    model.reply(_call_piece(0, "a", "turn", {"way": "left"}))
    assert _calls(await _answer(gateway)) == [("turn", '{"way":"left"}')]


async def test_content_given_in_parts_is_text(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply(_delta(content=[{"type": "text", "text": "Go "}, {"type": "text", "text": "left."}]))
    assert _text(await _answer(gateway)) == "Go left."


async def test_what_is_no_answer_is_passed_over(gateway: RemoteModel, model: ScriptedModel) -> None:
    model.reply(
        Raw(b": keep-alive\n\n"),
        Raw(b"event: ping\nid: 7\nretry: 100\n\n"),
        _event(choices=[]),
        _event(choices=None, usage=None),
        _event(object="x", unheard_of={"a": 1}),
        _delta(role="assistant", content=None, reasoning_content="Hm."),
        Raw(b"data:" + msgspec.json.encode({"choices": [{"delta": {"content": "left"}}]}) + b"\r\n\r\n"),
    )
    assert _text(await _answer(gateway)) == "left"


async def test_lines_cut_anywhere_are_put_together(gateway: RemoteModel, model: ScriptedModel) -> None:
    event = b"data: " + msgspec.json.encode({"choices": [{"delta": {"content": "é🧶"}}]}) + b"\n\n"
    model.reply(*(Raw(event[index : index + 1]) for index in range(len(event))), pace=0.0001)
    assert _text(await _answer(gateway)) == "é🧶"


async def test_a_plain_answer_to_a_streaming_request_is_read_too(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    choice = {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": "Left.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "turn", "arguments": "{}"}},
            ],
        },
        "finish_reason": "tool_calls",
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
    plain = model.fail(200, body=msgspec.json.encode({"choices": [choice], "usage": usage}).decode())
    plain.headers["content-type"] = "application/json; charset=utf-8"
    chunks = await _answer(gateway)
    assert (_text(chunks), _calls(chunks)) == ("Left.", [("look", "{}"), ("turn", "{}")])
    expected = Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2)
    assert (_finished(chunks).reason, _finished(chunks).usage) == ("tool_calls", expected)


async def test_leaving_early_hangs_up_on_the_model(gateway: RemoteModel, model: ScriptedModel) -> None:
    held = model.hold("Go ", "left")
    stream = one_by_one(gateway.stream(REQUEST))
    await anext(stream)
    await stream.aclose()
    await held.ended.wait_async()
    assert held.client_left


async def test_the_limit_has_the_name_that_the_server_knows(model: ScriptedModel) -> None:
    request = msgspec.structs.replace(REQUEST, max_completion_tokens=5)
    fields: tuple[LimitField, ...] = ("max_completion_tokens", "max_tokens")
    for field in fields:
        endpoint = Endpoint(url=model.url + "/", key="sk-secret", limit_field=field)
        gateway = RemoteModel(endpoint, timeout=5, clock=ManualClock())
        await _answer(gateway, request)
        assert model.requests[-1].body[field] == 5
        assert model.requests[-1].headers["authorization"] == "Bearer sk-secret"
        await gateway.aclose()


async def test_what_a_fault_of_the_server_teaches_is_kept_only_if_it_helps(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    told = ({"role": "system", "content": "Be brief."}, *REQUEST.messages)
    request = msgspec.structs.replace(REQUEST, messages=told)
    words = "Internal system error. Error message: out of memory"
    model.fail(500, words, times=2)
    with pytest.raises(ModelError, match="out of memory"):
        await _answer(gateway, request)
    await _answer(gateway, request)
    roles = [[each["role"] for each in asked.messages] for asked in model.requests]
    assert roles == [["system", "user"], ["user"], ["system", "user"]]
    model.fail(500, words)
    await _answer(gateway, request)
    await _answer(gateway, request)
    assert [each["role"] for each in model.requests[-1].messages] == ["user"]


@pytest.mark.parametrize(
    "key", ["tools", "tool_choice", "temperature", "max_completion_tokens", "max_tokens"]
)
async def test_what_was_not_asked_for_is_not_sent(
    gateway: RemoteModel, model: ScriptedModel, key: str
) -> None:
    await _answer(gateway)
    assert key not in model.requests[0].body
    assert "authorization" not in model.requests[0].headers


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/", "https://elsewhere.example/v1"])
async def test_the_key_is_never_carried_elsewhere(
    gateway: RemoteModel, model: ScriptedModel, location: str
) -> None:
    moved = model.fail(302, "Moved.")
    moved.headers["location"] = location
    with pytest.raises(ModelError, match="302"):
        await _answer(gateway)
    assert len(model.requests) == 1


def test_a_reader_names_each_call_once() -> None:
    reader = AnswerReader()
    delta = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}]}
    frame = Frame("", {"choices": [{"delta": delta}]})
    reader.read(frame)
    reader.read(frame)
    reader.read(Done())
    told = [chunk for chunk in reader.end(lambda _: Usage()) if isinstance(chunk, CallDelta)]
    assert told == [CallDelta(0, "a", "look"), CallDelta(0, arguments="{}")]
    assert not reader.usage_reported


@pytest.mark.parametrize("key", ["0123456789abcdef", "sk-proj-0123456789", "key with spaces"])
async def test_the_key_is_never_repeated_whatever_it_looks_like(model: ScriptedModel, key: str) -> None:
    gateway = RemoteModel(Endpoint(url=model.url, key=key), timeout=5, clock=ManualClock())
    model.fail(401, f"Wrong key '{key}'.")
    with pytest.raises(ModelError) as refused:
        await _answer(gateway)
    assert refused.value.message == "The model endpoint answered 401: Wrong key '[key]'."
    await gateway.aclose()


async def test_what_comes_while_nobody_has_time_is_one_piece(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    words = [f"word{number} " for number in range(60)]
    model.reply(*words, pace=0.005)
    chunks = []
    async for chunk in one_by_one(gateway.stream(REQUEST)):
        chunks.append(chunk)
        await asyncio.sleep(0.05)
    assert _text(chunks) == "".join(words)
    assert len(chunks) < 30
    assert isinstance(chunks[-1], Finished)


async def test_a_connection_that_was_held_back_is_used_again(
    gateway: RemoteModel, model: ScriptedModel
) -> None:
    for _ in range(3):
        model.reply(*[f"word{number} " for number in range(10)], pace=0.005)
        said = []
        async for chunk in one_by_one(gateway.stream(REQUEST)):
            said.append(chunk)
            await asyncio.sleep(0.02)
        assert _text(said) == "".join(f"word{number} " for number in range(10))


async def test_the_time_that_a_reader_takes_is_no_silence(model: ScriptedModel) -> None:
    gateway = RemoteModel(Endpoint(url=model.url), timeout=0.2, clock=ManualClock())
    model.reply("Go ", "left ", "and ", "right.", pace=0.05)
    said = []
    async for chunk in one_by_one(gateway.stream(REQUEST)):
        said.append(chunk)
        await asyncio.sleep(0.15)
    assert _text(said) == "Go left and right."
    await gateway.aclose()


async def test_silence_in_the_middle_is_noticed(model: ScriptedModel) -> None:
    gateway = RemoteModel(Endpoint(url=model.url), timeout=0.2, clock=ManualClock())
    model.hold("Go ", "left.")
    said = one_by_one(gateway.stream(REQUEST))
    assert _text([await anext(said)]) == "Go "
    with pytest.raises(ModelError, match=r"said nothing for 0\.2 seconds"):
        await anext(said)
    await gateway.aclose()
