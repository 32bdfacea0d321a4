"""A cluster a test: processes of its own on a database and a bus of its own."""

from collections.abc import Iterator

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.cluster import Cluster, cluster
from tests.support.nats import NatsServer, running_nats
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.server import MODEL_KEY


@pytest.fixture
def together(
    postgres_url: str, nats: NatsServer, model: ScriptedModel, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A cluster without processes. Its names on the bus are its own."""
    name = postgres_url.rpartition("/")[2]
    settings = {"CLEW_BUS_PREFIX": name, "CLEW_TAKEOVER_AFTER": "1", "CLEW_MODEL_API_KEY": MODEL_KEY}
    with cluster(postgres_url, nats.url, model.url, **settings) as made:
        yield made
        print(made.logs)  # shown where the test fails


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """A NATS server for one test, which may do to it what it likes."""
    with running_nats() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for one test, which may do to it what it likes."""
    with running_postgres() as server:
        yield server
