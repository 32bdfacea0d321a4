"""Failures of the model are the run's, never HTTP errors, and tell nothing that users should not know.

Source: OpenAI's published API schema, ``last_error`` of a run: server_error, rate_limit_exceeded,
invalid_prompt.
"""

import re

import pytest

from clew.testing.scripted_model import CUT, Raw, ScriptedModel, Usage, call
from tests.support.api import Api, Json, RunHandle, function_tool, text
from tests.support.clock import ManualClock
from tests.support.server import MODEL_KEY
from tests.support.servers import Servers


def _failed(api: Api, run: RunHandle, clock: ManualClock, code: str) -> Json:
    """Check what every failed run has in common, and return it."""
    done = run.wait("failed")
    assert done["last_error"]["code"] == code
    message = done["last_error"]["message"]
    assert len(message) > 10
    assert MODEL_KEY not in message
    assert not re.search(r"sk-|127\.0\.0\.1|localhost|Traceback|http", message), message
    assert done["failed_at"] == clock.seconds
    assert (done["completed_at"], done["cancelled_at"], done["expires_at"]) == (None, None, None)
    assert (done["incomplete_details"], done["required_action"]) == (None, None)
    assert isinstance(done["usage"]["total_tokens"], int)
    api.post(f"/threads/{run.thread}/messages", {"role": "user", "content": "The lock is gone."})
    return done


def _run(api: Api) -> RunHandle:
    return api.run(api.thread("Which way?"), api.agent(tools=[function_tool("look")]))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_prompt"),
        (413, "invalid_prompt"),
        (422, "invalid_prompt"),
        (401, "server_error"),
        (403, "server_error"),
        (404, "server_error"),
        (418, "server_error"),
    ],
)
def test_a_refusal_that_a_retry_cannot_fix_fails_the_run_at_once(
    api: Api, model: ScriptedModel, clock: ManualClock, status: int, code: str
) -> None:
    model.fail(status, "It cannot be done.")
    run = _run(api)
    done = _failed(api, run, clock, code)
    assert "It cannot be done." in done["last_error"]["message"]
    assert (run.steps(), run.messages()) == ([], [])
    assert len(model.requests) == 1


RETRIED = (408, 409, 425, 429, 500, 502, 503, 504, 520, 529)


