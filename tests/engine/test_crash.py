"""A server killed at the worst moments, and started again: nothing is lost, nothing is done twice.

The moments are chosen by what has happened (the model is in mid-word, an answer was received), never
by time. Everything is real: the process, its files, SIGKILL.
"""

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.api import Api, Json, RunHandle, function_tool, text
from tests.support.database import change, miscounted_threads
from tests.support.wait import until

LOOK = function_tool("look")


@pytest.fixture(scope="module")
def _asked() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture
def model(_asked: ScriptedModel) -> ScriptedModel:
    _asked.reset()
    return _asked


@pytest.fixture(scope="module")
def server(_asked: ScriptedModel) -> Iterator[RunningServer]:
    """One server, which the tests kill and start again on its own data."""
    with RunningServer(_asked) as server:
        yield server


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    with httpx2.Client(timeout=30) as client:
        yield Api(client, server.url, server.api_key)


def _crash(server: RunningServer) -> None:
    server.kill()
    server.start()


def _statuses(items: list[Json]) -> list[str]:
    return [item["status"] for item in items]


def test_a_run_killed_in_the_middle_of_a_word_goes_on_and_doubles_nothing(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    held = model.hold("Go left and ")
    model.reply("Go right.")
    run = api.run(api.thread("Which way?"), api.agent())
    held.wait_paused()
    _crash(server)
    done = run.wait("completed")
    assert api.texts(run.thread) == ["Which way?", "Go right."]
    assert _statuses(run.steps()) == ["completed"]
    assert len(model.requests) == 2
    first, second = (request.headers["idempotency-key"] for request in model.requests)
    assert first.rsplit("/", 1)[0] == second.rsplit("/", 1)[0] == f"{run.id}/1"
    assert done["usage"]["completion_tokens"] == 2, "tokens of the lost answer were booked"


def test_a_run_that_waited_for_outputs_still_takes_them(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    model.call("look", text="Let me see.")
    model.reply("A wall.")
    run = api.run(api.thread("What is there?"), api.agent(tools=[LOOK]))
    calls = run.wait_calls()
    _crash(server)
    assert run.wait_calls() == calls
    assert len(model.requests) == 1, "a waiting run has asked the model again"
    run.answer_calls(lambda call: "a wall")
    run.wait("completed")
    assert api.texts(run.thread) == ["What is there?", "Let me see.", "A wall."]
    assert _statuses(run.steps()) == ["completed"] * 3


def test_accepted_outputs_survive_and_are_used_once(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    model.call("look")
    held = model.hold("A w")
    model.reply("A wall.")
    run = api.run(api.thread("What is there?"), api.agent(tools=[LOOK]))
    (call,) = run.wait_calls()
    run.submit({call["id"]: "a wall"})
    held.wait_paused()
    _crash(server)
    run.wait("completed")
    assert [list(request.tool_outputs.values()) for request in model.requests[1:]] == [["a wall"]] * 2
    assert api.texts(run.thread) == ["What is there?", "A wall."]
    called, _ = run.steps()
    assert called["step_details"]["tool_calls"][0]["function"]["output"] == "a wall"


def test_an_accepted_cancellation_is_carried_out(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    held = model.hold("Go left and ")
    run = api.run(api.thread("Which way?"), api.agent())
    held.wait_paused()
    assert run.cancel()["status"] == "cancelling"
    _crash(server)
    run.wait("cancelled")
    assert len(model.requests) == 1
    assert set(_statuses(run.messages())) <= {"incomplete"}
    api.post(f"/threads/{run.thread}/messages", {"role": "user", "content": "The lock is gone."})


def test_a_run_whose_answer_was_just_received_is_there_and_ends(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    agent = api.agent()
    for number in range(3):
        created = api.post(
            "/threads/runs",
            {"assistant_id": agent, "thread": {"messages": [{"role": "user", "content": str(number)}]}},
        )
        _crash(server)
        run = RunHandle(api, created)
        run.wait("completed")
        assert api.texts(run.thread) == [str(number), f"You said: {number}"]
        assert len(run.steps()) == 1


def test_every_acknowledged_write_is_there_after_a_kill(server: RunningServer, model: ScriptedModel) -> None:
    """Four clients write as fast as they can; the server is killed in the middle of that."""
    writers = [_Writer(server) for _ in range(4)]
    for writer in writers:
        writer.thread.start()
    for writer in writers:
        assert writer.has_some.wait(20)
    server.kill()
    for writer in writers:
        writer.thread.join(20)
    server.start()
    for writer in writers:
        writer.check()


class _Writer:
    """A client that adds, changes and deletes, and remembers what was acknowledged."""

    def __init__(self, server: RunningServer) -> None:
        self._client = httpx2.Client(timeout=30)
        self._api = Api(self._client, server.url, server.api_key)
        self._thread_id = self._api.thread()
        self._path = f"/threads/{self._thread_id}/messages"
        self._metadata: dict[str, str] = {}
        self._kept: list[str] = []
        self._deleted: list[str] = []
        self.has_some = threading.Event()
        self.thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        try:
            for number in range(100_000):
                self._write_once(number)
                if number == 30:
                    self.has_some.set()
        except httpx2.HTTPError:
            return  # the server is gone

    def _write_once(self, number: int) -> None:
        message = self._api.post(self._path, {"role": "user", "content": str(number)})
        self._kept.append(message["id"])
        metadata = {"number": str(number)}
        self._api.post(f"/threads/{self._thread_id}", {"metadata": metadata})
        self._metadata = metadata
        if number % 5 == 4:
            gone = self._kept[-2]
            self._api.delete(f"{self._path}/{gone}")
            self._kept.remove(gone)
            self._deleted.append(gone)

    def check(self) -> None:
        """Hold what the server has now against what it acknowledged; one write more may have happened."""
        there = self._all()
        assert len(there) == len(set(there)), "a message was doubled"
        assert not set(there) & set(self._deleted), "a deleted message is back"
        missing = set(self._kept) - set(there)
        assert len(missing) <= 1, "acknowledged messages were lost"
        assert not missing or missing == {self._kept[-2]}, "only a deletion may have happened unanswered"
        assert len(set(there) - set(self._kept)) <= 1
        assert there == sorted(there, key=self._order)
        number = self._api.get(f"/threads/{self._thread_id}")["metadata"]["number"]
        assert int(self._metadata["number"]) <= int(number) <= int(self._metadata["number"]) + 1
        self._client.close()

    def _order(self, message_id: str) -> int:
        return self._kept.index(message_id) if message_id in self._kept else len(self._kept)

    def _all(self) -> list[str]:
        ids: list[str] = []
        query: Json = {"order": "asc", "limit": 100}
        while True:
            page = self._api.get(self._path, **query)
            ids += [message["id"] for message in page["data"]]
            if not page["has_more"]:
                return ids
            query["after"] = page["last_id"]


def test_an_asked_for_end_is_prompt_and_runs_go_on_after_the_next_start(
    api: Api, server: RunningServer, model: ScriptedModel
) -> None:
    """SIGTERM while the model talks and somebody listens: the process ends by itself, well in time."""
    held = model.hold("Go left and ")
    model.reply("Go right.")
    agent, thread = api.agent(), api.thread("Which way?")
    body = {"assistant_id": agent, "stream": True}
    with httpx2.Client(timeout=30) as client:
        url, headers = f"{server.url}/v1/threads/{thread}/runs", {"Authorization": f"Bearer {api.key}"}
        with client.stream("POST", url, json=body, headers=headers) as stream:
            assert "thread.run.created" in next(stream.iter_text())
            held.wait_paused()
            os.kill(server.pid, signal.SIGTERM)
            until(lambda: not server.is_running(), timeout=8)
    assert "Traceback" not in server.log
    server.restart()
    run = RunHandle(api, api.get(f"/threads/{thread}/runs")["data"][0])
    run.wait("completed")
    assert api.texts(thread) == ["Which way?", "Go right."]
    assert [text(message) for message in run.messages()] == ["Go right."]


def test_idle_threads_go_though_the_server_is_killed_in_between(model: ScriptedModel) -> None:
    """Some are deleted, each with all that is its; the next round deletes the rest, and nothing new."""
    idle = 500
    with RunningServer(model) as server, httpx2.Client(timeout=30) as client:
        database, api = server.data_dir / "clew.db", Api(client, server.url, server.api_key)
        for number in range(idle):
            api.thread(f"Question {number}")
        server.kill()
        for table in ("threads", "messages"):
            change(database, f"UPDATE {table} SET created_at = created_at - 172800000")
        arguments = ["set", server.info.project, "--keep-days", "1", "--data-dir", str(server.data_dir)]
        assert CliRunner().invoke(cli, ["projects", *arguments]).exit_code == 0
        server.start()
        until(lambda: _count(database, "threads") < idle)
        server.kill()
        assert 0 < _count(database, "threads") == _count(database, "messages")
        server.start()
        new = api.thread("Is there anything left?")
        until(lambda: _count(database, "threads") == 1)
        assert api.texts(new) == ["Is there anything left?"]
        assert _count(database, "messages") == 1
        assert miscounted_threads(database) == []


def _count(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
