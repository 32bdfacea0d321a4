"""Rules of function tools that need two runs, or a model that mixes what it says."""

import httpx2

from clew.testing.scripted_model import Refusal, ScriptedModel, call
from tests.support.api import Api, Json, function_tool
from tests.support.server import Server

LOOK = function_tool("look")


def test_ids_that_a_model_repeats_are_told_apart_over_the_runs_of_a_thread(
    api: Api, model: ScriptedModel
) -> None:
    thread, agent = api.thread("Go."), api.agent(tools=[LOOK])
    ids: list[str] = []
    for _ in range(2):
        model.reply(call("look", id="call_same"))
        model.reply("A wall.")
        run = api.run(thread, agent)
        ids += [each["id"] for each in run.wait_calls()]
        run.answer_calls(lambda each: "a wall")
        run.wait("completed")
    assert len(set(ids)) == 2


def test_a_refusal_before_the_calls_is_a_message_like_any_other(
    api: Api, model: ScriptedModel, http: httpx2.Client, server: Server
) -> None:
    model.reply(Refusal("I won't guess."), call("look"))
    model.reply("A wall.")
    agent, thread = api.agent(tools=[LOOK]), api.thread("What is there?")
    body = {"assistant_id": agent, "stream": True}
    told = api.send("POST", f"/threads/{thread}/runs", body).text
    for name in ("message.created", "message.completed", "run.step.created", "run.requires_action"):
        assert f"event: thread.{name}\n" in told, name
    assert told.count("thread.run.step.created") == 2
    (created,) = api.get(f"/threads/{thread}/runs")["data"]
    run = api.get(f"/threads/{thread}/runs/{created['id']}")
    asked = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {"tool_outputs": [{"tool_call_id": each["id"], "output": "a wall"} for each in asked]}
    api.post(f"/threads/{thread}/runs/{created['id']}/submit_tool_outputs", outputs)
    done = api.get(f"/threads/{thread}/runs/{created['id']}", wait=30)
    assert done["status"] == "completed"
    said = api.get(f"/threads/{thread}/messages", run_id=created["id"], order="asc")["data"]
    assert said[0]["content"] == [{"type": "refusal", "refusal": "I won't guess."}]
    steps = api.get(f"/threads/{thread}/runs/{created['id']}/steps", order="asc")["data"]
    assert [step["type"] for step in steps] == ["message_creation", "tool_calls", "message_creation"]
    assert done["usage"]["total_tokens"] == sum(step["usage"]["total_tokens"] for step in steps)
    told_back: Json = model.requests[1].messages[1]
    assert (told_back["role"], told_back["content"]) == ("assistant", "I won't guess.")


def test_a_tool_reaches_the_model_as_it_was_declared(api: Api, model: ScriptedModel) -> None:
    parameters = {
        "type": "object",
        "properties": {
            "city": {"type": ["string", "null"], "description": "A city."},
            "days": {"type": "array"},
            "unit": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"x": {}},
    }
    function = {"name": "forecast", "description": "The weather.", "parameters": parameters, "strict": True}
    tools = [{"type": "function", "function": function}, {"type": "function", "function": {"name": "bare"}}]
    agent = api.agent(tools=tools)
    assert api.get(f"/assistants/{agent}")["tools"] == tools
    done = api.run(api.thread("Rain?"), agent).wait("completed")
    assert done["tools"] == tools
    told, bare = model.requests[0].body["tools"]
    assert told == tools[0]
    empty = {"type": "object", "properties": {}}
    assert bare == {"type": "function", "function": {"name": "bare", "parameters": empty}}
