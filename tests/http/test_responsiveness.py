"""Nothing that takes long holds up anybody else: not the store's writer, not a long thread, not the model."""

import sqlite3
import threading

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.server import Server


def test_a_writer_that_waits_for_the_disk_holds_up_no_reader(api: Api, server: Server) -> None:
    thread = api.thread("kept")
    answers: list[str] = []
    other_process = sqlite3.connect(server.place, isolation_level=None)
    other_process.execute("BEGIN IMMEDIATE")  # no commit can be made until this ends
    writer = threading.Thread(target=lambda: answers.append(api.thread("late")))
    writer.start()
    try:
        for _ in range(20):
            assert api.texts(thread) == ["kept"]
            assert api.get("/models")["data"]
        assert answers == []
    finally:
        other_process.execute("ROLLBACK")
        other_process.close()
    writer.join(15)
    assert api.texts(answers[0]) == ["late"]


def test_a_model_that_says_nothing_holds_up_no_other_run(api: Api, model: ScriptedModel) -> None:
    agent = api.agent()
    silent = model.silence(then="At last.")
    waiting = api.run(api.thread("Are you there?"), agent)
    silent.wait_paused()
    for _ in range(5):
        api.run(api.thread("And you?"), agent).wait("completed")
    assert waiting.now()["status"] == "in_progress"
    silent.release()
    waiting.wait("completed")


def test_a_long_thread_is_read_beside_the_event_loop(api: Api, model: ScriptedModel) -> None:
    agent, long_thread = api.agent(), api.thread(*(f"message {number}" for number in range(400)))
    runs = [api.run(long_thread, agent, truncation_strategy={"type": "last_messages", "last_messages": 300})]
    runs.append(api.run(api.thread("short"), agent))
    for run in runs:
        run.wait("completed")
    sent = {len(request.messages) for request in model.requests}
    assert sent == {300, 1}
