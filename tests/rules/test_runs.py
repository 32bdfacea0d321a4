"""Rules of a run's lock, its retries and its expiry that need a server in a certain state."""

import pytest

from clew.core.states import StepStatus
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, function_tool
from tests.support.clock import ManualClock
from tests.support.servers import Servers


def test_a_thread_is_locked_from_the_creation_of_its_run_until_that_is_cancelled(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start(works=False) as api:
        thread, agent = api.thread("Go."), api.agent()
        run = api.run(thread, agent)
        for status in ("queued", "cancelling"):
            assert run.now()["status"] == status
            error = api.refused(
                400, "POST", f"/threads/{thread}/messages", {"role": "user", "content": "And?"}
            )
            assert error["message"] == f"Can't add messages to {thread} while a run {run.id} is active."
            error = api.refused(400, "POST", f"/threads/{thread}/runs", {"assistant_id": agent})
            assert error["message"] == f"Thread {thread} already has an active run {run.id}."
            if status == "queued":
                run.cancel()
    assert model.requests == []


def test_a_step_knows_no_other_states_than_these() -> None:
    assert set(StepStatus) == {"in_progress", "completed", "failed", "cancelled", "expired"}


def test_a_run_expires_while_it_waits_to_ask_again(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.fail(429, retry_after=20)
    run = api.run(api.thread("Go."), api.agent(), expires_in=5)
    model.wait_for_requests(1)
    clock.advance_past_sleep(5000)
    done = run.wait("expired")
    assert (done["last_error"], done["usage"]["total_tokens"]) == (None, 0)
    assert len(model.requests) == 1
    assert (run.steps(), run.messages()) == ([], [])


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "before a word"])
def test_a_failed_run_is_no_error_of_any_endpoint(api: Api, model: ScriptedModel, answered: bool) -> None:
    if answered:
        model.cut(after="Go ")
    else:
        model.fail(400)
    run = api.run(api.thread("Go."), api.agent())
    run.wait("failed")
    for path in (run.path, f"{run.path}/steps", f"{run.path[: -len(run.id) - 1]}", f"/threads/{run.thread}"):
        assert api.get(path)
    assert api.send("GET", f"{run.path}/events").status_code == 200


def test_runs_and_steps_cannot_be_deleted(api: Api) -> None:
    run = api.run(api.thread("Go."), api.agent())
    run.wait("completed")
    (step,) = run.steps()
    for path in (run.path, f"{run.path}/steps/{step['id']}"):
        api.refused(405, "DELETE", path)
        assert api.get(path)["id"] in (run.id, step["id"])


def test_a_run_outlives_its_agent_which_starts_no_other(api: Api, model: ScriptedModel) -> None:
    model.call("look")
    agent = api.agent(tools=[function_tool("look")])
    run = api.run(api.thread("Go."), agent)
    run.wait_calls()
    api.delete(f"/assistants/{agent}")
    run.answer_calls(lambda call: "a wall")
    run.wait("completed")
    error = api.refused(404, "POST", f"/threads/{run.thread}/runs", {"assistant_id": agent})
    assert error["message"] == f"No assistant found with id '{agent}'."
