"""The objects as clients see them: every key is there, also those that are null, with its default.

Source: OpenAI's published API schema (Assistants v2), and azure-ai-agents 1.1.0 for the keys it adds.
"""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel, Usage
from tests.support.api import Api, function_tool
from tests.support.clock import ManualClock


def test_an_agent_with_nothing_but_a_model_has_the_defaults(api: Api, clock: ManualClock) -> None:
    agent = api.post("/assistants", {"model": "scripted"})
    assert agent.pop("id").startswith("asst_")
    assert agent == {
        "object": "assistant",
        "created_at": clock.seconds,
        "name": None,
        "description": None,
        "model": "scripted",
        "instructions": None,
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "response_format": "auto",
        "reasoning_effort": None,
    }


def test_an_agent_shows_all_that_it_was_given_unchanged(api: Api) -> None:
    given: dict[str, Any] = {
        "model": "vendor/large",
        "name": "Ariadne",
        "description": "Knows the way out.",
        "instructions": "Hold the thread.\n\tNever let go. 🧶",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "turn_left",
                    "description": "Turn.",
                    "parameters": {"type": "object", "x-own": [1, None, {"deep": 1.5}]},
                    "strict": True,
                },
            },
            {"type": "file_search", "file_search": {"max_num_results": 5}},
            {"type": "code_interpreter"},
        ],
        "metadata": {"who": "Theseus"},
        "temperature": 0.0,
        "top_p": 0.0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "way", "schema": {"a": None}}},
        "reasoning_effort": "low",
    }
    agent = api.post("/assistants", given)
    assert {key: agent[key] for key in given} == given
    assert api.get(f"/assistants/{agent['id']}") == agent


def test_a_thread_has_the_defaults(api: Api, clock: ManualClock) -> None:
    thread = api.post("/threads", {})
    assert thread.pop("id").startswith("thread_")
    defaults: dict[str, Any] = {"metadata": {}, "tool_resources": {}, "token_budget": None, "tokens_used": 0}
    assert thread == {"object": "thread", "created_at": clock.seconds, **defaults}


def test_a_thread_is_created_by_a_post_without_a_body(api: Api) -> None:
    thread = api.ok("POST", "/threads", content=b"")
    assert api.get(f"/threads/{thread['id']}/messages")["data"] == []


def test_a_message_of_a_client_is_completed_and_of_no_run(api: Api, clock: ManualClock) -> None:
    thread = api.thread()
    message = api.post(f"/threads/{thread}/messages", {"role": "user", "content": "Where am I?"})
    assert message.pop("id").startswith("msg_")
    assert message == {
        "object": "thread.message",
        "created_at": clock.seconds,
        "thread_id": thread,
        "status": "completed",
        "incomplete_details": None,
        "completed_at": clock.seconds,
        "incomplete_at": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Where am I?", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": {},
    }


def test_a_run_is_created_queued_with_the_values_in_force(api: Api, clock: ManualClock) -> None:
    tool = function_tool("turn")
    agent = api.agent(instructions="Hold on.", tools=[tool], temperature=0.5, metadata={"not": "the run's"})
    run = api.run(api.thread("Go."), agent)
    created = dict(run.created)
    assert created.pop("id").startswith("run_")
    assert created == {
        "object": "thread.run",
        "created_at": clock.seconds,
        "assistant_id": agent,
        "thread_id": run.thread,
        "status": "queued",
        "started_at": None,
        "expires_at": clock.seconds + 600,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "required_action": None,
        "last_error": None,
        "incomplete_details": None,
        "model": "scripted",
        "instructions": "Hold on.",
        "tools": [tool],
        "tool_resources": {},
        "metadata": {},
        "temperature": 0.5,
        "top_p": 1.0,
        "max_completion_tokens": None,
        "max_prompt_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "response_format": "auto",
        "reasoning_effort": None,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "usage": None,
    }
    run.wait("completed")


