"""What the tests of the API share."""

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.operations import World, new_world
from tests.support.refusals import Refuses, Unchanged
from tests.support.server import KEYS, Server


@pytest.fixture
def unchanged(server: Server) -> Unchanged:
    """A context in which no row may change."""
    return Unchanged(server)


@pytest.fixture
def refuses(api: Api, unchanged: Unchanged) -> Refuses:
    """Sends requests that must be refused and leave nothing behind."""
    return Refuses(api, unchanged)


@pytest.fixture(scope="module")
def world(server: Server, http: httpx2.Client, _scripted_model: ScriptedModel) -> World:
    """One of each object in project alpha: its run has called a function and then answered."""
    _scripted_model.reset()
    _scripted_model.call("look_up", {"word": "clew"})
    return new_world(Api(http, server.url, KEYS["alpha"]))
