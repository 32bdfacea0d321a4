"""Several servers and workers on one database: any may serve, any may work, any may die."""

import re
import threading
from typing import Any

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.cluster import Cluster, Process
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.sse import Frame, outline, said
from tests.support.wait import until

pytestmark = pytest.mark.timeout(60)

LOOK = function_tool("look")
WHOLE = [
    "run.created",
    "run.queued",
    "run.in_progress",
    "run.step.created",
    "run.step.in_progress",
    "message.created",
    "message.in_progress",
    "message.delta",
    "message.completed",
    "run.step.completed",
    "run.completed",
    "done",
]


def _elsewhere(api: Api, run: RunHandle) -> RunHandle:
    """Return a run as another server serves it."""
    return RunHandle(api, run.created)


def _check_whole(told: list[Frame], text: str) -> None:
    assert outline(told) == WHOLE
    assert said(told) == text


def _numbers(told: list[Frame]) -> list[int | None]:
    return [frame.id for frame in told if frame.event != "done"]


# --- one works, another serves -------------------------------------------------------------------


def test_a_server_that_only_serves_streams_what_a_worker_does(
    together: Cluster, model: ScriptedModel
) -> None:
    _, serving = together.server("--no-worker")
    together.worker()
    held = model.hold("Go left ", "and right.")
    body = {"assistant_id": serving.agent(), "stream": True}
    with serving.stream("POST", f"/threads/{serving.thread('Where?')}/runs", body) as stream:
        told: list[Frame] = []
        for frame in stream:
            told.append(frame)
            if frame.event == "thread.message.delta":  # it came while the model was still speaking
                held.release()
    _check_whole(told, "Go left and right.")


def test_a_reader_who_comes_late_to_another_server_misses_nothing(
    together: Cluster, model: ScriptedModel
) -> None:
    _, working = together.server()
    _, serving = together.server("--no-worker")
    held = model.hold("Go left ", "and right.")
    run = working.run(working.thread("Where?"), working.agent())
    held.wait_paused()
    with serving.stream("GET", f"{run.path}/events") as stream:
        told: list[Frame] = []
        for frame in stream:
            told.append(frame)
            if frame.event == "thread.message.delta":
                held.release()
    _check_whole(told, "Go left and right.")
    assert _numbers(told) == sorted(set(_numbers(told)), key=lambda number: number or 0)


def test_tools_are_answered_on_another_server_than_the_one_that_asked(
    together: Cluster, model: ScriptedModel
) -> None:
    _, one = together.server()
    _, other = together.server()
    model.call("look")
    model.reply("A wall.")
    run = one.run(one.thread("What is there?"), one.agent(tools=[LOOK]))
    with one.stream("GET", f"{run.path}/events") as stream:
        told = [next(stream)]
        _elsewhere(other, run).answer_calls(lambda call: "a wall")
        told += stream  # it goes on though the run goes on elsewhere
    assert outline(told)[-2:] == ["run.completed", "done"]
    assert said(told) == "A wall."
    assert other.texts(run.thread) == ["What is there?", "A wall."]


def test_a_run_is_cancelled_at_another_server_than_the_one_that_works_on_it(
    together: Cluster, model: ScriptedModel
) -> None:
    _, one = together.server()
    _, other = together.server("--no-worker")
    held = model.hold("Go left and ")
    run = one.run(one.thread("Where?"), one.agent())
    held.wait_paused()
    assert _elsewhere(other, run).cancel()["status"] == "cancelling"
    cancelled = _elsewhere(other, run).wait("cancelled")
    assert cancelled["usage"]["completion_tokens"] > 0, "its own worker did not end it"
    assert [message["status"] for message in run.messages()] == ["incomplete"]


def test_a_long_poll_at_another_server_is_answered_when_the_run_ends(
    together: Cluster, model: ScriptedModel
) -> None:
    _, one = together.server()
    _, other = together.server("--no-worker")
    run = one.run(one.thread("Where?"), one.agent())
    assert other.get(run.path, wait=30)["status"] == "completed"


def test_two_servers_let_one_run_at_a_time_work_on_a_thread(together: Cluster, model: ScriptedModel) -> None:
    _, one = together.server()
    _, other = together.server()
    held = model.hold("Slowly")
    agent, thread = one.agent(), one.thread("Where?")
    run = one.run(thread, agent)
    error = other.refused(400, "POST", f"/threads/{thread}/runs", {"assistant_id": agent})
    assert error["message"] == f"Thread {thread} already has an active run {run.id}."
    held.release()
    run.wait("completed")


