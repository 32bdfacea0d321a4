"""Fixtures for tests of the server: one of each a module, so that the suite stays quick."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import hypothesis
import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.weights.files import locked
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.database import Place, new_database
from tests.support.ids import CountingIds
from tests.support.nats import NatsServer, running_nats
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.server import KEYS, MODEL_KEY, Server
from tests.support.servers import Servers
from tests.support.weights import weights_cache

_NUMBERS = itertools.count(1)

# What a machine does besides must not decide: no example has a deadline, none is too slow to make.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

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
def server_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The database of a module's server."""
    return new_database(tmp_path_factory.mktemp("server") / "clew.db")


@pytest.fixture(scope="module")
def server(server_place: Place, clock: ManualClock, _scripted_model: ScriptedModel) -> Iterator[Server]:
    """A server that works on runs, shared by a module's tests."""
    with Server(server_place, _scripted_model.url, clock=clock, ids=CountingIds()) as server:
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def nats() -> Iterator[NatsServer]:
    """A NATS server for the whole session."""
    with running_nats() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database, with the newest schema."""
    name = f"test_{next(_NUMBERS)}"
    yield postgres.new_database(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """An empty database of either kind: what a test says of the store holds for both."""
    kind = "database" if request.param == "sqlite" else "postgres_url"
    place: Place = request.getfixturevalue(kind)
    return place


@pytest.fixture
def servers_place(database: Path) -> Place:
    """The database of the servers that a test starts itself."""
    return database


@pytest.fixture
def servers(servers_place: Place, model: ScriptedModel, http: httpx2.Client) -> Servers:
    """Servers that a test starts itself, one after another on one database, with a clock of their own."""
    return Servers(servers_place, model.url, http)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Has a line printed below all tests: what a test has counted or measured."""
    return lambda line: request.node.user_properties.append(("told", line))


LEFT_OUT = (
    ("Agent Framework, AutoGen, LangChain,", "install environments of their own", "make test-clients"),
    ("  LiteLLM, LlamaIndex, Semantic Kernel,", "", ""),
    ("  @azure/ai-agents, AzureOpenAI of npm", "", ""),
    ("containers, their image, an empty machine", "want root, and what is fetched", "make test-clients"),
    ("the README's installation and Node program", "fetch what they need", "make test-clients"),
    ("attacks on a running server", "take a minute, and all of a machine", "make test-attacks"),
    ("a crash at every commit on PostgreSQL", "takes minutes", "make chaos"),
    ("500 kills on either store", "take an hour", "make chaos"),
    ("other versions of Python", "are the suite once more for each", "make test-pythons"),
    ("speeds", "want a machine that does nothing else", "make bench"),
)
"""What `make test` leaves out, why, and the command for it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have told."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {line}"
        for report in terminalreporter.getreports("passed")
        for name, line in report.user_properties
        if name == "told"
    ]
    if terminalreporter.config.option.markexpr == "not foreign and not long":
        terminalreporter.section("left out")
        for what, why, command in LEFT_OUT:
            terminalreporter.write_line(f"{what:42} {why:38} {command}".rstrip())
    if lines:
        terminalreporter.section("counted and measured")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the real models the time and the room that they need."""
    for item in items:
        if item.get_closest_marker("model") is not None:
            item.add_marker(pytest.mark.usefixtures("one_model_at_a_time"))
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture
def one_model_at_a_time() -> Iterator[None]:
    """Wait until no other process's test asks a real model, then leave a processor to other tests.

    A model's threads wait for each other by turning on the spot: with more of them than processors, each
    word takes ten times as long.
    """
    with ExitStack() as stack:
        cache = weights_cache()
        cache.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(cache / "one-model-at-a-time", lambda: None))
        if sys.platform == "linux":
            usable = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {max(usable)})
            stack.callback(os.sched_setaffinity, 0, usable)
        yield


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"
