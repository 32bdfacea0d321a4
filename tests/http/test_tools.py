"""Function tools: calls go out together, and outputs come back together.

Source: OpenAI's guides "Function calling" and "Assistants deep dive"; the refusals are worded as its
service words them, because programs match against that.
"""

import re
import threading
from typing import Any

import pytest

from clew.testing.scripted_model import Refusal, ScriptedModel, Usage, call
from tests.support.api import Api, Json, RunHandle, function_tool, text
from tests.support.clock import ManualClock
from tests.support.refusals import Refuses

TURN, LOOK = function_tool("turn", way="string"), function_tool("look")


@pytest.fixture
def waiting(api: Api, model: ScriptedModel) -> RunHandle:
    """A run that waits for the outputs of two calls."""
    model.calls(call("turn", {"way": "left"}), call("look"))
    run = api.run(api.thread("Find the way."), api.agent(tools=[TURN, LOOK]))
    run.wait_calls()
    return run


def _refused(refuses: Refuses, run: RunHandle, outputs: Any) -> Json:
    """Submit outputs that must be refused, and return the error; the run must be as before."""
    before = run.now()
    error = refuses(400, "POST", f"{run.path}/submit_tool_outputs", {"tool_outputs": outputs})
    assert run.now() == before
    return error


def _outputs(run: RunHandle, *values: str) -> list[Json]:
    calls = run.wait_calls()
    return [{"tool_call_id": each["id"], "output": value} for each, value in zip(calls, values, strict=False)]


# --- asking ------------------------------------------------------------------------------------


def test_all_calls_of_a_turn_are_asked_for_together_in_the_models_order(waiting: RunHandle) -> None:
    run = waiting.now()
    action = run["required_action"]
    assert set(action) == {"type", "submit_tool_outputs"}
    assert action["type"] == "submit_tool_outputs"
    calls = action["submit_tool_outputs"]["tool_calls"]
    assert [(each["type"], each["function"]) for each in calls] == [
        ("function", {"name": "turn", "arguments": '{"way":"left"}'}),
        ("function", {"name": "look", "arguments": "{}"}),
    ]
    assert all(each["id"].startswith("call_") for each in calls)
    assert calls[0]["id"] != calls[1]["id"]
    assert (run["usage"], run["completed_at"]) == (None, None)


def test_a_list_of_runs_shows_what_the_waiting_one_waits_for(api: Api, waiting: RunHandle) -> None:
    assert api.get(f"/threads/{waiting.thread}/runs")["data"] == [waiting.now()]


def test_while_calls_wait_one_step_is_open_and_nothing_was_said(api: Api, waiting: RunHandle) -> None:
    (step,) = waiting.steps()
    assert (step["type"], step["status"]) == ("tool_calls", "in_progress")
    assert (step["usage"], step["completed_at"], step["last_error"]) == (None, None, None)
    calls = step["step_details"]["tool_calls"]
    required = waiting.wait_calls()
    assert step["step_details"]["type"] == "tool_calls"
    assert calls == [each | {"function": each["function"] | {"output": None}} for each in required]
    assert api.texts(waiting.thread) == ["Find the way."]


def test_text_before_the_calls_makes_a_message_and_a_step_of_its_own(api: Api, model: ScriptedModel) -> None:
    model.reply("Let me see.", call("look"), usage=Usage(10, 5))
    run = api.run(api.thread("Find the way."), api.agent(tools=[LOOK]))
    run.wait_calls()
    said, called = run.steps()
    assert (said["type"], said["status"]) == ("message_creation", "completed")
    assert (called["type"], called["status"]) == ("tool_calls", "in_progress")
    assert [text(message) for message in run.messages()] == ["Let me see."]
    assert run.messages()[0]["status"] == "completed"
    run.answer_calls(lambda each: "a wall")
    total = run.wait("completed")["usage"]["total_tokens"]
    assert total == sum(step["usage"]["total_tokens"] for step in run.steps())


