"""langchain-classic's OpenAIAssistantRunnable."""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.clients.conftest import RunProgram
from tests.clients.running import Outcome

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def outcome(model: ScriptedModel, run_python: RunProgram) -> Outcome:
    model.reset()
    model.call("multiply", {"first": 6, "second": 7})
    model.reply("It is 42.")
    model.reply("You're welcome.")
    model.call("multiply", {"first": 2, "second": 3})
    model.reply("It is 6.")
    model.reply("Hello.")
    model.call("multiply", {"first": 3, "second": 4})
    model.reply("It is 12.")
    return run_python("langchain_runnable.py")


@pytest.fixture(scope="module")
def seen(outcome: Outcome) -> dict[str, Any]:
    return outcome.result


def test_runs_the_documented_loop_and_goes_on_with_the_thread(seen: dict[str, Any]) -> None:
    assert seen["by_hand"] == {
        "calls": [[["multiply", {"first": 6, "second": 7}]]],
        "output": "It is 42.",
        "later": "You're welcome.",
    }


def test_runs_under_an_agent_executor(seen: dict[str, Any]) -> None:
    assert seen["by_executor"] == "It is 6."


def test_gives_the_messages_when_it_is_no_agent(seen: dict[str, Any]) -> None:
    assert seen["plain"] == ["Hello."]


def test_its_async_loop_trips_over_itself_after_the_run_has_completed(
    seen: dict[str, Any], outcome: Outcome
) -> None:
    """Its own bug: it reads an asynchronous page with a plain ``for``. docs/clients.md says so."""
    assert seen["async"] == {
        "input": {"first": 3, "second": 4},
        "problem": "'tuple' object has no attribute 'run_id'",
    }
    assert list(outcome.requests[-1].tool_outputs.values()) == ["12"]


def test_instructions_for_one_run_replace_the_assistants(outcome: Outcome) -> None:
    instructions = [request.messages[0]["content"] for request in outcome.requests]
    assert instructions == [*["Use the tool."] * 5, "Be brief.", "Be kind.", "Be kind."]