# --- somebody dies -------------------------------------------------------------------------------


def test_the_runs_of_a_killed_worker_go_on_with_another(
    together: Cluster, model: ScriptedModel, postgres: PostgresServer
) -> None:
    _, serving = together.server("--no-worker")
    first = together.worker()
    held = model.hold("Go left and ")
    model.reply("Go right.")
    run = serving.run(serving.thread("Where?"), serving.agent())
    with serving.stream("GET", f"{run.path}/events") as stream:
        told = [next(stream)]
        held.wait_paused()
        together.worker()
        first.kill()
        told += stream
    assert run.now()["status"] == "completed"
    assert serving.texts(run.thread) == ["Where?", "Go right."]
    assert said(told).endswith("Go right.")
    assert _numbers(told) == sorted(set(_numbers(told)), key=lambda number: number or 0)
    assert len(run.steps()) == 1
    one, two = (request.headers["idempotency-key"] for request in model.requests)
    assert one == two, "the same request, made again"
    assert _takeovers(together, postgres) == [(run.id, 2, 1)]


def _takeovers(together: Cluster, postgres: PostgresServer) -> list[tuple[Any, ...]]:
    query = "SELECT run_id, epoch, turn FROM takeovers"
    return [tuple(row) for row in postgres.query(query, database=together.database)]


def test_a_worker_that_is_asked_to_end_lets_its_run_end(together: Cluster, model: ScriptedModel) -> None:
    _, serving = together.server("--no-worker")
    first = together.worker()
    held = model.hold("Go left.")
    run = serving.run(serving.thread("Where?"), serving.agent())
    held.wait_paused()
    first.ask_to_end()
    until(lambda: "ending: " in first.log)
    held.release()
    assert first.wait_ended() == 0
    run.wait("completed")
    assert serving.texts(run.thread) == ["Where?", "Go left."]
    assert len(model.requests) == 1


def test_a_worker_that_must_end_hands_over_what_takes_too_long(
    together: Cluster, model: ScriptedModel
) -> None:
    _, serving = together.server("--no-worker")
    first = together.worker(drain_timeout=0)
    model.hold("Go left and ")
    model.reply("Go right.")
    run = serving.run(serving.thread("Where?"), serving.agent())
    until(lambda: model.requests)
    together.worker()
    first.ask_to_end()
    assert first.wait_ended() == 0
    run.wait("completed")
    assert serving.texts(run.thread) == ["Where?", "Go right."]
    assert len(run.steps()) == 1


def test_a_rolling_restart_under_load_loses_no_run(together: Cluster, model: ScriptedModel) -> None:
    _, serving = together.server("--no-worker")
    workers = [together.worker(), together.worker()]
    agent = serving.agent()
    made: list[RunHandle] = []
    for worker in workers:
        made += [serving.run(serving.thread(str(number)), agent) for number in range(20)]
        together.worker()
        worker.ask_to_end()
        made += [serving.run(serving.thread(str(number)), agent) for number in range(20)]
    for worker in workers:
        assert worker.wait_ended() == 0
    for run in made:
        run.wait("completed")
    assert all(len(serving.texts(run.thread)) == 2 for run in made)


_PACE = 0.05
"""Seconds between two runs of a client."""


class _Load(threading.Thread):
    """A client that starts runs, one after the other, at whichever server answers, as behind a balancer."""

    def __init__(self, agent: str, servers: list[Api]) -> None:
        super().__init__(daemon=True)
        self._agent = agent
        self.servers = servers
        """Those that may be asked; replaced as a whole."""
        self.made: list[Json] = []
        self.refused: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stop.wait(_PACE):
            number += 1
            said = [{"role": "user", "content": f"number {number}"}]
            body = {"assistant_id": self._agent, "thread": {"messages": said}}
            self._start(body, {"Idempotency-Key": f"load-{number}"})

    def wait_for(self, more: int) -> None:
        """Return when so many more runs have been started."""
        wanted = len(self.made) + more
        until(lambda: len(self.made) >= wanted)

    def _start(self, body: Json, headers: dict[str, str]) -> None:
        """Ask until somebody answers; the key sees to it that nothing is done twice."""
        while True:
            for api in self.servers:
                try:
                    answer = api.send("POST", "/threads/runs", body, headers=headers)
                except httpx2.TransportError:
                    continue
                if answer.status_code == 200:
                    self.made.append(answer.json())
                    return
                self.refused.append(answer.text)


