"""Why a run is where it is: what people are told in front of one that went wrong, for every ending."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.model.endpoint import Endpoint
from clew.testing.scripted_model import Reply, ScriptedModel, Usage, call
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server
from tests.support.servers import Servers
from tests.support.wait import until

LOOK, ASK = function_tool("look"), function_tool("ask")


@pytest.fixture
def clock(servers: Servers) -> ManualClock:
    return servers.clock


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    with servers.start() as api:
        yield api


def _explained(run: RunHandle) -> Json:
    return run.api.get(f"{run.path}/explanation")


def _codes(run: RunHandle) -> list[str]:
    return [finding["code"] for finding in _explained(run)["findings"]]


def _finding(run: RunHandle, code: str) -> Json:
    found: list[Json] = [each for each in _explained(run)["findings"] if each["code"] == code]
    assert len(found) == 1, _explained(run)
    return found[0]


def _first(run: RunHandle) -> Json:
    first: Json = _explained(run)["findings"][0]
    return first


def _run(api: Api, **fields: Any) -> RunHandle:
    return api.run(api.thread("Which way?"), api.agent(**fields))


# --- what is over -------------------------------------------------------------------------------------


def test_a_run_that_completed_says_where_its_messages_are(api: Api, model: ScriptedModel) -> None:
    model.reply("Left.")
    run = _run(api)
    run.wait("completed")
    told = _explained(run)
    assert (told["object"], told["run_id"], told["status"]) == ("thread.run.explanation", run.id, "completed")
    assert _codes(run) == ["completed", "messages_there"]
    assert run.messages()[0]["id"] in _finding(run, "messages_there")["says"]
    assert f"--run {run.id}" in _finding(run, "messages_there")["advice"]
    assert sum(each["ms"] for each in told["times"]) == told["total_ms"]


def test_a_message_that_was_deleted_is_missed(api: Api, model: ScriptedModel) -> None:
    model.reply("Left.")
    run = _run(api)
    run.wait("completed")
    (message,) = run.messages()
    api.delete(f"/threads/{run.thread}/messages/{message['id']}")
    assert message["id"] in _finding(run, "messages_deleted")["says"]
    assert "messages_there" not in _codes(run)


def test_a_model_that_said_nothing_left_an_empty_message(api: Api, model: ScriptedModel) -> None:
    model.reply("")
    run = _run(api)
    run.wait("completed")
    assert run.messages()[0]["id"] in _finding(run, "message_empty")["says"]


@pytest.mark.parametrize(
    ("status", "message", "code", "advice"),
    [
        (401, "Incorrect API key provided", "key_refused", "CLEW_MODEL_API_KEY"),
        (403, "no access to this model", "key_refused", "clew models try"),
        (404, "The model `scripted` does not exist", "model_unknown", "clew agents update"),
        (400, "prompt triggered the content management policy", "content_filter", "filter"),
        (400, "'temperature' must be at most 2", "request_refused", "clew models try"),
    ],
)
def test_a_run_that_failed_says_what_its_error_means(
    api: Api, model: ScriptedModel, status: int, message: str, code: str, advice: str
) -> None:
    model.fail(status, message=message)
    run = _run(api)
    error = run.wait("failed")["last_error"]
    assert (_first(run)["code"], error["message"] in _first(run)["says"]) == (code, True)
    assert advice in _first(run)["advice"]


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [(429, "slow down", "rate_limited"), (503, "no room", "endpoint_error")],
)
def test_a_model_that_would_not_answer_for_long_enough(
    servers: Servers, model: ScriptedModel, status: int, message: str, code: str
) -> None:
    with servers.start(model_retry_for=0) as api:
        model.fail(status, message=message)
        run = _run(api)
        run.wait("failed")
        assert _first(run)["code"] == code


def test_a_model_that_is_not_there(servers: Servers) -> None:
    nowhere = {"default": Endpoint(url="http://127.0.0.1:9/v1")}
    with servers.start(model_retry_for=0, endpoints=nowhere) as api:
        run = _run(api)
        run.wait("failed")
        assert _first(run)["code"] == "model_unreachable"
        assert "CLEW_MODEL_URL" in _first(run)["advice"]


def test_a_model_that_breaks_off_leaves_an_incomplete_message(api: Api, model: ScriptedModel) -> None:
    model.cut(after="Go left and ")
    run = _run(api)
    run.wait("failed")
    assert _codes(run)[0] == "broke_off"
    assert run.messages()[0]["id"] in _finding(run, "message_incomplete")["says"]


def test_tools_that_nobody_runs(api: Api) -> None:
    run = _run(api, tools=[{"type": "openapi", "openapi": {"name": "weather"}}])
    run.wait("failed")
    assert _first(run)["code"] == "tools_not_run"


def test_functions_that_a_model_makes_up(api: Api, model: ScriptedModel) -> None:
    for _ in range(3):
        model.call("lok")
    run = _run(api, tools=[LOOK])
    run.wait("failed")
    assert _codes(run)[:2] == ["functions_not_offered", "functions_made_up"]
    assert "lok" in _finding(run, "functions_made_up")["says"]


def test_an_answer_that_was_cut(api: Api, model: ScriptedModel) -> None:
    model.reply("One two", finish_reason="length")
    run = _run(api)
    run.wait("incomplete")
    assert _codes(run) == ["cut_by_length", "message_incomplete"]
    model.reply("No", finish_reason="content_filter")
    run = _run(api)
    run.wait("incomplete")
    assert _codes(run)[0] == "content_filter"


def test_budgets_that_are_used_up(api: Api, model: ScriptedModel) -> None:
    run = api.run(api.thread("word " * 400), api.agent(), max_prompt_tokens=256)
    run.wait("incomplete")
    assert "256" in _first(run)["says"]
    assert _first(run)["code"] == "prompt_budget"
    model.reply("so " * 300, finish_reason="length", usage=Usage(10, 300))
    run = api.run(api.thread("Tell."), api.agent(), max_completion_tokens=300)
    run.wait("incomplete")
    assert _first(run)["code"] == "completion_budget"


def test_what_expired_says_what_it_was_doing(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.call("look")
    run = _run(api, tools=[LOOK])
    (asked,) = run.wait_calls()
    clock.advance(600_000)
    run.wait("expired")
    assert _codes(run)[:2] == ["expired_waiting", "slow_client"]
    assert asked["id"] in _first(run)["says"]
    held = model.hold("Go left and ")
    run = _run(api)
    held.wait_paused()
    clock.advance(600_000)
    run.wait("expired")
    assert _first(run)["code"] == "expired_working"


def test_what_expired_before_it_began(servers: Servers, clock: ManualClock) -> None:
    with servers.start(works=False) as api:
        run = _run(api)
    clock.advance(600_000)
    with servers.start() as api:
        run.api = api
        run.wait("expired")
        assert _codes(run)[:2] == ["expired_in_queue", "slow_start"]


def test_a_run_that_was_cancelled(api: Api, model: ScriptedModel) -> None:
    model.call("look")
    run = _run(api, tools=[LOOK])
    run.wait_calls()
    run.cancel()
    run.wait("cancelled")
    assert "waited for its client" in _first(run)["says"]
    held = model.hold("Go left and ")
    run = _run(api)
    held.wait_paused()
    run.cancel()
    run.wait("cancelled")
    assert "at work" in _first(run)["says"]
    assert "is in the thread" in _first(run)["says"]


# --- what is not --------------------------------------------------------------------------------------


def test_a_run_that_nobody_will_take(servers: Servers, clock: ManualClock) -> None:
    with servers.start(works=False) as api:
        run = _run(api)
        clock.advance(5_000)
        assert _codes(run)[0] == "no_worker"
        assert "5.0 s" in _first(run)["says"]
        assert "clew worker" in _first(run)["advice"]


def test_a_run_that_waits_for_a_worker_with_room(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(max_active_runs=1) as api:
        held = model.hold("Go left.")
        first = _run(api)
        held.wait_paused()
        second = _run(api)
        assert _codes(second) == ["workers_busy"]
        assert _codes(first) == ["model_at_work", "messages_later"]
        held.release()
        second.wait("completed")


def test_a_run_beyond_its_projects_share(
    servers: Servers, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = servers.place
    monkeypatch.setenv("CLEW_DATABASE_URL", place if isinstance(place, str) else f"sqlite:///{place}")
    with Server(servers.place, model.url, clock=servers.clock, ids=CountingIds()) as server:
        assert CliRunner().invoke(cli, ["projects", "add", "alpha", "--runs", "1"]).exit_code == 0
        until(lambda: server.shares.of("alpha").runs == 1)
        with httpx2.Client(timeout=30) as client:
            api = Api(client, server.url, KEYS["alpha"])
            held = model.hold("Go left.")
            _run(api)
            held.wait_paused()
            second = _run(api)
            assert _codes(second) == ["share_used"]
            assert "as many runs at work as it may, 1 run," in _first(second)["says"]
            held.release()
            second.wait("completed")


def test_a_run_in_a_busy_threads_line(api: Api, model: ScriptedModel) -> None:
    model.call("look")
    first = _run(api, tools=[LOOK])
    first.wait_calls()
    queue = {"Clew-When-Busy": "queue"}
    path, agent = f"/threads/{first.thread}", first.created["assistant_id"]
    api.ok("POST", f"{path}/messages", {"role": "user", "content": "And then?"}, headers=queue)
    created = [
        RunHandle(api, api.ok("POST", f"{path}/runs", {"assistant_id": agent}, headers=queue))
        for _ in range(2)
    ]
    assert _codes(created[1]) == ["in_line", "messages_in_line"]
    assert (
        f"behind 1 other run: run {first.id} is active there (requires_action)" in _first(created[1])["says"]
    )
    assert f"clew runs explain {first.id}" in _first(created[1])["advice"]
    assert "messages_in_line" in _codes(first)
    first.cancel()


def test_calls_that_wait_for_their_outputs(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.calls(call("look"), call("ask"))
    run = _run(api, tools=[LOOK, ASK])
    look, ask = (each["id"] for each in run.wait_calls())
    clock.advance(60_000)
    told = _first(run)
    assert (told["code"], "expires in 9 min" in told["says"]) == ("waits_for_outputs", True)
    assert f"{look} (look), {ask} (ask)" in told["says"]
    assert f"clew runs submit {run.id} --output {look}=TEXT --output {ask}=TEXT" in told["advice"]


def test_a_submission_that_was_refused(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.calls(call("look"), call("ask"))
    run = _run(api, tools=[LOOK, ASK])
    look, ask = (each["id"] for each in run.wait_calls())
    outputs = [{"tool_call_id": each, "output": "x"} for each in (look, look, "call_of_yesterday")]
    api.refused(400, "POST", f"{run.path}/submit_tool_outputs", {"tool_outputs": outputs})
    clock.advance(2_000)
    assert _codes(run)[:2] == ["submission_refused", "waits_for_outputs"]
    says = _first(run)["says"]
    assert "refused 2.0 s ago" in says
    assert f"it lacks {ask}; it does not wait for call_of_yesterday; it had twice {look}." in says
    run.submit({look: "x", ask: "y"})
    run.wait("completed")
    assert "submission_refused" not in _codes(run)


def test_calls_that_wait_for_a_person(api: Api, model: ScriptedModel) -> None:
    model.call("clew_clock")
    run = _run(api, tools=[{"type": "clew_clock", "require_approval": "always"}])
    action = run.wait("requires_action")["required_action"]
    (asked,) = action["submit_tool_approval"]["tool_calls"]
    assert _first(run)["code"] == "waits_for_approval"
    assert f"--approve {asked['id']}" in _first(run)["advice"]
    run.cancel()


def test_a_model_that_is_away_is_waited_for(servers: Servers) -> None:
    nowhere = {"default": Endpoint(url="http://127.0.0.1:9/v1")}
    with servers.start(model_retry_for=600, endpoints=nowhere) as api:
        run = _run(api)
        until(lambda: "asks again in" in _first(run)["says"])
        told = _first(run)
        assert (told["code"], "The endpoint default can't be reached" in told["says"]) == ("model_away", True)
        run.cancel()
        run.wait("cancelled")


def test_a_run_that_was_taken_over(servers: Servers, model: ScriptedModel) -> None:
    held = model.hold("Go left and ")
    with servers.start() as api:
        run = _run(api)
        held.wait_paused()
    with servers.start() as api:
        run.api = api
        held.release()
        run.wait("completed")
        assert _codes(run)[:2] == ["completed", "taken_over"]


def test_where_the_time_went(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.call("look")
    held: Reply = model.hold("Go ", "left.")
    run = _run(api, tools=[LOOK])
    (asked,) = run.wait_calls()
    clock.advance(30_000)
    run.submit({asked["id"]: "A fork."})
    with api.stream("GET", f"{run.path}/events") as frames:
        next(frame for frame in frames if frame.event == "thread.message.delta")
    clock.advance(8_000)
    held.release()
    run.wait("completed")
    times = {each["code"]: each["ms"] for each in _explained(run)["times"]}
    assert times == {"client": 30_000, "answer": 8_000}
    assert _explained(run)["total_ms"] == 38_000
    assert _codes(run)[:2] == ["completed", "slow_client"]
