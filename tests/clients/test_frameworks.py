"""Frameworks that speak the Azure dialect or Assistants, each unmodified and in an environment of its own."""

import shutil
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.clients import environment
from tests.clients.conftest import RunProgram
from tests.clients.running import Outcome, outcome

pytestmark = pytest.mark.foreign
HERE = Path(__file__).parent
HOST, SOUP, PIE = "I am the host.", "The soup costs 9 euros.", "Nine euros too."


@pytest.fixture(scope="module")
def secure(model: ScriptedModel) -> Iterator[RunningServer]:
    """A server for Azure's clients, which refuse plain http."""
    with RunningServer(model, tls=True) as server:
        yield server


def _of_soup(model: ScriptedModel) -> None:
    """Have the model say who it is, then call a function and tell what that said."""
    model.reset()
    model.reply(HOST)
    model.call("price", {"dish": "soup"})
    model.reply(SOUP)


def _of_pie(model: ScriptedModel) -> None:
    model.call("price", {"dish": "pie"})
    model.reply(PIE)


def _run(name: str, program: str, server: RunningServer, model: ScriptedModel) -> Outcome:
    return outcome([environment.framework(name), HERE / "programs" / program], server, model)


def _told(outcome: Outcome) -> list[str]:
    """Return what the model was told of its calls, each time at the end of a request."""
    told: list[str] = []
    for request in outcome.requests:
        answers = takewhile(lambda message: message["role"] == "tool", reversed(request.messages))
        told += reversed([str(message["content"]) for message in answers])
    return told


def test_agent_framework(secure: RunningServer, model: ScriptedModel) -> None:
    _of_soup(model)
    _of_pie(model)
    seen = _run("agent-framework", "agent_framework_azure.py", secure, model)
    assert seen.result == {"texts": [HOST, SOUP], "pieces": ["Nine ", "euros ", "too."]}
    assert _told(seen) == ["soup costs 9 euros", "pie costs 9 euros"]


def test_langchain_azure(secure: RunningServer, model: ScriptedModel) -> None:
    _of_soup(model)
    seen = _run("langchain-azure", "langchain_azure.py", secure, model)
    first, second = seen.result["seen"]
    assert first == [["HumanMessage", "Who are you?"], ["AIMessage", HOST]]
    assert second[-2:] == [["ToolMessage", "soup costs 9 euros"], ["AIMessage", SOUP]]
    assert _told(seen) == ["soup costs 9 euros"]


def test_autogen(secure: RunningServer, model: ScriptedModel) -> None:
    _of_soup(model)
    model.reply("Hello.")
    _of_pie(model)
    seen = _run("autogen", "autogen_agents.py", secure, model)
    assert seen.result == {"azure": [HOST, SOUP], "openai": ["Hello.", PIE]}
    assert _told(seen) == ["soup costs 9 euros", "pie costs 9 euros"]


def test_llama_index(server: RunningServer, model: ScriptedModel) -> None:
    _of_soup(model)
    seen = _run("llama-index", "llama_index_agent.py", server, model)
    assert seen.result["texts"] == [HOST, SOUP]
    assert seen.result["history"] == ["Who are you?", HOST, "How much is the soup?", SOUP]
    assert _told(seen) == ["soup costs 9 euros"]


def test_azures_client_for_javascript(secure: RunningServer, model: ScriptedModel) -> None:
    node = _node()
    _of_soup(model)
    model.reply("one two three")
    extra = {"NODE_PATH": str(environment.node_modules("node_azure"))}
    whole = outcome([node, HERE / "node_azure" / "agents.js"], secure, model, extra)
    seen: dict[str, Any] = whole.result
    assert _told(whole) == ["soup costs 9 euros"]
    assert seen["poll"] == {"status": "completed", "texts": ["Who are you?", HOST]}
    assert seen["tools"] == {
        "asked": True,
        "status": "completed",
        "texts": ["How much is the soup?", SOUP],
        "steps": ["tool_calls", "message_creation"],
    }
    assert seen["stream"] == {"pieces": ["one ", "two ", "three"], "ends": ["completed"]}


def test_azure_openai_for_javascript(run_azure_openai: RunProgram, model: ScriptedModel) -> None:
    _of_soup(model)
    model.reply("one two three")
    seen = run_azure_openai("azure_openai.js")
    assert seen.result == {
        "poll": {"status": "completed", "text": HOST},
        "tools": {"statuses": ["requires_action", "completed"], "text": SOUP},
        "stream": ["one ", "two ", "three"],
    }
    assert _told(seen) == ["soup costs 9 euros"]


@pytest.fixture
def run_azure_openai(server: RunningServer, model: ScriptedModel) -> RunProgram:
    """Runs a program in the environment of ``clew env --for azure-openai``."""
    node = _node()
    extra = {"NODE_PATH": str(environment.node_modules()), "OPENAI_BASE_URL": ""}
    return lambda name: outcome([node, HERE / "node" / name], server, model, extra)


def _node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("the npm packages were not tried: node and npm are not on the PATH")
    return node
