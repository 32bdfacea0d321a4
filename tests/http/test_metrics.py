"""GET /metrics/summary: exact numbers over runs that ended, of one project, within a time."""

from collections.abc import Iterator

import pytest

from clew.testing.scripted_model import Gate, ScriptedModel, Usage, call
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.server import KEYS
from tests.support.servers import Servers

LOOK = function_tool("look")


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    """A server of the test's own, so that it has counted nothing yet."""
    with servers.start() as api:
        yield api


@pytest.fixture
def clock(servers: Servers) -> ManualClock:
    return servers.clock


def _took(api: Api, model: ScriptedModel, clock: ManualClock, ms: int, usage: Usage) -> RunHandle:
    """Make a run that takes so many milliseconds, half of them before its first word."""
    first, second = Gate(), Gate()
    model.reply(first, "One ", second, "two.", usage=usage)
    run = api.run(api.thread("Count."), api.agent(model="small"))
    with api.stream("GET", f"{run.path}/events") as told:
        first.wait_reached()
        clock.advance(ms // 2)
        first.release()
        next(frame for frame in told if frame.event == "thread.message.delta")
        clock.advance(ms - ms // 2)
        second.release()
    run.wait("completed")
    return run


def test_nothing_has_been_counted_yet(api: Api, clock: ManualClock) -> None:
    assert api.get("/metrics/summary") == {
        "object": "metrics.summary",
        "since": clock.seconds - 24 * 3600,
        "until": clock.seconds,
        "runs": 0,
        "statuses": {},
        "error_rate": 0.0,
        "codes": {},
        "queue": None,
        "first_token": None,
        "total": None,
        "models": {},
        "tools": {},
        "resolution": "milliseconds",
    }


def test_times_and_tokens_are_counted_exactly(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    for ms, tokens in ((100, 10), (200, 20), (1000, 70)):
        _took(api, model, clock, ms, Usage(tokens, 1))
    summary = api.get("/metrics/summary")
    assert (summary["runs"], summary["statuses"], summary["error_rate"]) == (3, {"completed": 3}, 0.0)
    spread = {"count": 3, "mean": pytest.approx(1.3 / 3), "p50": 0.2, "p90": 1.0, "p99": 1.0, "max": 1.0}
    assert summary["total"] == spread
    assert (summary["first_token"]["p50"], summary["first_token"]["max"]) == (0.1, 0.5)
    assert summary["queue"]["max"] == 0.0
    small = summary["models"]["small"]
    assert (small["runs"], small["prompt_tokens"], small["completion_tokens"]) == (3, 100, 3)
    assert (small["tokens_per_run"]["p50"], small["tokens_per_run"]["max"]) == (21, 71)


def test_what_did_not_complete_is_counted_by_its_reason(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    agent = api.agent(tools=[LOOK])
    model.fail(400)
    api.run(api.thread("1"), agent).wait("failed")
    model.reply("Go ", finish_reason="length")
    api.run(api.thread("2"), agent).wait("incomplete")
    model.call("look")
    parked = api.run(api.thread("3"), agent)
    parked.wait_calls()
    parked.cancel()
    parked.wait("cancelled")
    model.call("look")
    late = api.run(api.thread("4"), agent, expires_in=5)
    late.wait_calls()
    clock.advance(5000)
    late.wait("expired")
    model.call("look")
    api.run(api.thread("5"), agent).wait_calls()
    api.run(api.thread("6"), agent).wait("completed")
    summary = api.get("/metrics/summary")
    assert summary["statuses"] == {
        "failed": 1,
        "incomplete": 1,
        "cancelled": 1,
        "expired": 1,
        "completed": 1,
        "requires_action": 1,
    }
    assert summary["codes"] == {
        "invalid_prompt": 1,
        "max_completion_tokens": 1,
        "cancelled": 1,
        "expired": 1,
    }
    assert (summary["runs"], summary["error_rate"]) == (5, 0.8)


def test_tools_are_counted_with_their_outcomes_and_times(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    agent = api.agent(tools=[LOOK, function_tool("listen")])
    for ms, output in ((300, "a wall"), (500, '{"error": "It is dark."}')):
        model.reply(call("look"), call("listen"))
        run = api.run(api.thread("What is there?"), agent)
        calls = run.wait_calls()
        clock.advance(ms)
        run.submit({each["id"]: output if each["function"]["name"] == "look" else "ok" for each in calls})
        run.wait("completed")
    tools = api.get("/metrics/summary")["tools"]
    assert (tools["look"]["calls"], tools["look"]["outcomes"]) == (2, {"ok": 1, "failed": 1})
    assert (tools["look"]["error_rate"], tools["listen"]["error_rate"]) == (0.5, 0.0)
    assert (tools["look"]["seconds"]["p50"], tools["look"]["seconds"]["max"]) == (0.3, 0.5)


def test_only_what_ended_within_the_time_counts(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    ends = []
    for _ in range(3):
        api.run(api.thread("Hi"), api.agent()).wait("completed")
        ends.append(clock.seconds)
        clock.advance(3600_000)

    def counted(**when: int) -> int:
        return int(api.get("/metrics/summary", **when)["runs"])

    assert counted() == 3
    assert counted(since=ends[1]) == 2
    assert counted(since=ends[1] + 1) == 1
    assert counted(since=0, until=ends[1]) == 2
    assert counted(since=0, until=ends[1] - 1) == 1
    clock.advance(22 * 3600_000 + 1000)
    assert counted() == 1


def test_another_projects_runs_do_not_count(api: Api, servers: Servers, model: ScriptedModel) -> None:
    api.run(api.thread("Hi"), api.agent()).wait("completed")
    other = Api(api._client, api.url, KEYS["beta"])
    assert other.get("/metrics/summary")["runs"] == 0
    assert api.get("/metrics/summary")["runs"] == 1


def test_a_deleted_threads_runs_count_no_more(api: Api, model: ScriptedModel) -> None:
    run = api.run(api.thread("Hi"), api.agent())
    run.wait("completed")
    api.delete(f"/threads/{run.thread}")
    assert api.get("/metrics/summary")["runs"] == 0


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"since": "-1"}, {"until": "1.5"}])
def test_a_time_that_is_none_is_refused(api: Api, query: Json) -> None:
    error = api.refused(400, "GET", "/metrics/summary", query=query)
    assert error["param"] in query
