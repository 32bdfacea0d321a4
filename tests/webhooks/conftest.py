"""A server that tells webhooks, and a receiver that it may reach."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.telemetry.log import LogHook
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json
from tests.support.clock import ManualClock
from tests.support.database import new_database
from tests.support.ids import CountingIds
from tests.support.server import Server
from tests.webhooks.receiver import Receiver

Hook: TypeAlias = Callable[..., Json]
"""Creates a webhook to the receiver; returns the answer, secret and all."""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, clock: ManualClock, _scripted_model: ScriptedModel
) -> Iterator[Server]:
    """A server whose webhooks may lead to this machine, shared by a module's tests."""
    path = new_database(tmp_path_factory.mktemp("server") / "clew.db")
    outbound = GuardedHttp(Guard("127.0.0.1"), timeout=5)
    with Server(
        path,
        _scripted_model.url,
        clock=clock,
        ids=CountingIds(),
        outbound=outbound,
        listeners=[LogHook()],
    ) as server:
        yield server


@pytest.fixture
def receiver(clock: ManualClock) -> Iterator[Receiver]:
    with Receiver(clock) as receiver:
        yield receiver


@pytest.fixture
def hook(api: Api, receiver: Receiver) -> Iterator[Hook]:
    """Creates webhooks, and deletes them at the end."""
    made: list[str] = []

    def create(**fields: object) -> Json:
        webhook = api.post("/webhooks", {"url": receiver.url, **fields})
        made.append(webhook["id"])
        return webhook

    yield create
    for webhook_id in made:
        api.send("DELETE", f"/webhooks/{webhook_id}")
