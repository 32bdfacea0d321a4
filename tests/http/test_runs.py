"""A run's life when all goes well, and what the model is asked.

Source: OpenAI's guide "How Assistants work" and the published API schema.
"""

import itertools
import threading
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel, Usage
from tests.support.api import TERMINAL, Api, Json, RunHandle, function_tool, text
from tests.support.clock import ManualClock
from tests.support.server import MODEL_KEY
from tests.support.wait import until


def test_a_run_is_queued_then_in_progress_then_completed(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    held = model.hold("Left")
    run = api.run(api.thread("Left or right?"), api.agent())
    assert (run.created["status"], run.created["started_at"]) == ("queued", None)
    held.wait_paused()
    working = run.now()
    assert working["status"] == "in_progress"
    assert working["started_at"] == clock.seconds
    assert (working["usage"], working["completed_at"]) == (None, None)
    assert working["expires_at"] == run.created["expires_at"] == clock.seconds + 600
    clock.advance(3000)
    held.release()
    done = run.wait("completed")
    assert done["completed_at"] == clock.seconds == working["started_at"] + 3
    assert done["started_at"] == working["started_at"]
    assert done["expires_at"] is None
    assert (done["failed_at"], done["cancelled_at"]) == (None, None)
    assert (done["last_error"], done["incomplete_details"], done["required_action"]) == (None, None, None)


def test_what_the_model_says_becomes_the_threads_newest_message(api: Api, model: ScriptedModel) -> None:
    model.reply("Hold on to ", "the thread. 🧶\n")
    run = api.run(api.thread("What do I do?"), api.agent())
    run.wait("completed")
    assert api.texts(run.thread) == ["What do I do?", "Hold on to the thread. 🧶\n"]


def test_a_run_on_an_empty_thread_finishes(api: Api, model: ScriptedModel) -> None:
    model.reply("Hello.")
    run = api.run(api.thread(), api.agent(instructions="Greet."))
    run.wait("completed")
    assert model.requests[0].messages == [{"role": "system", "content": "Greet."}]
    assert api.texts(run.thread) == ["Hello."]


def test_an_answer_without_a_word_completes_with_an_empty_message(api: Api, model: ScriptedModel) -> None:
    model.reply()
    run = api.run(api.thread("Say nothing."), api.agent())
    run.wait("completed")
    (message,) = run.messages()
    assert message["content"] == [{"type": "text", "text": {"value": "", "annotations": []}}]


def test_a_refusal_becomes_a_refusal_part(api: Api, model: ScriptedModel) -> None:
    model.refuse("I won't lead you astray.")
    run = api.run(api.thread("Lead me astray."), api.agent())
    run.wait("completed")
    (message,) = run.messages()
    assert message["content"] == [{"type": "refusal", "refusal": "I won't lead you astray."}]


def test_usage_counts_the_models_tokens_and_is_a_run_and_step_matter(api: Api, model: ScriptedModel) -> None:
    model.reply("Left.", usage=Usage(prompt=12, completion=3))
    run = api.run(api.thread("Left or right?"), api.agent())
    usage = run.wait("completed")["usage"]
    assert usage == {
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "total_tokens": 15,
        "prompt_token_details": {"cached_tokens": 0},
    }
    assert run.steps()[0]["usage"] == usage


@pytest.mark.parametrize("place", ["end", "finish", "every"])
def test_usage_is_found_wherever_a_server_reports_it(api: Api, model: ScriptedModel, place: Any) -> None:
    model.reply("One two three.", usage=Usage(7, 3), usage_at=place)
    usage = api.run(api.thread("Count."), api.agent()).wait("completed")["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 3)


def test_usage_is_estimated_when_no_server_reports_it(api: Api, model: ScriptedModel) -> None:
    model.reply("x" * 400, usage_at="never")
    usage = api.run(api.thread("y" * 400), api.agent()).wait("completed")["usage"]
    assert 90 <= usage["completion_tokens"] <= 110
    assert 90 <= usage["prompt_tokens"] <= 130


# --- what the model is asked ----------------------------------------------------------------------


def test_the_model_is_asked_with_as_little_as_possible(api: Api, model: ScriptedModel) -> None:
    api.run(api.thread("Hello?"), api.agent(model="vendor/large")).wait("completed")
    (request,) = model.requests
    assert request.body == {
        "model": "vendor/large",
        "messages": [{"role": "user", "content": "Hello?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.headers["authorization"] == f"Bearer {MODEL_KEY}"


def test_what_the_agent_says_of_the_model_is_passed_on(api: Api, model: ScriptedModel) -> None:
    schema = {"name": "way", "schema": {"type": "object"}, "strict": True}
    response_format = {"type": "json_schema", "json_schema": schema}
    agent = api.agent(
        temperature=0.0,
        top_p=0.5,
        response_format=response_format,
        reasoning_effort="low",
        metadata={"a": "b"},
    )
    api.run(api.thread("Hello?"), agent, metadata={"c": "d"}).wait("completed")
    body = model.requests[0].body
    assert (body["temperature"], body["top_p"]) == (0.0, 0.5)
    assert body["response_format"] == response_format
    assert body["reasoning_effort"] == "low"
    assert "metadata" not in body


def test_what_the_run_says_wins_over_what_the_agent_says(api: Api, model: ScriptedModel) -> None:
    own = function_tool("turn_right")
    agent = api.agent(
        instructions="The agent's.", temperature=0.1, top_p=0.2, tools=[function_tool("turn_left")]
    )
    given: dict[str, Any] = {
        "model": "vendor/large",
        "instructions": "The run's.",
        "temperature": 0.7,
        "top_p": 0.0,
        "tools": [own],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "high",
        "parallel_tool_calls": False,
        "tool_choice": "none",
    }
    run = api.run(api.thread("Go."), agent, **given)
    done = run.wait("completed")
    assert {key: done[key] for key in given} == given
    body = model.requests[0].body
    assert body["model"] == "vendor/large"
    assert body["messages"][0] == {"role": "system", "content": "The run's."}
    assert (body["temperature"], body["top_p"], body["reasoning_effort"]) == (0.7, 0.0, "high")
    assert body["response_format"] == {"type": "json_object"}


def test_null_in_a_run_leaves_the_agents_values_in_force(api: Api, model: ScriptedModel) -> None:
    agent = api.agent(instructions="The agent's.", temperature=0.1)
    nulls = dict.fromkeys(
        ("model", "instructions", "temperature", "tools", "tool_choice", "metadata", "stream")
    )
    done = api.run(api.thread("Go."), agent, **nulls).wait("completed")
    assert (done["instructions"], done["temperature"]) == ("The agent's.", 0.1)


@pytest.mark.parametrize(
    ("agents", "runs", "additional", "expected"),
    [
        ("A.", None, "B.", "A.\n\nB."),
        ("A.", "R.", "B.", "R.\n\nB."),
        (None, None, "B.", "B."),
        ("A.", None, "", "A."),
        ("A.", "", "B.", "B."),
        (None, None, None, None),
        ("A.", "", None, None),
    ],
)
def test_additional_instructions_follow_those_in_force(
    api: Api,
    model: ScriptedModel,
    agents: str | None,
    runs: str | None,
    additional: str | None,
    expected: str | None,
) -> None:
    agent = api.agent(instructions=agents)
    run = api.run(api.thread("Go."), agent, instructions=runs, additional_instructions=additional)
    run.wait("completed")
    system = [each["content"] for each in model.requests[0].messages if each["role"] == "system"]
    assert system == ([] if expected is None else [expected])


def test_additional_messages_are_added_in_order_before_the_run_starts(api: Api, model: ScriptedModel) -> None:
    added = [
        {"role": "user", "content": "second", "metadata": {"a": "b"}},
        {"role": "assistant", "content": "third"},
        {"role": "user", "content": [{"type": "text", "text": "fourth"}]},
    ]
    run = api.run(api.thread("first"), api.agent(), additional_messages=added)
    run.wait("completed")
    assert api.texts(run.thread)[:4] == ["first", "second", "third", "fourth"]
    told = [(message["role"], message["content"]) for message in model.requests[0].messages]
    assert told == [("user", "first"), ("user", "second"), ("assistant", "third"), ("user", "fourth")]
    kept = api.get(f"/threads/{run.thread}/messages", order="asc")["data"][1]
    assert (kept["metadata"], kept["run_id"]) == ({"a": "b"}, None)


def test_later_changes_of_the_agent_do_not_show_in_the_run(api: Api, model: ScriptedModel) -> None:
    tool = function_tool("turn")
    agent = api.agent(instructions="Before.", tools=[tool], temperature=0.3)
    model.call("turn")
    run = api.run(api.thread("Go."), agent)
    run.wait_calls()
    changes = {"instructions": "After.", "tools": [], "temperature": 1.5, "model": "vendor/large"}
    api.post(f"/assistants/{agent}", changes)
    run.answer_calls(lambda call: "turned")
    done = run.wait("completed")
    assert (done["instructions"], done["tools"], done["temperature"]) == ("Before.", [tool], 0.3)
    assert [request.model for request in model.requests] == ["scripted", "scripted"]
    assert model.requests[1].messages[0] == {"role": "system", "content": "Before."}
    assert model.requests[1].tools == ["turn"]


def test_a_second_run_sees_what_the_first_one_said(api: Api, model: ScriptedModel) -> None:
    thread, agent = api.thread("one"), api.agent()
    api.run(thread, agent).wait("completed")
    api.post(f"/threads/{thread}/messages", {"role": "user", "content": "two"})
    api.run(thread, agent).wait("completed")
    told = [(message["role"], message["content"]) for message in model.requests[1].messages]
    assert told == [("user", "one"), ("assistant", "You said: one"), ("user", "two")]


# --- a thread and a run in one call ------------------------------------------------------------


def test_a_thread_and_its_run_are_made_in_one_call(api: Api, model: ScriptedModel) -> None:
    thread = {"messages": [{"role": "user", "content": "Go."}], "metadata": {"a": "b"}}
    created = api.post(
        "/threads/runs", {"assistant_id": api.agent(), "thread": thread, "instructions": "Run."}
    )
    assert created["status"] == "queued"
    RunHandle(api, created).wait("completed")
    assert api.get(f"/threads/{created['thread_id']}")["metadata"] == {"a": "b"}
    assert api.texts(created["thread_id"]) == ["Go.", "You said: Go."]
    assert model.requests[0].messages[0]["content"] == "Run."


@pytest.mark.parametrize("more", [{}, {"thread": None}, {"thread": {}}])
def test_a_thread_that_is_left_out_is_empty(api: Api, model: ScriptedModel, more: Json) -> None:
    created = api.post("/threads/runs", {"assistant_id": api.agent(), **more})
    RunHandle(api, created).wait("completed")
    assert api.texts(created["thread_id"]) == ["You said: "]


# --- pollers -----------------------------------------------------------------------------------


def test_who_sees_completed_can_list_the_final_messages_and_steps_at_once(
    api: Api, model: ScriptedModel
) -> None:
    """Eight pollers watch each run, and read everything in the moment that they see it is over."""
    seen: list[tuple[list[str], list[str], list[str]]] = []

    def poll(run: RunHandle) -> None:
        until(lambda: run.now()["status"] == "completed")
        messages = api.get(f"/threads/{run.thread}/messages")["data"]
        steps = api.get(f"{run.path}/steps")["data"]
        seen.append(
            (
                [message["status"] for message in messages],
                [text(message) for message in messages],
                [step["status"] for step in steps],
            )
        )

    agent = api.agent(tools=[function_tool("turn")])
    for _ in range(5):
        model.call("turn")
        model.reply("Done.")
        run = api.run(api.thread("Go."), agent)
        run.answer_calls(lambda call: "turned")
        pollers = [threading.Thread(target=poll, args=(run,)) for _ in range(8)]
        for poller in pollers:
            poller.start()
        for poller in pollers:
            poller.join()
    final = (["completed", "completed"], ["Done.", "Go."], ["completed", "completed"])
    assert seen == [final] * 40


def test_a_poller_never_sees_a_state_go_back(api: Api, model: ScriptedModel) -> None:
    """Only the loop requires_action, queued, in_progress goes round."""
    order = {"queued": 0, "in_progress": 1, "requires_action": 2, "completed": 3}
    model.call("turn")
    held = model.hold("Done.")
    run = api.run(api.thread("Go."), api.agent(tools=[function_tool("turn")]))
    seen: list[Json] = []

    def poll() -> None:
        while not seen or seen[-1]["status"] not in TERMINAL:
            seen.append(run.now())

    poller = threading.Thread(target=poll)
    poller.start()
    run.answer_calls(lambda call: "turned")
    held.wait_paused()
    held.release()
    poller.join()
    states = [each["status"] for each in seen]
    moves = [(a, b) for a, b in itertools.pairwise(states) if order[a] > order[b]]
    assert moves in ([], [("requires_action", "queued")], [("requires_action", "in_progress")])
    for each in seen:
        assert (each["required_action"] is not None) == (each["status"] == "requires_action")
        assert (each["usage"] is not None) == (each["status"] in TERMINAL)
