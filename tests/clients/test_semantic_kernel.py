"""semantic-kernel's OpenAIAssistantAgent."""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.clients.conftest import RunProgram
from tests.clients.running import Outcome

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def outcome(model: ScriptedModel, run_python: RunProgram) -> Outcome:
    model.reset()
    model.reply("I am the host.")
    model.reply("I am.")
    model.call("Menu-price", {"dish": "soup"})
    model.reply("The soup costs 9 euros.")
    model.call("Menu-price", {"dish": "pie"})
    model.reply("Nine euros too.")
    model.reply("Goodbye!")
    return run_python("semantic_kernel_agent.py")


@pytest.fixture(scope="module")
def seen(outcome: Outcome) -> dict[str, Any]:
    return outcome.result


def test_invokes_twice_on_a_thread_of_its_own(seen: dict[str, Any]) -> None:
    assert seen["invoke"] == {
        "texts": ["I am the host.", "I am."],
        "messages": ["Who are you?", "I am the host.", "Are you sure?", "I am."],
    }
    assert seen["response"] == "Goodbye!"


def test_calls_a_plugin_while_it_polls(seen: dict[str, Any]) -> None:
    assert seen["plugin"] == {
        "texts": ["The soup costs 9 euros."],
        "between": ['call Menu-price({"dish":"soup"})', "result soup costs 9 euros"],
    }


def test_calls_a_plugin_while_it_streams(seen: dict[str, Any]) -> None:
    assert seen["stream"] == {
        "pieces": ["Nine ", "euros ", "too."],
        "between": ['call Menu-price({"dish":"pie"})', "result pie costs 9 euros"],
    }


def test_the_model_is_offered_the_plugin_for_the_run_only(outcome: Outcome) -> None:
    offered = [request.tools for request in outcome.requests]
    assert offered == [[], [], *[["Menu-price"]] * 4, []]
    assert {request.messages[0]["content"] for request in outcome.requests} == {"Be a host."}
