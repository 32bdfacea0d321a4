"""Expiry: a run that is not over when its time is becomes expired, whatever it was doing.

Source: OpenAI's guide "How Assistants work", section "Run lifecycle": runs expire ten minutes after
creation.
"""

from collections.abc import Iterator

import pytest

from clew.testing.scripted_model import Reply, ScriptedModel, Usage, call
from tests.support.api import Api, RunHandle, function_tool, text
from tests.support.clock import ManualClock
from tests.support.servers import Servers

EXPIRY = 600_000
LOOK = function_tool("look")


@pytest.fixture
def clock(servers: Servers) -> ManualClock:
    return servers.clock


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    with servers.start() as api:
        yield api


@pytest.fixture
def held(model: ScriptedModel) -> Reply:
    return model.hold("Go left and ")


@pytest.fixture
def working(api: Api, held: Reply) -> RunHandle:
    run = api.run(api.thread("Which way?"), api.agent())
    held.wait_paused()
    return run


@pytest.fixture
def waiting(api: Api, model: ScriptedModel) -> RunHandle:
    model.reply("Let me see.", call("look"), usage=Usage(5, 6))
    run = api.run(api.thread("Which way?"), api.agent(tools=[LOOK]))
    run.wait_calls()
    return run


def test_a_run_expires_in_the_middle_of_an_answer(
    working: RunHandle, held: Reply, clock: ManualClock
) -> None:
    clock.advance(EXPIRY)
    done = working.wait("expired")
    assert (done["completed_at"], done["failed_at"], done["cancelled_at"]) == (None, None, None)
    assert (done["expires_at"], done["last_error"], done["incomplete_details"]) == (None, None, None)
    assert done["usage"]["total_tokens"] >= 0
    (message,), (step,) = working.messages(), working.steps()
    assert (message["status"], text(message)) == ("incomplete", "Go left and ")
    assert message["incomplete_details"] == {"reason": "run_expired"}
    assert message["incomplete_at"] == clock.seconds
    assert (step["status"], step["expired_at"], step["completed_at"]) == ("expired", clock.seconds, None)
    held.wait_ended()
    assert held.client_left, "the model was left talking"


def test_a_run_has_its_whole_time(working: RunHandle, held: Reply, clock: ManualClock) -> None:
    clock.advance(EXPIRY - 1)
    held.release()
    assert working.wait("completed")["completed_at"] == clock.seconds


def test_a_run_that_waits_for_outputs_expires(api: Api, waiting: RunHandle, clock: ManualClock) -> None:
    (asked,) = waiting.wait_calls()
    clock.advance(EXPIRY)
    done = waiting.wait("expired")
    assert (done["required_action"], done["usage"]["total_tokens"]) == (None, 11)
    said, called = waiting.steps()
    assert (said["status"], called["status"], called["expired_at"]) == ("completed", "expired", clock.seconds)
    assert called["expires_at"] == called["expired_at"], "Azure's clients read the other name"
    outputs = {"tool_outputs": [{"tool_call_id": asked["id"], "output": "late"}]}
    error = api.refused(400, "POST", f"{waiting.path}/submit_tool_outputs", outputs)
    assert error["message"] == 'Runs in status "expired" do not accept tool outputs.'
    error = api.refused(400, "POST", f"{waiting.path}/cancel")
    assert error["message"] == "Cannot cancel run with status 'expired'."


def test_submitting_outputs_does_not_extend_the_time(
    waiting: RunHandle, model: ScriptedModel, clock: ManualClock
) -> None:
    held = model.hold("Go")
    clock.advance(EXPIRY - 1000)
    answer = waiting.answer_calls(lambda each: "a wall")
    assert answer["expires_at"] == waiting.created["expires_at"]
    held.wait_paused()
    clock.advance(1000)
    waiting.wait("expired")


def test_an_expired_run_frees_its_thread(api: Api, working: RunHandle, clock: ManualClock) -> None:
    clock.advance(EXPIRY)
    working.wait("expired")
    api.post(f"/threads/{working.thread}/messages", {"role": "user", "content": "Well?"})
    api.run(working.thread, working.created["assistant_id"]).wait("completed")


def test_the_time_is_a_setting(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(run_expiry=7_200_000) as api:
        held = model.hold("Go")
        run = api.run(api.thread("Which way?"), api.agent())
        assert run.created["expires_at"] == run.created["created_at"] + 7200
        held.wait_paused()
        servers.clock.advance(7_199_999)
        assert run.now()["status"] == "in_progress"
        servers.clock.advance(1)
        run.wait("expired")


def test_a_run_with_a_short_time_is_found_among_others_in_time(
    servers: Servers, model: ScriptedModel
) -> None:
    """The sweep looks every few seconds; what is due earlier must not wait for that."""
    with servers.start(run_expiry=1_000) as api:
        held = [model.hold("Go"), model.hold("Go")]
        for each in held:
            run = api.run(api.thread("Which way?"), api.agent())
            each.wait_paused()
            servers.clock.advance(1_000)
            run.wait("expired")


def test_a_run_expires_that_was_in_progress_when_the_server_stopped(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start() as api:
        held = model.hold("Go")
        run = api.run(api.thread("Which way?"), api.agent())
        held.wait_paused()
    servers.clock.advance(EXPIRY)
    with servers.start() as api:
        assert RunHandle(api, run.created).wait("expired")["started_at"] is not None
        assert len(model.requests) == 1, "a run that is out of time has asked the model again"


def test_a_run_expires_that_waited_for_outputs_when_the_server_stopped(
    servers: Servers, model: ScriptedModel
) -> None:
    model.call("look")
    with servers.start() as api:
        run = api.run(api.thread("Which way?"), api.agent(tools=[LOOK]))
        run.wait_calls()
    servers.clock.advance(EXPIRY)
    with servers.start() as api:
        again = RunHandle(api, run.created)
        again.wait("expired")
        assert again.steps()[0]["status"] == "expired"


def test_a_run_expires_that_nobody_ever_took(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(works=False) as api:
        run = api.run(api.thread("Which way?"), api.agent())
    servers.clock.advance(EXPIRY)
    with servers.start() as api:
        done = RunHandle(api, run.created).wait("expired")
        assert (done["started_at"], done["usage"]["total_tokens"]) == (None, 0)
    assert model.requests == []


def test_what_is_out_of_time_but_not_yet_swept_answers_as_expired(
    servers: Servers, model: ScriptedModel
) -> None:
    model.call("look")
    with servers.start() as api:
        run = api.run(api.thread("Which way?"), api.agent(tools=[LOOK]))
        (asked,) = run.wait_calls()
    servers.clock.advance(EXPIRY)
    with servers.start(works=False) as api:
        outputs = {"tool_outputs": [{"tool_call_id": asked["id"], "output": "late"}]}
        error = api.refused(400, "POST", f"{run.path}/submit_tool_outputs", outputs)
        assert error["message"] == 'Runs in status "expired" do not accept tool outputs.'
        error = api.refused(400, "POST", f"{run.path}/cancel")
        assert error["message"] == "Cannot cancel run with status 'expired'."
        assert api.delete(f"/threads/{run.thread}")["deleted"] is True
        api.refused(404, "GET", run.path)
