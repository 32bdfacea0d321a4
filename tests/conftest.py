"""Fixtures for tests of the server: one of each a module, so that the suite stays quick."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.database import new_database
from tests.support.ids import CountingIds
from tests.support.server import KEYS, MODEL_KEY, Server
from tests.support.servers import Servers

# A shell that runs the tests in the background has SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """The server's clock; it stands still unless a test moves it."""
    return ManualClock()


@pytest.fixture(scope="module")
def _scripted_model() -> Iterator[ScriptedModel]:
    with ScriptedModel(api_key=MODEL_KEY) as model:
        yield model


@pytest.fixture
def model(_scripted_model: ScriptedModel) -> Iterator[ScriptedModel]:
    """The model behind the server. It remembers nothing of other tests, and must be asked all it was told."""
    _scripted_model.reset()
    yield _scripted_model
    _scripted_model.check()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, clock: ManualClock, _scripted_model: ScriptedModel
) -> Iterator[Server]:
    """A server that works on runs, shared by a module's tests."""
    path = new_database(tmp_path_factory.mktemp("server") / "clew.db")
    with Server(path, _scripted_model.url, clock=clock, ids=CountingIds()) as server:
        yield server


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    """A client without a key."""
    with httpx2.Client(timeout=30) as client:
        yield client


@pytest.fixture
def api(server: Server, http: httpx2.Client, model: ScriptedModel) -> Api:
    """The API as project alpha sees it."""
    return Api(http, server.url, KEYS["alpha"])


@pytest.fixture
def other(server: Server, http: httpx2.Client) -> Api:
    """The API as project beta sees it."""
    return Api(http, server.url, KEYS["beta"])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An empty database file, migrated."""
    return new_database(tmp_path / "clew.db")


@pytest.fixture
def servers(database: Path, model: ScriptedModel, http: httpx2.Client) -> Servers:
    """Servers that a test starts itself, one after another on one database, with a clock of their own."""
    return Servers(database, model.url, http)


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"
