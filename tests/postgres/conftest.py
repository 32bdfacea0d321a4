"""The tests of the API once more, with PostgreSQL below it."""

from collections.abc import Iterator

import pytest

from tests.http.conftest import refuses as refuses
from tests.http.conftest import unchanged as unchanged
from tests.http.conftest import world as world
from tests.support.database import Place
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def server_place(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Place]:
    """The database of a module's server."""
    name = f"module_{request.module.__name__.rpartition('.')[2]}"
    yield postgres.new_database(name)
    postgres.drop_database(name)


@pytest.fixture
def servers_place(postgres_url: str) -> Place:
    """The database of the servers that a test starts itself."""
    return postgres_url