def test_servers_are_exchanged_one_after_the_other_under_load_and_nothing_is_lost(
    together: Cluster, model: ScriptedModel
) -> None:
    """As an upgrade is made: start the new one, take the old one out of the balancer, SIGTERM, wait."""
    olds = [together.server(), together.server()]
    load = _Load(olds[0][1].agent(), [api for _, api in olds])
    load.start()
    for process, api in olds:
        load.wait_for(10)
        _, new = together.server()
        load.servers = [new, *(each for each in load.servers if each is not api)]
        process.ask_to_end()
        assert process.wait_ended() == 0
    load.wait_for(10)
    load.stop.set()
    load.join(20)
    assert not load.is_alive()
    assert load.refused == []
    api = load.servers[0]
    for number, created in enumerate(load.made, start=1):
        run = RunHandle(api, created)
        run.wait("completed")
        first, answer = api.texts(run.thread)
        assert (first, bool(answer)) == (f"number {number}", True)
    assert len({created["id"] for created in load.made}) == len(load.made)


def test_without_any_worker_runs_wait_for_one(together: Cluster, model: ScriptedModel) -> None:
    _, serving = together.server("--no-worker")
    run = serving.run(serving.thread("Where?"), serving.agent())
    assert run.now()["status"] == "queued"
    together.worker()
    run.wait("completed")


# --- the bus and the database go away ---------------------------------------------------------------


def test_a_bus_that_has_lost_everything_costs_nothing_but_time(
    together: Cluster, model: ScriptedModel, own_nats: NatsServer
) -> None:
    _, serving = together.server("--no-worker", bus_url=own_nats.url)
    waiting = serving.run(serving.thread("Where?"), serving.agent())
    own_nats.kill()
    unheard = serving.run(serving.thread("And where?"), serving.agent())
    own_nats.lose_everything()
    together.worker(bus_url=own_nats.url)
    waiting.wait("completed")
    unheard.wait("completed")
    until(lambda: _is_ready(serving))


def _is_ready(api: Api) -> bool:
    return api._client.get(f"{api.url}/readyz").status_code == 200


def test_a_server_without_its_bus_goes_on_with_what_it_can_do_itself(
    together: Cluster, model: ScriptedModel, own_nats: NatsServer
) -> None:
    _, api = together.server(bus_url=own_nats.url)
    own_nats.kill()
    until(lambda: not _is_ready(api))
    assert api._client.get(f"{api.url}/healthz").status_code == 200
    api.run(api.thread("Where?"), api.agent()).wait("completed")
    own_nats.start()
    until(lambda: _is_ready(api))


def test_a_database_that_crashes_and_comes_back_is_waited_for(
    together: Cluster, model: ScriptedModel, own_postgres: PostgresServer
) -> None:
    url = own_postgres.new_database("waited_for")
    _, api = together.server(database_url=url)
    held = model.hold("Go left ", "and right.")
    run = api.run(api.thread("Where?"), api.agent())
    held.wait_paused()
    own_postgres.crash_and_restart()
    held.release()
    run.wait("completed")
    assert api.texts(run.thread) == ["Where?", "Go left and right."]
    assert len(model.requests) == 1
    own_postgres.cut_connections("waited_for")
    assert api.get(run.path)["status"] == "completed"


# --- starting ------------------------------------------------------------------------------------


def test_what_cannot_be_reached_is_said_in_one_line(together: Cluster) -> None:
    for setting, value, words, code in (  # a bus is waited for, and then it has timed out
        ("bus_url", "nats://127.0.0.1:1", r"No NATS server answers at nats://127\.0\.0\.1:1", 4),
        ("database_url", "postgresql://clew@127.0.0.1:1/clew", r"Cannot use the PostgreSQL database: ", 1),
    ):
        process: Process = together.begin("worker", **{setting: value})
        assert process.wait_ended() == code
        assert re.match(rf"Error: {words}[^\n]*\n\Z", process.log), process.log


def test_a_feed_tells_of_runs_that_another_process_works_on(together: Cluster, model: ScriptedModel) -> None:
    _, api = together.server("--no-worker")
    together.worker()
    agent = api.agent()
    with api.stream("GET", "/events") as told:
        while next(told).event != "ready":
            pass
        run = api.run(api.thread("Hello."), agent)
        statuses: list[str] = []
        while "completed" not in statuses:
            frame = next(told)
            if frame.event == "run.changed" and frame.data["run"] == run.id:
                statuses.append(frame.data["status"])
    assert statuses == ["queued", "in_progress", "completed"]
    assert [each["id"] for each in api.get("/runs", status="completed")["data"]] == [run.id]
