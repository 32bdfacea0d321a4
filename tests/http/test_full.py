"""A server that works on as many runs as it may: further ones wait in line, and can be ended there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from clew.http.endpoint import _FULL_PAUSE
from clew.testing.scripted_model import Reply, ScriptedModel
from tests.support.api import Api, RunHandle, error_of, function_tool
from tests.support.servers import Servers

LOOK = function_tool("look")


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    """A server that works on one run at a time."""
    with servers.start(max_active_runs=1) as api:
        yield api


@pytest.fixture
def held(model: ScriptedModel) -> Reply:
    return model.hold("Wait")


@pytest.fixture
def working(api: Api, held: Reply) -> RunHandle:
    run = api.run(api.thread("first"), api.agent())
    held.wait_paused()
    return run


def _next(api: Api, working: RunHandle, text: str) -> RunHandle:
    return api.run(api.thread(text), working.created["assistant_id"])


def test_runs_wait_in_line_and_start_in_order(
    api: Api, model: ScriptedModel, working: RunHandle, held: Reply
) -> None:
    waiting = [_next(api, working, str(number)) for number in range(5)]
    assert [run.now()["status"] for run in waiting] == ["queued"] * 5
    held.release()
    for run in waiting:
        run.wait("completed")
    assert [request.last_user_text for request in model.requests] == ["first", *"01234"]


def test_a_run_in_line_is_cancelled_at_once(
    api: Api, model: ScriptedModel, working: RunHandle, held: Reply
) -> None:
    run = _next(api, working, "never mind")
    assert run.cancel()["status"] == "cancelling"
    done = run.wait("cancelled")
    assert (done["started_at"], done["usage"]["total_tokens"]) == (None, 0)
    assert working.now()["status"] == "in_progress"
    held.release()
    working.wait("completed")
    _next(api, working, "last").wait("completed")
    assert [request.last_user_text for request in model.requests] == ["first", "last"]


def test_a_run_in_line_expires_in_time(
    api: Api, model: ScriptedModel, servers: Servers, working: RunHandle
) -> None:
    runs = [working, _next(api, working, "too late")]
    servers.clock.advance(600_000)
    for run in runs:
        run.wait("expired")
    assert len(model.requests) == 1


def test_outputs_wait_in_line_too(api: Api, model: ScriptedModel) -> None:
    model.call("look")
    parked = api.run(api.thread("first"), api.agent(tools=[LOOK]))
    calls = parked.wait_calls()
    held = model.hold("Wait")
    working = api.run(api.thread("second"), parked.created["assistant_id"])
    held.wait_paused()
    assert parked.submit({calls[0]["id"]: "a wall"})["status"] == "queued"
    assert parked.now()["status"] == "queued"
    held.release()
    parked.wait("completed")
    working.wait("completed")


def test_a_run_that_waits_for_a_client_takes_nobodys_place(api: Api, model: ScriptedModel) -> None:
    model.call("look")
    agent = api.agent(tools=[LOOK])
    api.run(api.thread("parked"), agent).wait_calls()
    api.run(api.thread("another"), agent).wait("completed")


@pytest.fixture
def short_line(servers: Servers) -> Iterator[Api]:
    """A server that works on one run at a time, and lets two more wait."""
    with servers.start(max_active_runs=1, max_waiting_runs=2) as api:
        yield api


def test_while_the_line_is_full_new_runs_are_held_back_then_refused(
    short_line: Api, servers: Servers, model: ScriptedModel, held: Reply
) -> None:
    agent = short_line.agent()
    accepted = [short_line.run(short_line.thread(str(number)), agent) for number in range(3)]
    thread = short_line.thread("one too many")
    with ThreadPoolExecutor(1) as beside:
        for path, body in (
            (f"/threads/{thread}/runs", {"assistant_id": agent}),
            ("/threads/runs", {"assistant_id": agent}),
            ("/threads/runs", {"assistant_id": agent, "stream": True}),
        ):
            sending = beside.submit(short_line.send, "POST", path, body)
            servers.clock.advance_past_sleep(_FULL_PAUSE)
            response = sending.result(10)
            assert response.headers["retry-after"] == "1"
            error = error_of(response, 429)
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    held.wait_paused()
    held.release()
    for run in accepted:
        run.wait("completed")
    short_line.run(thread, agent).wait("completed")


def test_who_is_held_back_until_there_is_room_is_not_refused(
    short_line: Api, servers: Servers, model: ScriptedModel, held: Reply
) -> None:
    agent = short_line.agent()
    accepted = [short_line.run(short_line.thread(str(number)), agent) for number in range(3)]
    body = {"assistant_id": agent, "thread": {"messages": [{"role": "user", "content": "patient"}]}}
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(short_line.post, "/threads/runs", body)
        servers.clock.wait_for_sleep(_FULL_PAUSE)
        held.wait_paused()
        held.release()
        for run in accepted:
            run.wait("completed")
        servers.clock.advance(_FULL_PAUSE)
        RunHandle(short_line, sending.result(10)).wait("completed")
    assert model.requests[-1].last_user_text == "patient"