@pytest.mark.parametrize("status", RETRIED)
def test_what_a_retry_may_fix_is_tried_again_with_growing_pauses(
    api: Api, model: ScriptedModel, clock: ManualClock, status: int
) -> None:
    model.fail(status, "Come back later.", times=3)
    model.reply("Left.")
    run = _run(api)
    for pause in (250, 500, 1000):
        before = len(model.requests)
        clock.pass_retry(pause // 2, 3 * pause // 2)
        model.wait_for_requests(before + 1)
    run.wait("completed")
    assert len(model.requests) == 4
    keys = {request.headers["idempotency-key"] for request in model.requests}
    assert len(keys) == 1


@pytest.mark.parametrize("status", RETRIED)
def test_a_run_fails_when_the_time_for_retries_is_over(
    servers: Servers, model: ScriptedModel, status: int
) -> None:
    model.fail(status, "Come back later.")
    with servers.start(model_retry_for=0) as api:
        code = "rate_limit_exceeded" if status == 429 else "server_error"
        done = _failed(api, _run(api), servers.clock, code)
        assert "Come back later." in done["last_error"]["message"]
    assert len(model.requests) == 1


def test_a_run_completes_if_a_retry_succeeds(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.fail(503)
    model.reply("Left.")
    run = _run(api)
    clock.pass_retry(125, 375)
    run.wait("completed")
    assert [text(message) for message in run.messages()] == ["Left."]


def test_a_retry_waits_as_long_as_the_model_asks(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.fail(429, retry_after=4)
    run = _run(api)
    clock.advance_past_sleep(4_000)
    run.wait("completed")


def test_a_spent_quota_is_a_rate_limit_whatever_the_status(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.fail(403, "You exceeded your current quota, please check your plan.")
    _failed(api, _run(api), clock, "rate_limit_exceeded")


@pytest.mark.parametrize("retry_after", [b"soon", b"inf", b"-5", b"nan", b"Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_makes_no_sense_is_ignored(
    servers: Servers, model: ScriptedModel, retry_after: bytes
) -> None:
    failure = model.fail(429)
    failure.headers["retry-after"] = retry_after.decode()
    with servers.start() as api:
        run = _run(api)
        model.wait_for_requests(1)
        if retry_after in (b"soon", b"nan", b"inf"):
            servers.clock.pass_retry(125, 375)
        run.wait("completed")


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect API key provided: {MODEL_KEY}. You can find yours at https://vendor.example/keys.",
        "Incorrect API key provided: sk-proj-********************wxyz.",
        "connection to http://10.0.0.7:8000/v1/chat refused",
        "upstream 10.1.2.3:443 is down",
        "no model at localhost:11434",
        "http://model.internal/v1 says no",
        "dial tcp [::1]:11434: connect: connection refused",
    ],
)
def test_keys_and_addresses_never_reach_the_users(
    api: Api, model: ScriptedModel, clock: ManualClock, said: str
) -> None:
    model.fail(401, said)
    message = _failed(api, _run(api), clock, "server_error")["last_error"]["message"]
    assert not re.search(r"wxyz|10\.|internal|11434|::1|vendor\.example", message), message


def test_a_page_of_html_is_not_shown(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.fail(404, body="<html><body>nginx on node-7.cluster.local</body></html>")
    message = _failed(api, _run(api), clock, "server_error")["last_error"]["message"]
    assert message == "The model endpoint answered 404 with a web page. Is its URL right? See CLEW_MODEL_URL."


def test_a_cut_in_the_middle_keeps_what_was_said(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.cut(after="Go left and ")
    run = _run(api)
    done = _failed(api, run, clock, "server_error")
    (message,), (step,) = run.messages(), run.steps()
    assert (message["status"], text(message)) == ("incomplete", "Go left and ")
    assert message["incomplete_details"] == {"reason": "run_failed"}
    assert (message["incomplete_at"], message["completed_at"]) == (clock.seconds, None)
    assert (step["status"], step["failed_at"], step["completed_at"]) == ("failed", clock.seconds, None)
    assert step["last_error"] == done["last_error"]
    assert len(model.requests) == 1, "an answer that was begun was asked for again"


def test_a_cut_in_the_middle_of_a_call_fails_its_step(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.reply("Let me see.", call("look", {"at": "wall"}), CUT)
    run = _run(api)
    _failed(api, run, clock, "server_error")
    assert [(step["type"], step["status"]) for step in run.steps()] == [
        ("message_creation", "failed"),
        ("tool_calls", "failed"),
    ]


def test_an_error_in_the_middle_of_the_answer_fails_the_run(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    error = b'data: {"error": {"message": "out of memory at 10.0.0.7"}}\n\n'
    model.reply("Go ", Raw(error), "left.")
    run = _run(api)
    _failed(api, run, clock, "server_error")
    assert text(run.messages()[0]) == "Go "


@pytest.mark.parametrize("rubbish", [b"data: {not json}\n\n", b"data: " + b"[" * 100_000 + b"\n\n"])
def test_an_answer_that_cannot_be_read_is_asked_for_again_unless_it_was_begun(
    api: Api, model: ScriptedModel, clock: ManualClock, rubbish: bytes
) -> None:
    model.reply(Raw(rubbish), "unheard")
    model.reply("Go ", Raw(rubbish), "left.")
    run = _run(api)
    clock.pass_retry(125, 375)
    _failed(api, run, clock, "server_error")
    assert text(run.messages()[0]) == "Go "
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "oddity",
    [
        b"data: [1, 2]\n\n",
        b'data: {"choices": 5}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": "x"}}]}\n\n',
        b"data: \xff\xfe\n\n",
    ],
)
def test_what_an_answer_does_not_need_changes_nothing(api: Api, model: ScriptedModel, oddity: bytes) -> None:
    model.reply("Go ", Raw(oddity), "left.")
    run = _run(api)
    run.wait("completed")
    assert text(run.messages()[0]) == "Go left."


def test_a_page_instead_of_an_answer_fails_the_run(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.fail(200, body="<html>Please log in.</html>")
    _failed(api, _run(api), clock, "server_error")
    assert len(model.requests) == 1


def test_a_model_that_falls_silent_fails_the_run(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(model_timeout=0.2) as api:
        model.silence()
        silent = _run(api)
        _failed(api, silent, servers.clock, "server_error")
        held = model.hold("Go left and ")
        halting = _run(api)
        done = _failed(api, halting, servers.clock, "server_error")
        assert "0.2 seconds" in done["last_error"]["message"]
        assert text(halting.messages()[0]) == "Go left and "
        held.wait_ended()
        assert held.client_left


def test_a_model_that_cannot_be_reached_fails_the_run(servers: Servers) -> None:
    servers.model_url = "http://127.0.0.1:1/v1"
    with servers.start(model_retry_for=0) as api:
        done = _failed(api, _run(api), servers.clock, "server_error")
        assert "could not be reached" in done["last_error"]["message"]


def test_tokens_of_earlier_turns_stay_when_a_later_one_fails(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.reply(call("look"), usage=Usage(10, 20))
    model.fail(400)
    run = _run(api)
    run.answer_calls(lambda each: "a wall")
    assert _failed(api, run, clock, "invalid_prompt")["usage"]["total_tokens"] == 30


def test_a_tool_that_the_server_does_not_run_fails_the_run_and_says_so(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    tool = {"type": "openapi", "openapi": {"name": "weather"}}
    run = api.run(api.thread("Go."), api.agent(tools=[tool]))
    assert "openapi" in _failed(api, run, clock, "server_error")["last_error"]["message"]
    assert model.requests == []


def test_a_model_that_calls_for_ever_is_stopped(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.when(lambda request: True).call("clew_clock")
    run = api.run(api.thread("Go."), api.agent(tools=[{"type": "clew_clock"}]))
    _failed(api, run, clock, "server_error")
    assert len(model.requests) == 100


def test_a_model_that_calls_only_what_it_was_not_offered_is_stopped(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.when(lambda request: True).call('say "hello"')
    message = _failed(api, _run(api), clock, "server_error")["last_error"]["message"]
    assert "not offered" in message
    assert len(model.requests) == 3
