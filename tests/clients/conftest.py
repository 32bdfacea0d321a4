"""A server, the model it asks, and programs that use somebody else's client."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.clients import environment
from tests.clients.running import Outcome, outcome

_HERE = Path(__file__).parent
_PROGRAMS = _HERE / "programs"
_TIMEOUT = 1800
"""Seconds for the first test, which installs the clients."""

RunProgram: TypeAlias = Callable[[str], Outcome]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time to install what they need."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(_TIMEOUT))


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    """The model behind the server."""
    with ScriptedModel() as running:
        yield running


@pytest.fixture(scope="module")
def server(model: ScriptedModel) -> Iterator[RunningServer]:
    """A server for OpenAI's clients."""
    settings = {"embeddings_url": model.url, "embeddings_model": "scripted-embedding"}
    with RunningServer(model, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that has the clients."""
    return environment.python()


@pytest.fixture(scope="module")
def run_python(python: Path, server: RunningServer, model: ScriptedModel) -> RunProgram:
    """Runs a program of the folder ``programs``."""
    # litellm would fetch its price list
    extra = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return lambda name: outcome([python, _PROGRAMS / name], server, model, extra)


@pytest.fixture(scope="module")
def run_node(server: RunningServer, model: ScriptedModel) -> RunProgram:
    """Runs a program of the folder ``node``."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("the npm package openai was not tried: node and npm are not on the PATH")
    extra = {"NODE_PATH": str(environment.node_modules())}
    return lambda name: outcome([node, _HERE / "node" / name], server, model, extra)
