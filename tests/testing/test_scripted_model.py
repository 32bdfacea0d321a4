"""The scripted model, read through the openai client and through bare HTTP."""

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from clew.testing.scripted_model import (
    CUT,
    Gate,
    Raw,
    Refusal,
    Reply,
    Request,
    ScriptedModel,
    Usage,
    call,
)

HELLO: Any = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model.url, api_key="any", max_retries=0, timeout=10) as connected:
        yield connected


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model="m", messages=HELLO, **more)


def chunks(client: openai.OpenAI, **more: Any) -> list[Any]:
    return list(ask(client, stream=True, **more))


def said(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def raw_answer(model: ScriptedModel, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(model.url).netloc, timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data)


def test_says_what_the_user_said_when_nothing_is_scripted(client: openai.OpenAI) -> None:
    answer = ask(client)
    assert answer.choices[0].message.content == "You said: Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        2,
        4,
        6,
    )


def test_echo_reads_text_parts_and_the_last_user_message(client: openai.OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]
    answer = client.chat.completions.create(
        model="m",
        messages=[
            {"role": "user", "content": "one"},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": "three"},
        ],
    )
    assert answer.choices[0].message.content == "You said: two parts"


def test_gives_replies_in_order_and_records_requests(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.reply("first")
    model.reply("second")
    assert model.pending == 2
    with pytest.raises(AssertionError, match="2 scripted replies"):
        model.check(all_used=True)
    assert [ask(client).choices[0].message.content for _ in range(3)] == [
        "first",
        "second",
        "You said: Hello there",
    ]
    model.check(all_used=True)
    request = model.requests[0]
    assert request.body["messages"] == HELLO
    assert request.headers["authorization"] == "Bearer any"
    assert (request.model, request.stream, request.tools, request.last_user_text) == (
        "m",
        False,
        [],
        "Hello there",
    )


@pytest.mark.parametrize("text", ["", " ", "one", " spaces  kept \n everywhere ", "naïve 日本語 🧶"])
def test_a_stream_carries_the_text_unchanged(model: ScriptedModel, client: openai.OpenAI, text: str) -> None:
    model.reply(text)
    received = chunks(client)
    assert said(received) == text
    assert received[-1].choices[0].finish_reason == "stop"
    assert received[0].choices[0].delta.role == "assistant"


def test_stream_and_whole_answer_count_the_same_usage(model: ScriptedModel, client: openai.OpenAI) -> None:
    for _ in range(2):
        model.reply("four words in all", call("f", '{"a": 1}'))
    whole = ask(client).usage
    last = chunks(client, stream_options={"include_usage": True})[-1]
    assert last.choices == []
    assert last.usage == whole
    assert whole.completion_tokens == 7


@pytest.mark.parametrize(("place", "carriers"), [("end", 0), ("finish", 1), ("every", None), ("never", 0)])
def test_usage_is_where_it_was_asked_for(
    model: ScriptedModel, client: openai.OpenAI, place: Any, carriers: int | None
) -> None:
    model.reply("one two", usage=Usage(11, 7), usage_at=place)
    received = chunks(client)
    found = [chunk.usage for chunk in received if chunk.usage is not None]
    assert len(found) == (len(received) if carriers is None else carriers)
    assert all((usage.prompt_tokens, usage.completion_tokens) == (11, 7) for usage in found)


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_functions(model: ScriptedModel, client: openai.OpenAI, streamed: bool) -> None:
    arguments = {"city": "Reykjavík", "days": [1, 2, 3], "note": "longer than one piece of a stream"}
    model.calls(call("weather", arguments), call("time", id="call_mine"), text="Let me see.")
    if streamed:
        calls, text, reason = assembled(chunks(client))
    else:
        choice = ask(client).choices[0]
        calls = [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls]
        text, reason = choice.message.content, choice.finish_reason
    assert [(identifier, name) for identifier, name, _ in calls] == [
        ("call_1_1", "weather"),
        ("call_mine", "time"),
    ]
    assert [json.loads(text) for _, _, text in calls] == [arguments, {}]
    assert (text, reason) == ("Let me see.", "tool_calls")


def assembled(received: list[Any]) -> tuple[list[tuple[str, str, str]], str, str]:
    calls: dict[int, list[str]] = {}
    for chunk in received:
        for delta in chunk.choices[0].delta.tool_calls or []:
            entry = calls.setdefault(delta.index, ["", "", ""])
            entry[0] += delta.id or ""
            entry[1] += delta.function.name or ""
            entry[2] += delta.function.arguments or ""
    ordered = [(entry[0], entry[1], entry[2]) for _, entry in sorted(calls.items())]
    return ordered, said(received), received[-1].choices[0].finish_reason


def test_quirks_of_real_servers(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.reply(call("f", "not json"), finish_reason="stop", call_ids=False, usage_at="never")
    answer = ask(client)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "stop"
    assert message.content is None
    assert message.tool_calls[0].id is None
    assert message.tool_calls[0].function.arguments == "not json"
    assert answer.usage is None
    model.reply()
    assert ask(client).choices[0].message.content is None
    model.reply("cut short", finish_reason="length")
    assert chunks(client)[-1].choices[0].finish_reason == "length"
    model.reply(Raw(b": a comment\n\n"), "text")
    assert said(chunks(client)) == "text"


@pytest.mark.parametrize("streamed", [False, True])
def test_refuses(model: ScriptedModel, client: openai.OpenAI, streamed: bool) -> None:
    model.refuse("I can't help with that.")
    if streamed:
        deltas = [chunk.choices[0].delta for chunk in chunks(client)]
        assert "".join(delta.refusal or "" for delta in deltas) == "I can't help with that."
        assert not any(delta.content for delta in deltas)
    else:
        message = ask(client).choices[0].message
        assert (message.refusal, message.content) == ("I can't help with that.", None)


def test_fails_as_often_as_told(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.fail(429, "Slow down", retry_after=7, code="rate_limit_exceeded", times=2)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as raised:
            ask(client)
        assert raised.value.response.headers["retry-after"] == "7"
        assert raised.value.body == {
            "message": "Slow down",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    assert ask(client).choices[0].message.content == "You said: Hello there"
    model.fail(502, body="<h1>Bad Gateway</h1>")
    with pytest.raises(openai.InternalServerError) as error:
        ask(client)
    assert error.value.response.text == "<h1>Bad Gateway</h1>"


@pytest.mark.parametrize("streamed", [False, True])
def test_cuts_the_connection(model: ScriptedModel, streamed: bool) -> None:
    reply = model.cut(after="partial text")
    connection = http.client.HTTPConnection(urlsplit(model.url).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps({"messages": HELLO, "stream": streamed}))
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as raised:
        answer.read()
    connection.close()
    assert b"[DONE]" not in raised.value.partial
    assert not reply.client_left


def test_holds_in_the_middle_of_a_stream(model: ScriptedModel, client: openai.OpenAI) -> None:
    reply = model.hold("first ", "second")
    stream = iter(ask(client, stream=True))
    assert next(stream).choices[0].delta.content == ""
    assert next(stream).choices[0].delta.content == "first "
    reply.wait_paused()
    assert not reply.gates[1].reached.is_set()
    reply.gates[0].release()
    assert next(stream).choices[0].delta.content == "second"
    reply.wait_paused()
    assert not reply.ended.is_set()
    reply.release()
    assert next(stream).choices[0].finish_reason == "stop"
    reply.wait_ended()
    with pytest.raises(ValueError, match="no gate"):
        reply.wait_paused()


def test_stays_silent_until_released(model: ScriptedModel, client: openai.OpenAI) -> None:
    reply = model.silence(then="at last")
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=0.05)
    reply.wait_ended()
    assert reply.client_left
    assert reply.taken.is_set()
    reply.release()
    model.reply(Gate(), "never said")
    assert model.wait_for_requests(1)[0].model == "m"


def test_notices_that_the_client_left(model: ScriptedModel, client: openai.OpenAI) -> None:
    reply = model.hold("some text")
    stream = ask(client, stream=True)
    reply.wait_paused()
    stream.close()
    client.close()
    reply.wait_ended()
    assert reply.client_left
    reply.release()


def test_rules_come_before_the_queue(model: ScriptedModel, client: openai.OpenAI) -> None:
    rule = model.when(lambda request: request.last_user_text.startswith("Hello"))
    rule.reply("once")
    rule.reply("again and again")
    model.reply("queued")
    answers = [ask(client).choices[0].message.content for _ in range(3)]
    assert answers == ["once", "again and again", "again and again"]
    other = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Bye"}])
    assert other.choices[0].message.content == "queued"
    model.reset()
    assert model.requests == []
    assert ask(client).choices[0].message.content == "You said: Hello there"


def test_answers_can_be_computed(model: ScriptedModel, client: openai.OpenAI) -> None:
    def about_tools(request: Request) -> Reply | str:
        return f"{request.tools} {request.tool_outputs}"

    model.answer(about_tools)
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    messages: Any = [*HELLO, {"role": "tool", "tool_call_id": "c1", "content": "42"}]
    answer = client.chat.completions.create(model="m", messages=messages, tools=tools)
    assert answer.choices[0].message.content == "['f'] {'c1': '42'}"


def test_an_error_in_a_script_is_raised_at_the_end() -> None:
    def broken(request: Request) -> str:
        raise KeyError("oh")

    with ScriptedModel(default=broken) as model:
        status, body = raw_answer(model, "POST", "/v1/chat/completions", b'{"messages": []}')
        assert status == 500
        assert "KeyError" in body["error"]["message"]
        with pytest.raises(KeyError, match="oh"):
            model.check()
        raw_answer(model, "POST", "/v1/chat/completions", b'{"messages": []}')
        with pytest.raises(KeyError, match="oh"):
            model.__exit__(None, None, None)


def test_other_requests(model: ScriptedModel, client: openai.OpenAI) -> None:
    assert [entry.id for entry in client.models.list()] == ["scripted"]
    assert raw_answer(model, "GET", "/v1/chat/completions")[0] == 405
    assert raw_answer(model, "GET", "/elsewhere")[0] == 404
    assert raw_answer(model, "POST", "/v1/chat/completions", b"{")[0] == 400
    assert raw_answer(model, "POST", "/v1/chat/completions", b'{"messages": [1]}')[0] == 400
    assert model.requests == []


def test_asks_for_a_key_when_it_has_one() -> None:
    with ScriptedModel(api_key="secret") as model:
        wrong = openai.OpenAI(base_url=model.url, api_key="wrong", max_retries=0)
        with wrong, pytest.raises(openai.AuthenticationError):
            ask(wrong)
        with openai.OpenAI(base_url=model.url, api_key="secret", max_retries=0) as client:
            assert ask(client).choices[0].message.content == "You said: Hello there"


def test_answers_requests_on_one_connection_in_order(model: ScriptedModel) -> None:
    gate = Gate()
    model.reply(gate, "first")
    model.reply("second")
    host = urlsplit(model.url)
    body = json.dumps({"messages": HELLO}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )

    async def pipeline() -> bytes:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        writer.write(request * 2 + b"GET /v1/models HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n")
        await gate.reached.wait_async()
        gate.release()
        answer = await reader.read()
        writer.close()
        return answer

    answer = asyncio.run(pipeline())
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"first") < answer.index(b"second") < answer.index(b'"list"')


def test_a_big_body_may_ask_first(model: ScriptedModel) -> None:
    host = urlsplit(model.url)
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()

    async def send() -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\n")
        writer.write(b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        go_on = await reader.readline()
        writer.write(body)
        answer = await reader.read()
        writer.close()
        return go_on, answer

    go_on, answer = asyncio.run(send())
    assert go_on == b"HTTP/1.1 100 Continue\r\n"
    assert b"HTTP/1.1 200 OK" in answer


def test_nonsense_on_the_wire_is_a_400(model: ScriptedModel) -> None:
    host = urlsplit(model.url)

    async def send() -> bytes:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        writer.write(b"\x16\x03\x01 this is not http\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(send()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("act", [lambda m: m.close(), lambda m: m.reset()])
def test_can_be_closed_twice_and_while_holding(act: Callable[[ScriptedModel], None]) -> None:
    model = ScriptedModel().start()
    reply = model.hold("text")
    with openai.OpenAI(base_url=model.url, api_key="k", max_retries=0) as client:
        stream = ask(client, stream=True)
        reply.wait_paused()
        act(model)
        model.close()
        model.close()
        reply.wait_ended()
        assert reply.client_left
        stream.close()


def test_parts_can_be_mixed(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.reply("before ", call("f"), Refusal("no"), "after", finish_reason="content_filter")
    calls, text, reason = assembled(chunks(client))
    assert (len(calls), text, reason) == (1, "before after", "content_filter")
    model.reply("x ", CUT, "never")
    with pytest.raises(openai.APIError):
        chunks(client)


def test_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "clew.testing.scripted_model", "--port", "0", "--reply", "Hi"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
            assert said(chunks(client)) == "Hi"
        process.terminate()
        process.wait(10)
