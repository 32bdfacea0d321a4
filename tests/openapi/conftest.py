"""A real server in its own process, and one of each object on it: what generated requests meet."""

from collections.abc import Iterator

import httpx2
import pytest
import requests

from clew.http import wrong_keys
from clew.settings import SERVER_TOOLS
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.openapi.target import IDLE_WEBHOOK, Target
from tests.support.api import Api
from tests.support.operations import World, new_world

SETTINGS = {"server_tools": ",".join(SERVER_TOOLS), "trusted_proxies": "127.0.0.1"}


@pytest.fixture(autouse=True)
def wrong_keys_are_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation is asked with one, by one address."""
    monkeypatch.setattr(wrong_keys, "_FREE", 1_000_000)


@pytest.fixture(scope="package")
def target() -> Iterator[Target]:
    """The server under test, shared by the package: requests are never sent to an empty one."""
    with (
        ScriptedModel() as model,
        RunningServer(model, settings=SETTINGS) as server,
        httpx2.Client(timeout=30) as http,
    ):
        api = Api(http, server.url, server.api_key)
        model.call("look_up", {"word": "clew"})
        world = _with_idle_webhook(api, new_world(api))
        with requests.Session() as session:
            yield Target(server, api, world, session)


def _with_idle_webhook(api: Api, world: World) -> World:
    """Have nobody called on the many runs to come."""
    api.delete(f"/webhooks/{world.webhook_id}")
    return world._replace(webhook_id=api.post("/webhooks", IDLE_WEBHOOK)["id"])
