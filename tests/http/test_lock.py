"""The thread lock: one live run a thread. Programs match these sentences and pull the ids out of them.

Source: OpenAI's guide "How Assistants work", section "Thread locks"; status 400, because both vendors'
SDKs send a request again after a 409.
"""

import re
import threading
from collections import Counter

import pytest

from clew.testing.scripted_model import Reply, ScriptedModel
from tests.support.api import Api, RunHandle, function_tool
from tests.support.refusals import Refuses
from tests.support.wait import until


@pytest.fixture
def held(model: ScriptedModel) -> Reply:
    return model.hold("Wait")


@pytest.fixture
def working(api: Api, held: Reply) -> RunHandle:
    """A run whose model is in the middle of its answer."""
    run = api.run(api.thread("Go."), api.agent())
    held.wait_paused()
    return run


def test_no_message_can_be_added_while_a_run_works(refuses: Refuses, working: RunHandle) -> None:
    path = f"/threads/{working.thread}/messages"
    error = refuses(400, "POST", path, {"role": "user", "content": "And?"})
    assert error == {
        "message": f"Can't add messages to {working.thread} while a run {working.id} is active.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    "more",
    [{}, {"additional_messages": [{"role": "user", "content": "And?"}]}, {"stream": True}],
    ids=["plain", "with messages", "streamed"],
)
def test_no_second_run_can_start_while_one_works(
    refuses: Refuses, working: RunHandle, more: dict[str, object]
) -> None:
    body = {"assistant_id": working.created["assistant_id"], **more}
    error = refuses(400, "POST", f"/threads/{working.thread}/runs", body)
    assert error == {
        "message": f"Thread {working.thread} already has an active run {working.id}.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert re.search(r"run_\w+", error["message"]).group() == working.id  # type: ignore[union-attr]


def test_a_thread_is_locked_while_its_run_waits_for_outputs(
    api: Api, model: ScriptedModel, refuses: Refuses
) -> None:
    model.call("look")
    agent = api.agent(tools=[function_tool("look")])
    run = api.run(api.thread("Go."), agent)
    run.wait_calls()
    message = {"role": "user", "content": "And?"}
    error = refuses(400, "POST", f"/threads/{run.thread}/messages", message)
    assert error["message"] == f"Can't add messages to {run.thread} while a run {run.id} is active."
    error = refuses(400, "POST", f"/threads/{run.thread}/runs", {"assistant_id": agent})
    assert error["message"] == f"Thread {run.thread} already has an active run {run.id}."


def test_reading_and_metadata_are_not_locked(api: Api, working: RunHandle) -> None:
    thread = f"/threads/{working.thread}"
    (message,) = api.get(f"{thread}/messages")["data"]
    assert len(api.get(f"{thread}/runs")["data"]) == 1
    assert api.get(f"{working.path}/steps")["data"] == []
    for path in (thread, working.path, f"{thread}/messages/{message['id']}"):
        assert api.get(path)
        assert api.post(path, {"metadata": {"seen": "yes"}})["metadata"] == {"seen": "yes"}


def test_metadata_given_while_the_model_works_survives_the_end_of_the_run(
    working: RunHandle, held: Reply
) -> None:
    working.api.post(working.path, {"metadata": {"seen": "yes"}})
    held.release()
    assert working.wait("completed")["metadata"] == {"seen": "yes"}


def test_other_threads_are_not_concerned(api: Api, working: RunHandle) -> None:
    run = api.run(api.thread("Me too."), working.created["assistant_id"])
    run.wait("completed")
    assert working.now()["status"] == "in_progress"


def test_the_lock_ends_with_the_run(api: Api, working: RunHandle, held: Reply) -> None:
    held.release()
    working.wait("completed")
    api.post(f"/threads/{working.thread}/messages", {"role": "user", "content": "And?"})
    api.run(working.thread, working.created["assistant_id"]).wait("completed")


def test_of_fifty_runs_at_once_on_a_thread_exactly_one_starts(api: Api, model: ScriptedModel) -> None:
    thread, agent = api.thread("Go."), api.agent()
    held = model.hold("Wait")
    answers: list[tuple[int, str]] = []
    gate = threading.Barrier(50)

    def start(number: int) -> None:
        added = [{"role": "user", "content": str(number)}]
        gate.wait()
        response = api.send(
            "POST", f"/threads/{thread}/runs", {"assistant_id": agent, "additional_messages": added}
        )
        answers.append((response.status_code, response.text))

    starters = [threading.Thread(target=start, args=(number,)) for number in range(50)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert Counter(status for status, _ in answers) == {200: 1, 400: 49}
    (run,) = api.get(f"/threads/{thread}/runs", limit=100)["data"]
    refused = {body for status, body in answers if status == 400}
    assert len(refused) == 1
    assert f"Thread {thread} already has an active run {run['id']}." in refused.pop()
    held.wait_paused()
    assert len(api.texts(thread)) == 2, "a refused run has added its message"
    held.release()
    RunHandle(api, run).wait("completed")
    assert len(model.requests) == 1


def test_deleting_a_thread_ends_its_run(api: Api, working: RunHandle, held: Reply) -> None:
    assert api.delete(f"/threads/{working.thread}")["deleted"] is True
    held.wait_ended()
    assert held.client_left, "the model was left talking"
    api.refused(404, "GET", working.path)


def test_a_message_deleted_while_the_model_works_is_gone_and_the_run_goes_on(
    working: RunHandle, held: Reply
) -> None:
    api = working.api
    (message,) = api.get(f"/threads/{working.thread}/messages")["data"]
    api.delete(f"/threads/{working.thread}/messages/{message['id']}")
    held.release()
    working.wait("completed")
    until(lambda: api.texts(working.thread) == ["Wait"])
