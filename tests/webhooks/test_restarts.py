"""What a webhook is still to be told survives the end of the process, whatever kind of end."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import httpx2

from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds
from tests.support.server import KEYS, MODEL_KEY, Server
from tests.support.wait import until
from tests.webhooks.receiver import Answer, Receiver


def _ended_run(api: Api) -> str:
    """Return the id of a run that is over."""
    run = api.run(api.thread("Hello."), api.agent())
    run.wait()
    return str(run.id)


def test_a_server_that_starts_tells_what_another_had_not(
    database: Path, clock: ManualClock, http: httpx2.Client
) -> None:
    ids = CountingIds()
    with ScriptedModel(api_key=MODEL_KEY) as model, Receiver(clock) as receiver:
        model.reply("Done.")
        outbound = GuardedHttp(Guard(receiver.address))
        with Server(database, model.url, clock=clock, ids=ids, outbound=outbound) as first:
            api = Api(http, first.url, KEYS["alpha"])
            receiver.answer(Answer(held=True))
            secret = api.post("/webhooks", {"url": receiver.url})["secret"]
            run = _ended_run(api)
            receiver.wait()
        outbound = GuardedHttp(Guard(receiver.address))
        with Server(database, model.url, clock=clock, ids=ids, outbound=outbound):
            before, after = receiver.wait(2)
        assert after.id == before.id
        assert after.body == before.body
        assert after.event["data"]["id"] == run
        after.verify(secret)


def test_what_was_written_but_never_tried_is_told_after_a_restart(
    database: Path, clock: ManualClock, http: httpx2.Client
) -> None:
    ids = CountingIds()

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with ScriptedModel(api_key=MODEL_KEY) as model, Receiver(clock) as receiver:
        url = f"http://receiver.example:{receiver.port}/"
        with Server(database, model.url, clock=clock, ids=ids) as silent:
            api = Api(http, silent.url, KEYS["alpha"])
            secret = api.post("/webhooks", {"url": url})["secret"]
            ended = {_ended_run(api) for _ in range(10)}
        assert receiver.connections == 0
        clock.advance(24 * 3600 * 1000)
        outbound = GuardedHttp(Guard("127.0.0.1", here))
        with Server(database, model.url, clock=clock, ids=ids, outbound=outbound):
            heard = receiver.wait(10)
        assert {each.event["data"]["id"] for each in heard} == ended
        for each in heard:
            each.verify(secret)


def test_kill_9_between_the_commit_and_the_receivers_answer_loses_nothing(http: httpx2.Client) -> None:
    with ScriptedModel() as model, Receiver() as receiver:
        receiver.answer(Answer(held=True), Answer(held=True), 200)
        for _ in range(2):
            model.reply("Done.")
        settings = {"outbound_allow": receiver.address}
        with RunningServer(model, settings=settings) as server:
            api = Api(http, server.url, server.api_key)
            webhook = api.post("/webhooks", {"url": receiver.url})
            runs = {_ended_run(api), _ended_run(api)}
            heard = receiver.wait(2)
            assert {each.event["data"]["id"] for each in heard} == runs
            server.kill()
            server.restart()
            heard = receiver.wait(4)
            assert {each.id for each in heard[:2]} == {each.id for each in heard[2:]}
            for each in heard:
                each.verify(webhook["secret"])
            until(lambda: _is_told(server))
            server.kill()
            server.restart()
            assert _ended_run(api)
            receiver.wait(5)
            assert len(receiver.heard) == 5, "what was told is not told again"
            assert webhook["secret"].removeprefix("whsec_") not in server.log


def _is_told(server: RunningServer) -> bool:
    connection = sqlite3.connect(server.data_dir / "clew.db")
    try:
        query = "SELECT count(*) FROM due_work WHERE kind = 'webhook'"
        row: tuple[int] = connection.execute(query).fetchone()
        return row[0] == 0
    finally:
        connection.close()
