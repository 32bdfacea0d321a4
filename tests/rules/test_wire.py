"""Rules that hold for every request and every answer."""

import asyncio
import re

import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from clew.http.access import AccessLog
from clew.http.middleware import Errors, RequestId
from clew.http.operations import OPERATIONS
from clew.ids import AGENT, CALL, MESSAGE, RUN, STEP, THREAD, RandomIds
from clew.process import Process
from clew.testing.scripted_model import ScriptedModel, Usage
from tests.support.api import Api, Json, error_of, function_tool
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds
from tests.support.servers import Servers


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (AGENT, "asst_"),
        (THREAD, "thread_"),
        (MESSAGE, "msg_"),
        (RUN, "run_"),
        (STEP, "step_"),
        (CALL, "call_"),
    ],
)
def test_an_id_is_its_types_prefix_and_letters_or_digits(prefix: str, expected: str) -> None:
    ids = RandomIds()
    made = {ids.new(prefix) for _ in range(1000)} | {ids.derived(prefix, str(part)) for part in range(1000)}
    assert len(made) == 2000
    assert all(re.fullmatch(rf"{expected}[0-9A-Za-z]{{20,}}", each) for each in made)


def test_every_time_is_a_whole_second(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    assert clock.now() % 1000, "the clock must not stand on a whole second"
    model.call("look")
    run = api.run(api.thread("Go."), api.agent(tools=[function_tool("look")]))
    run.wait_calls()
    told = [api.send("GET", f"{run.path}{rest}").text for rest in ("", "/steps")]
    run.answer_calls(lambda call: "a wall")
    run.wait("completed")
    paths = (run.path, f"{run.path}/steps", f"/threads/{run.thread}", f"/threads/{run.thread}/messages")
    told += [api.send("GET", path).text for path in (*paths, "/assistants")]
    times = re.findall(r'"[a-z]+_at":([^,}]*)', "".join(told))
    assert len(times) > 30
    assert all(re.fullmatch(r"null|\d{10}", time) for time in times), times


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_objects_are_changed_by_post_and_nothing_else(api: Api, method: str) -> None:
    for path in {operation.path for operation in OPERATIONS}:
        response = api.send(method, path.replace("{model:path}", "x").format_map(_Anything()), {})
        error = error_of(response, 405)
        assert error["type"] == "invalid_request_error"
        assert method not in response.headers["allow"]


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"


def test_a_fault_of_the_servers_own_is_500_and_tells_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("password=hunter2 in /srv/clew/secret.py")

    status, headers, body = asyncio.run(
        _answer(RequestId(Errors(broken), Process(ManualClock(), CountingIds()), AccessLog()))
    )
    assert status == 500
    assert headers["content-type"] == "application/json"
    error = msgspec.json.decode(body)["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert headers["x-request-id"] in error["message"]
    assert not re.search("hunter2|secret|Traceback|RuntimeError", body.decode())
    assert "hunter2" in caplog.text, "the log is where to look"


async def _answer(app: RequestId) -> tuple[int, dict[str, str], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/v1/threads", "headers": []}, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


def test_a_spent_day_is_429_and_asks_for_no_retry(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(daily_token_budget=10) as api:
        model.reply("Left.", usage=Usage(8, 2))
        thread, agent = api.thread("Which way?"), api.agent()
        api.run(thread, agent).wait("completed")
        response = api.send("POST", f"/threads/{thread}/runs", {"assistant_id": agent})
        error: Json = error_of(response, 429)
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert response.headers["x-should-retry"] == "false"
        servers.clock.advance(24 * 3600 * 1000)
        api.run(thread, agent).wait("completed")
