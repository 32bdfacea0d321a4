"""What those who watch a process are told of attempts to tell webhooks."""

from pathlib import Path

import httpx2
import pytest

from clew.engine.webhook_deliveries import DELAYS
from clew.hooks import DeliveryTried, Record
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server
from tests.support.wait import until
from tests.webhooks.receiver import Receiver


class Watcher:
    wants: frozenset[type[Record]] = frozenset((DeliveryTried,))

    def __init__(self) -> None:
        self.heard: list[DeliveryTried] = []

    def hear(self, record: Record) -> None:
        assert isinstance(record, DeliveryTried)
        self.heard.append(record)


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def _completed(api: Api, model: ScriptedModel) -> str:
    """Return the id of a run that has completed."""
    model.reply("Done.")
    run = api.run(api.thread("Hello."), api.agent())
    run.wait("completed")
    return str(run.id)


def test_each_attempt_is_told_to_those_who_watch(
    database: Path, http: httpx2.Client, model: ScriptedModel, watcher: Watcher
) -> None:
    clock = ManualClock()
    with Receiver(clock) as receiver:
        outbound = GuardedHttp(Guard("127.0.0.1"))
        with Server(
            database, model.url, clock=clock, ids=CountingIds(), outbound=outbound, listeners=[watcher]
        ) as server:
            api = Api(http, server.url, KEYS["alpha"])
            webhook = api.post("/webhooks", {"url": receiver.url})
            receiver.answer(503, 200, 410)
            first_run = _completed(api, model)
            until(lambda: watcher.heard)
            clock.advance_past_sleep(DELAYS[0])
            until(lambda: len(watcher.heard) == 2)
            second_run = _completed(api, model)
            until(lambda: len(watcher.heard) == 3)
    first, again, gone = watcher.heard
    assert first == DeliveryTried(
        project="alpha",
        webhook_id=webhook["id"],
        event="run.completed",
        run_id=first_run,
        attempts=1,
        status=503,
        problem="The URL answered 503.",
        outcome="will be told again",
    )
    assert (again.run_id, again.attempts, again.status, again.problem, again.outcome) == (
        first_run,
        *(2, 200, None, "told"),
    )
    assert (gone.run_id, gone.status, gone.outcome) == (second_run, 410, "disabled")