def test_a_message_step_points_to_its_message(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.reply("Left.", usage=Usage(7, 2))
    run = api.run(api.thread("Left or right?"), api.agent())
    run.wait("completed")
    (step,), (message,) = run.steps(), run.messages()
    assert step.pop("id").startswith("step_")
    assert step == {
        "object": "thread.run.step",
        "created_at": clock.seconds,
        "run_id": run.id,
        "assistant_id": run.created["assistant_id"],
        "thread_id": run.thread,
        "type": "message_creation",
        "status": "completed",
        "cancelled_at": None,
        "completed_at": clock.seconds,
        "expired_at": None,
        "expires_at": None,
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "message_creation", "message_creation": {"message_id": message["id"]}},
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 2,
            "total_tokens": 9,
            "prompt_token_details": {"cached_tokens": 0},
        },
        "metadata": {},
    }


def test_a_message_of_a_run_names_its_run_and_agent(api: Api, clock: ManualClock) -> None:
    run = api.run(api.thread("Hello?"), api.agent())
    run.wait("completed")
    (message,) = run.messages()
    assert (message["role"], message["status"]) == ("assistant", "completed")
    assert (message["run_id"], message["assistant_id"]) == (run.id, run.created["assistant_id"])
    assert message["completed_at"] == clock.seconds
    assert message["content"] == [{"type": "text", "text": {"value": "You said: Hello?", "annotations": []}}]


def test_the_models_that_the_server_knows_are_listed(api: Api) -> None:
    page = api.get("/models")
    assert page["object"] == "list"
    assert [each["id"] for each in page["data"]] == ["scripted", "vendor/large"]
    assert api.get("/models/vendor/large") == page["data"][1]
    assert set(page["data"][0]) == {"id", "object", "created", "owned_by"}
    error = api.refused(404, "GET", "/models/unheard-of")
    assert error["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("assistants", "assistant.deleted"), ("threads", "thread.deleted")],
)
def test_deleting_says_what_was_deleted_and_twice_is_404(api: Api, kind: str, expected: str) -> None:
    made = api.post(f"/{kind}", {"model": "scripted"} if kind == "assistants" else {})
    path = f"/{kind}/{made['id']}"
    assert api.delete(path) == {"id": made["id"], "object": expected, "deleted": True}
    for method in ("DELETE", "GET", "POST"):
        api.refused(404, method, path, {} if method == "POST" else None)


def test_a_deleted_message_is_gone_from_lists_and_from_later_prompts(api: Api, model: ScriptedModel) -> None:
    thread = api.thread("first", "second", "third")
    second = api.get(f"/threads/{thread}/messages")["data"][1]["id"]
    path = f"/threads/{thread}/messages/{second}"
    assert api.delete(path) == {"id": second, "object": "thread.message.deleted", "deleted": True}
    api.refused(404, "GET", path)
    api.refused(404, "DELETE", path)
    assert api.texts(thread) == ["first", "third"]
    api.run(thread, api.agent()).wait("completed")
    assert [message["content"] for message in model.requests[0].messages] == ["first", "third"]


def test_deleting_a_thread_takes_its_messages_runs_and_steps_from_view(api: Api) -> None:
    run = api.run(api.thread("Hello?"), api.agent())
    run.wait("completed")
    step, message = run.steps()[0], run.messages()[0]
    api.delete(f"/threads/{run.thread}")
    for path in (
        f"/threads/{run.thread}/messages",
        f"/threads/{run.thread}/messages/{message['id']}",
        f"/threads/{run.thread}/runs",
        run.path,
        f"{run.path}/steps",
        f"{run.path}/steps/{step['id']}",
    ):
        api.refused(404, "GET", path)


def test_deleting_an_agent_leaves_its_runs_and_messages_readable(api: Api) -> None:
    agent = api.agent()
    run = api.run(api.thread("Hello?"), agent)
    run.wait("completed")
    api.delete(f"/assistants/{agent}")
    assert run.now()["assistant_id"] == agent
    assert len(run.steps()) == len(run.messages()) == 1
