"""Several models on one server: their names, what is known of them, what they cost, and one that is away."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from clew.model.endpoint import Endpoint, Prices
from clew.testing.scripted_model import Raw, ScriptedModel, Usage, call
from tests.support.api import Api, RunHandle, function_tool, text
from tests.support.server import MODEL_KEY
from tests.support.servers import Servers
from tests.support.wait import until

RUNS = 1_000


def _endpoint(model: ScriptedModel, **more: Any) -> Endpoint:
    return Endpoint(url=model.url, key=MODEL_KEY, **more)


def _frame(**delta: Any) -> Raw:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return Raw(b"data: " + msgspec.json.encode(body) + b"\n\n")


def test_names_are_known_before_anything_is_asked(servers: Servers, model: ScriptedModel) -> None:
    endpoints = {
        "small": _endpoint(model, name="llama-8b", context_tokens=8192, vision=False),
        "large": _endpoint(model, tools=True, reasoning=True),
    }
    with servers.start(endpoints=endpoints) as api:
        listed = {each["id"]: each for each in api.get("/models")["data"]}
        assert set(listed) == {"small", "large"}
        assert (listed["small"]["context_tokens"], listed["small"]["vision"]) == (8192, False)
        assert (listed["large"]["tools"], listed["large"]["reasoning"]) == (True, True)
        assert "context_tokens" not in listed["large"]
        error = api.refused(400, "POST", "/assistants", {"model": "gpt-9"})
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "small, large" in error["message"]
        agent = api.agent(model="small")
        api.refused(400, "POST", f"/assistants/{agent}", {"model": "gpt-9"})
        thread = api.thread("Go.")
        body = {"assistant_id": agent, "model": "gpt-9"}
        assert api.refused(400, "POST", f"/threads/{thread}/runs", body)["code"] == "model_not_found"
        api.run(thread, agent).wait("completed")
        assert model.requests[0].model == "llama-8b"


def test_what_the_default_lists_itself_is_listed_too(servers: Servers) -> None:
    with (
        ScriptedModel(models=("a/b", "c")) as model,
        servers.start(endpoints={"default": Endpoint(url=model.url)}) as api,
    ):
        assert [each["id"] for each in api.get("/models")["data"]] == ["a/b", "c"]
        assert api.get("/models/a/b")["id"] == "a/b"
        api.refused(404, "GET", "/models/d")


def test_what_runs_cost_is_counted(servers: Servers, model: ScriptedModel) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    usage["completion_tokens_details"] = {"reasoning_tokens": 60}
    counted = Raw(b"data: " + msgspec.json.encode({"choices": [], "usage": usage}) + b"\n\n")
    endpoints = {
        "priced": _endpoint(model, prices=Prices(prompt=2, completion=8, cached=0.5)),
        "free": _endpoint(model),
    }
    with servers.start(endpoints=endpoints) as api:
        model.reply("Left.", counted, usage_at="never")
        api.run(api.thread("Go."), api.agent(model="priced")).wait("completed")
        model.reply("Left.", usage=Usage(1, 1))
        api.run(api.thread("Go."), api.agent(model="free")).wait("completed")
        models = api.get("/metrics/summary")["models"]
        assert models["priced"]["cost"] == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)
        assert models["priced"]["reasoning_tokens"] == 60
        assert models["free"]["cost"] is None


def test_reasoning_is_in_a_step_for_those_who_ask_and_in_no_message(
    servers: Servers, model: ScriptedModel
) -> None:
    tool = function_tool("look")
    with servers.start(endpoints={"m": _endpoint(model, think="hide")}) as api:
        model.reply(_frame(reasoning_content="First, "), _frame(reasoning_content="look."), call("look"))
        model.reply("<think>So it is.</think>Left.")
        run = api.run(api.thread("Go."), api.agent(model="m", tools=[tool]))
        run.answer_calls(lambda _: "a wall")
        run.wait("completed")
        assert [text(message) for message in run.messages()] == ["Left."]
        path = f"{run.path}/steps"
        plain = api.get(path, order="asc")["data"]
        assert all("reasoning" not in step["step_details"] for step in plain)
        asked = api.get(path, order="asc", **{"include[]": "step_details.reasoning"})["data"]
        assert [step["step_details"]["reasoning"] for step in asked] == ["First, look.", "So it is."]
        one = api.get(f"{path}/{plain[0]['id']}", **{"include[]": "step_details.reasoning"})
        assert one["step_details"]["reasoning"] == "First, look."


@contextmanager
def _never_answering() -> Iterator[str]:
    """Give the URL of a port whose queue of connections is full: who connects waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for each in waiting:
                each.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("dead", ["refusing", "silent"])
def test_a_dead_endpoint_costs_nobody_else(servers: Servers, model: ScriptedModel, dead: str) -> None:
    with _never_answering() as silent:
        url = silent if dead == "silent" else "http://127.0.0.1:1/v1"
        endpoints = {"dead": Endpoint(url=url), "alive": _endpoint(model)}
        with servers.start(endpoints=endpoints, max_active_runs=20, max_waiting_runs=RUNS + 100) as api:
            lost, well = api.agent(model="dead"), api.agent(model="alive")
            runs = [api.run(api.thread("Go."), lost) for _ in range(RUNS)]
            until(lambda: _all_at_work(servers, api, runs), 120)
            for _ in range(30):
                api.run(api.thread("Go."), well).wait("completed")
            assert {api.get(run.path)["status"] for run in runs[::50]} == {"in_progress"}
            for run in runs[::50]:
                run.cancel()
                run.wait("cancelled")


def _all_at_work(servers: Servers, api: Api, runs: list[RunHandle]) -> bool:
    """Let the pauses pass that a run makes while it still holds its place; say whether all have begun."""
    if short := [asked for asked in servers.clock.asked if asked <= 500]:
        servers.clock.advance(min(short))
    return all(api.get(run.path)["status"] == "in_progress" for run in runs[::100])
