"""The npm package openai."""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.clients.conftest import RunProgram
from tests.clients.running import Outcome


@pytest.fixture(scope="module")
def outcome(model: ScriptedModel, run_node: RunProgram) -> Outcome:
    model.reset()
    model.reply("Hello.")
    model.call("get_weather", {"city": "Oslo"})
    model.reply("Sunny.")
    model.reply("one two three")
    model.call("get_weather", {"city": "Rome"})
    model.reply("Sunny in Rome.")
    model.reply("Hi there.")
    return run_node("assistants.js")


@pytest.fixture(scope="module")
def seen(outcome: Outcome) -> dict[str, Any]:
    return outcome.result


def test_polls_a_run_to_its_end(seen: dict[str, Any]) -> None:
    poll, usage = seen["poll"], seen["poll"]["usage"]
    assert (poll["status"], poll["text"]) == ("completed", "Hello.")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_polls_a_run_that_calls_a_function(seen: dict[str, Any]) -> None:
    assert seen["pollWithTools"] == {
        "statuses": ["requires_action", "completed"],
        "steps": ["tool_calls", "message_creation"],
        "output": "sunny in Oslo",
    }


def test_streams_text_in_deltas_that_add_up(seen: dict[str, Any]) -> None:
    stream = seen["streamText"]
    assert stream["deltas"] == ["one ", "two ", "three"]
    assert (stream["status"], stream["text"]) == ("completed", "one two three")
    assert stream["events"] == [
        "runStepCreated",
        "messageCreated",
        "textCreated",
        "textDone",
        "messageDone",
        "runStepDone",
        "run",
        "end",
    ]


def test_streams_a_call_and_goes_on_after_its_output(seen: dict[str, Any]) -> None:
    stream = seen["streamTools"]
    assert stream["events"] == ["runStepCreated", "toolCallCreated", "toolCallDone", "run", "end"]
    assert stream["argumentText"] == stream["snapshot"]["arguments"] == '{"city":"Rome"}'
    assert stream["snapshot"]["name"] == "get_weather"
    assert stream["eventsAfter"][0] == "runStepDone"
    assert stream["text"] == "Sunny in Rome."
    assert stream["statuses"] == ["requires_action", "completed"]


def test_iterates_over_a_thread_and_its_run(seen: dict[str, Any]) -> None:
    names = seen["iterate"]
    assert names[:2] == ["thread.created", "thread.run.created"]
    assert names.count("thread.message.delta") == 2
    assert names[-1] == "thread.run.completed"


def test_pages_through_a_list_by_itself(seen: dict[str, Any]) -> None:
    assert seen["pages"] == ["1", "2", "3", "4", "5"]


def test_mistakes_become_its_own_kinds_of_error(seen: dict[str, Any]) -> None:
    kinds = [(mistake["kind"], mistake["status"]) for mistake in seen["mistakes"]]
    assert kinds == [
        ("NotFoundError", 404),
        ("NotFoundError", 404),
        ("BadRequestError", 400),
        ("AuthenticationError", 401),
    ]


def test_deletes_an_assistant(seen: dict[str, Any]) -> None:
    assert seen["deleted"] is True


def test_the_model_gets_what_the_function_gave(outcome: Outcome) -> None:
    outputs = [list(request.tool_outputs.values()) for request in outcome.requests if request.tool_outputs]
    assert outputs == [["sunny in Oslo"], ["sunny in Rome"]]
