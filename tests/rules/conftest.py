"""What the tests of rules share with those of the API."""

import pytest

from tests.support.api import Api
from tests.support.refusals import Refuses, Unchanged
from tests.support.server import Server


@pytest.fixture
def refuses(api: Api, server: Server) -> Refuses:
    """Sends requests that must be refused and leave nothing behind."""
    return Refuses(api, Unchanged(server))