def test_a_refusal_before_the_calls_is_a_message_like_any_other(api: Api, model: ScriptedModel) -> None:
    model.reply(Refusal("I won't fly. "), call("look"))
    run = api.run(api.thread("Fly."), api.agent(tools=[LOOK]))
    run.wait_calls()
    assert [step["type"] for step in run.steps()] == ["message_creation", "tool_calls"]
    assert run.messages()[0]["content"] == [{"type": "refusal", "refusal": "I won't fly. "}]


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_a_call_without_arguments_has_an_empty_object(api: Api, model: ScriptedModel, arguments: str) -> None:
    model.call("turn", arguments)
    run = api.run(api.thread("Go."), api.agent(tools=[TURN]))
    (asked,) = run.wait_calls()
    run.submit({asked["id"]: "turned"})
    run.wait("completed")
    assert asked["function"]["arguments"] == "{}"
    assert model.requests[1].messages[1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("arguments", ["not JSON", '{"way": ', "[1, 2]", '{"way": "é🧶"}'])
def test_arguments_are_handed_on_as_the_model_gave_them(
    api: Api, model: ScriptedModel, arguments: str
) -> None:
    model.call("turn", arguments)
    run = api.run(api.thread("Go."), api.agent(tools=[TURN]))
    (asked,) = run.wait_calls()
    assert asked["function"]["arguments"] == arguments


def test_calls_without_ids_get_ids(api: Api, model: ScriptedModel) -> None:
    model.reply(call("look"), call("look"), call_ids=False)
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    one, two = run.wait_calls()
    assert one["id"].startswith("call_")
    assert one["id"] != two["id"]


def test_ids_that_a_model_repeats_are_told_apart_within_the_thread(api: Api, model: ScriptedModel) -> None:
    for _ in range(2):
        model.reply(call("look", id="call_same"))
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    first = run.wait_calls()
    run.answer_calls(lambda each: "nothing")
    second = run.wait_calls()
    assert first[0]["id"] != second[0]["id"]


def test_without_parallel_calls_one_is_handed_out_at_a_time(api: Api, model: ScriptedModel) -> None:
    model.calls(call("turn", {"way": "left"}), call("look"))
    agent = api.agent(tools=[TURN, LOOK])
    run = api.run(api.thread("Go."), agent, parallel_tool_calls=False)
    (only,) = run.wait_calls()
    assert only["function"]["name"] == "turn"
    assert model.requests[0].body["parallel_tool_calls"] is False
    run.answer_calls(lambda each: "turned")
    run.wait("completed")
    asked = model.requests[1].messages[1]["tool_calls"]
    assert [each["function"]["name"] for each in asked] == ["turn"]


def test_a_function_that_was_not_offered_is_answered_by_the_server(api: Api, model: ScriptedModel) -> None:
    model.calls(call("fly"), call("look"))
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    (only,) = run.wait_calls()
    assert only["function"]["name"] == "look"
    run.answer_calls(lambda each: "a wall")
    run.wait("completed")
    outputs = [each["function"]["output"] for each in run.steps()[0]["step_details"]["tool_calls"]]
    assert outputs[1] == "a wall"
    assert "no function named 'fly'" in outputs[0]
    assert [message["content"] for message in model.requests[1].messages[-2:]] == outputs


def test_a_run_goes_on_by_itself_if_no_call_can_be_answered(api: Api, model: ScriptedModel) -> None:
    model.call("fly")
    model.reply("I can't fly.")
    run = api.run(api.thread("Fly."), api.agent())
    run.wait("completed")
    assert [step["type"] for step in run.steps()] == ["tool_calls", "message_creation"]
    assert api.texts(run.thread) == ["Fly.", "I can't fly."]


def test_the_third_turn_in_a_row_that_calls_only_what_was_not_offered_fails_the_run(
    api: Api, model: ScriptedModel
) -> None:
    for _ in range(3):
        model.call("fly")
    run = api.run(api.thread("Fly."), api.agent())
    error = run.wait("failed")["last_error"]
    assert error["code"] == "server_error"
    assert "not offered, 3 turns in a row" in error["message"]
    assert len(model.requests) == 3


def test_a_call_that_was_offered_ends_the_row(api: Api, model: ScriptedModel) -> None:
    for name in ("fly", "fly", "look", "fly", "fly"):
        model.call(name)
    model.reply("Left.")
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    run.answer_calls(lambda each: "a wall")
    run.wait("completed")


# --- answering ---------------------------------------------------------------------------------


def test_the_answer_to_outputs_is_the_run_queued_again(waiting: RunHandle, model: ScriptedModel) -> None:
    held = model.hold("Out.")
    answer = waiting.submit({each["id"]: "ok" for each in waiting.wait_calls()})
    assert (answer["status"], answer["required_action"], answer["usage"]) == ("queued", None, None)
    assert answer["expires_at"] == waiting.created["expires_at"]
    held.release()
    waiting.wait("completed")


def test_outputs_are_matched_by_id_not_by_position(waiting: RunHandle, model: ScriptedModel) -> None:
    turn, look = _outputs(waiting, "turned", "")
    body = {"tool_outputs": [look, turn], "stream": False}
    waiting.api.post(f"{waiting.path}/submit_tool_outputs", body)
    waiting.wait("completed")
    asked, *answers = model.requests[1].messages[1:]
    first, second = (each["id"] for each in asked["tool_calls"])
    assert [each["function"]["name"] for each in asked["tool_calls"]] == ["turn", "look"]
    assert answers == [
        {"role": "tool", "tool_call_id": first, "content": "turned"},
        {"role": "tool", "tool_call_id": second, "content": ""},
    ]


def test_the_model_is_shown_its_own_ids_and_clients_see_ids_of_clews(api: Api, model: ScriptedModel) -> None:
    """Source of the rule: contracts with models; Mistral and others refuse ids that they did not give."""
    twice = "abcDEF123"
    model.calls(call("look", id=twice), call("turn", {"way": "left"}, id=twice), call("look", id=""))
    run = api.run(api.thread("Find the way."), api.agent(tools=[TURN, LOOK]))
    ids = [each["id"] for each in run.wait_calls()]
    run.answer_calls(lambda _: "done")
    run.wait("completed")
    assert all(each.startswith("call_") for each in ids)
    shown = [each["id"] for each in model.requests[1].messages[1]["tool_calls"]]
    assert shown[0] == twice
    assert len(set(shown)) == 3, "an id that came twice, or none, gets one made for it"
    assert re.fullmatch(r"[a-z0-9]{9}", shown[1]), "what every endpoint takes"
    assert [each["tool_call_id"] for each in model.requests[1].messages[2:]] == shown


def test_accepted_outputs_complete_the_step_at_once(
    waiting: RunHandle, model: ScriptedModel, clock: ManualClock
) -> None:
    held = model.hold("Out.")
    clock.advance(2000)
    waiting.answer_calls(lambda each: each["function"]["name"])
    held.wait_paused()
    step = waiting.steps()[0]
    assert (step["status"], step["completed_at"]) == ("completed", clock.seconds)
    outputs = [each["function"]["output"] for each in step["step_details"]["tool_calls"]]
    assert outputs == ["turn", "look"]
    assert step["usage"]["total_tokens"] > 0
    held.release()
    waiting.wait("completed")


def test_a_run_starts_anew_after_its_outputs(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    model.call("look")
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    first = run.wait("requires_action")["started_at"]
    clock.advance(5000)
    run.answer_calls(lambda each: "a wall")
    assert run.wait("completed")["started_at"] == first + 5


@pytest.mark.parametrize("output", [{"output": None}, {}])
def test_a_missing_output_counts_as_empty(api: Api, model: ScriptedModel, output: Json) -> None:
    model.call("look")
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    (asked,) = run.wait_calls()
    body = {"tool_outputs": [{"tool_call_id": asked["id"], **output}]}
    api.post(f"{run.path}/submit_tool_outputs", body)
    run.wait("completed")
    assert run.steps()[0]["step_details"]["tool_calls"][0]["function"]["output"] == ""


@pytest.mark.parametrize("root", ["/v1", "/api/projects/alpha"])
def test_outputs_may_say_what_they_are_of(api: Api, model: ScriptedModel, root: str) -> None:
    """From 1.2.0b4 on, azure-ai-agents says so; what has a type and what has none may come together."""
    spoken = api.at(root)
    model.reply(call("look"), call("turn", {"way": "left"}))
    run = spoken.run(spoken.thread("Go."), spoken.agent(tools=[LOOK, TURN]))
    first, second = run.wait_calls()
    typed = {"type": "function_call_output", "tool_call_id": first["id"], "output": "a wall"}
    path, plain = f"{run.path}/submit_tool_outputs", {"tool_call_id": second["id"], "output": "turned"}
    error = spoken.refused(400, "POST", path, {"tool_outputs": [typed | {"type": "other"}, plain]})
    assert error["param"] == "tool_outputs[0].type"
    spoken.post(path, {"tool_outputs": [typed, plain]})
    run.wait("completed")
    calls = run.steps()[0]["step_details"]["tool_calls"]
    assert [each["function"]["output"] for each in calls] == ["a wall", "turned"]


def test_several_rounds_are_several_steps_and_the_model_gets_them_all_back(
    api: Api, model: ScriptedModel
) -> None:
    model.reply("First left.", call("turn", {"way": "left"}), usage=Usage(1, 2))
    model.reply(call("look"), usage=Usage(4, 8))
    model.reply("Out!", usage=Usage(16, 32))
    run = api.run(api.thread("Go."), api.agent(tools=[TURN, LOOK]))
    run.answer_calls(lambda each: "turned")
    run.answer_calls(lambda each: "the sun")
    usage = run.wait("completed")["usage"]
    kinds = [step["type"] for step in run.steps()]
    assert kinds == ["message_creation", "tool_calls", "tool_calls", "message_creation"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (21, 42, 63)
    for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert sum(step["usage"][count] for step in run.steps()) == usage[count]
    told = model.requests[2].messages
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [message["content"] for message in told] == ["Go.", "First left.", "turned", None, "the sun"]
    assert api.texts(run.thread) == ["Go.", "First left.", "Out!"]


def test_outputs_stay_when_the_run_fails_afterwards(waiting: RunHandle, model: ScriptedModel) -> None:
    model.fail(400, "No.")
    waiting.answer_calls(lambda each: "ok")
    failed = waiting.wait("failed")
    step = waiting.steps()[0]
    assert step["status"] == "completed"
    assert [each["function"]["output"] for each in step["step_details"]["tool_calls"]] == ["ok", "ok"]
    assert failed["required_action"] is None


def test_calls_of_earlier_runs_are_not_shown_to_later_ones(waiting: RunHandle, model: ScriptedModel) -> None:
    model.reply("Out.")
    waiting.answer_calls(lambda each: "ok")
    waiting.wait("completed")
    api, agent = waiting.api, waiting.created["assistant_id"]
    api.run(waiting.thread, agent).wait("completed")
    roles = [message["role"] for message in model.requests[-1].messages]
    assert roles == ["user", "assistant"]


# --- refusing ----------------------------------------------------------------------------------


def test_too_few_outputs_are_refused(refuses: Refuses, waiting: RunHandle) -> None:
    one, two = _outputs(waiting, "a", "b")
    ids = [one["tool_call_id"], two["tool_call_id"]]
    error = _refused(refuses, waiting, [one])
    assert error == {
        "message": f"Expected tool outputs for call_ids {ids}, got {ids[:1]}",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    error = _refused(refuses, waiting, [])
    assert error["message"] == f"Expected tool outputs for call_ids {ids}, got []"
    waiting.answer_calls(lambda each: "ok")
    waiting.wait("completed")


@pytest.mark.parametrize("extra", ["call_unheard_of", "", None, "the first once more"])
def test_an_output_too_many_is_refused(refuses: Refuses, waiting: RunHandle, extra: str | None) -> None:
    outputs = _outputs(waiting, "a", "b")
    known = outputs[0]["tool_call_id"] if extra == "the first once more" else extra
    error = _refused(refuses, waiting, [*outputs, {"tool_call_id": known, "output": "c"}])
    assert error["message"].startswith("Expected tool outputs for call_ids ['call_")
    error = _refused(refuses, waiting, [outputs[0], {"tool_call_id": known, "output": "c"}])
    assert error["message"].startswith("Expected tool outputs for call_ids ['call_")


@pytest.mark.parametrize("output", [5, 1.5, True, {"way": "left"}, ["left"]])
def test_an_output_that_is_no_string_is_refused(refuses: Refuses, waiting: RunHandle, output: Any) -> None:
    one, two = _outputs(waiting, "a", "b")
    error = _refused(refuses, waiting, [one, two | {"output": output}])
    assert (error["code"], error["param"]) == ("invalid_type", "tool_outputs[1].output")


def test_outputs_for_a_run_that_waits_for_none_are_refused(
    api: Api, model: ScriptedModel, refuses: Refuses, waiting: RunHandle
) -> None:
    outputs = _outputs(waiting, "a", "b")
    held = model.hold("Out.")
    waiting.answer_calls(lambda each: "ok")
    held.wait_paused()
    error = _refused(refuses, waiting, outputs)
    assert error["message"] == 'Runs in status "in_progress" do not accept tool outputs.'
    held.release()
    waiting.wait("completed")
    error = _refused(refuses, waiting, outputs)
    assert error == {
        "message": 'Runs in status "completed" do not accept tool outputs.',
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_of_many_submissions_at_once_one_wins(api: Api, waiting: RunHandle) -> None:
    outputs = _outputs(waiting, "a", "b")
    path = f"{waiting.path}/submit_tool_outputs"
    statuses: list[int] = []

    def submit() -> None:
        statuses.append(api.send("POST", path, {"tool_outputs": outputs}).status_code)

    submitters = [threading.Thread(target=submit) for _ in range(10)]
    for submitter in submitters:
        submitter.start()
    for submitter in submitters:
        submitter.join()
    assert sorted(statuses) == [200] + [400] * 9
    waiting.wait("completed")
    assert [step["type"] for step in waiting.steps()] == ["tool_calls", "message_creation"]


# --- tool_choice -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "look"}}], ids=["required", "named"]
)
def test_a_forced_call_is_forced_on_the_first_turn_only(api: Api, model: ScriptedModel, choice: Any) -> None:
    model.call("look")
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]), tool_choice=choice)
    assert run.created["tool_choice"] == choice
    run.answer_calls(lambda each: "a wall")
    assert run.wait("completed")["tool_choice"] == choice
    first, second = model.requests
    assert first.body["tool_choice"] == choice
    assert "tool_choice" not in second.body
    assert second.tools == ["look"]


@pytest.mark.parametrize("more", [{"tool_choice": "none"}, {"tools": []}])
def test_tools_can_be_hidden_from_the_model(api: Api, model: ScriptedModel, more: Json) -> None:
    api.run(api.thread("Go."), api.agent(tools=[LOOK]), **more).wait("completed")
    assert "tools" not in model.requests[0].body
    assert "tool_choice" not in model.requests[0].body


def test_auto_is_the_default_and_is_not_sent(api: Api, model: ScriptedModel) -> None:
    api.run(api.thread("Go."), api.agent(tools=[LOOK]), tool_choice="auto").wait("completed")
    body = model.requests[0].body
    assert body["tools"] == [LOOK]
    assert not {"tool_choice", "parallel_tool_calls"} & set(body)
