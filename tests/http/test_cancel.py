"""Cancelling: the answer says cancelling, the model stops at once, and what was said is kept.

Source: OpenAI's published API schema (cancelRun) and the words of its service.
"""

import pytest

from clew.testing.scripted_model import Gate, ScriptedModel, Usage, call
from tests.support.api import Api, RunHandle, function_tool, text
from tests.support.clock import ManualClock
from tests.support.refusals import Refuses
from tests.support.servers import Servers

LOOK = function_tool("look")


def test_a_run_is_stopped_in_the_middle_of_a_word(api: Api, model: ScriptedModel, clock: ManualClock) -> None:
    held = model.hold("Go left and then ")
    run = api.run(api.thread("Which way?"), api.agent())
    held.wait_paused()
    clock.advance(2000)
    answer = run.cancel()
    assert answer["status"] == "cancelling"
    assert (answer["cancelled_at"], answer["usage"]) == (None, None)
    done = run.wait("cancelled")
    assert done["cancelled_at"] == clock.seconds
    assert (done["completed_at"], done["failed_at"], done["expires_at"]) == (None, None, None)
    assert done["usage"]["total_tokens"] >= 0
    assert (done["last_error"], done["incomplete_details"]) == (None, None)
    held.wait_ended()
    assert held.client_left, "the model was left talking"


def test_what_was_said_before_is_kept_as_an_incomplete_message(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    held = model.hold("Go left and then ")
    run = api.run(api.thread("Which way?"), api.agent())
    held.wait_paused()
    run.cancel()
    run.wait("cancelled")
    (message,) = run.messages()
    assert text(message) == "Go left and then "
    assert message["status"] == "incomplete"
    assert message["incomplete_details"] == {"reason": "run_cancelled"}
    assert (message["incomplete_at"], message["completed_at"]) == (clock.seconds, None)
    (step,) = run.steps()
    assert (step["type"], step["status"]) == ("message_creation", "cancelled")
    assert (step["cancelled_at"], step["completed_at"]) == (clock.seconds, None)


def test_a_run_whose_model_has_said_nothing_leaves_no_message(api: Api, model: ScriptedModel) -> None:
    silent = model.silence()
    run = api.run(api.thread("Which way?"), api.agent())
    silent.wait_paused()
    run.cancel()
    done = run.wait("cancelled")
    assert (run.messages(), run.steps()) == ([], [])
    assert done["usage"]["total_tokens"] == 0


def test_a_run_that_waits_for_outputs_is_cancelled_with_its_step(
    api: Api, model: ScriptedModel, refuses: Refuses
) -> None:
    model.reply("Let me see.", call("look"), usage=Usage(5, 6))
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    (asked,) = run.wait_calls()
    answer = run.cancel()
    assert (answer["status"], answer["required_action"]) == ("cancelling", None)
    done = run.wait("cancelled")
    assert (done["required_action"], done["usage"]["total_tokens"]) == (None, 11)
    said, called = run.steps()
    assert (said["status"], called["status"]) == ("completed", "cancelled")
    assert called["step_details"]["tool_calls"][0]["function"]["output"] is None
    assert sum(step["usage"]["total_tokens"] for step in run.steps()) == 11
    assert run.messages()[0]["status"] == "completed"
    outputs = {"tool_outputs": [{"tool_call_id": asked["id"], "output": "late"}]}
    error = refuses(400, "POST", f"{run.path}/submit_tool_outputs", outputs)
    assert error["message"] == 'Runs in status "cancelled" do not accept tool outputs.'


def test_calls_that_were_half_said_are_kept_in_a_cancelled_step(api: Api, model: ScriptedModel) -> None:
    gate = Gate()
    model.reply(call("look", {"at": "the wall"}), gate)
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    gate.wait_reached()
    run.cancel()
    run.wait("cancelled")
    (step,) = run.steps()
    assert (step["type"], step["status"]) == ("tool_calls", "cancelled")


def test_a_cancelled_run_frees_its_thread(api: Api, model: ScriptedModel) -> None:
    held = model.hold("Go left")
    thread, agent = api.thread("Which way?"), api.agent()
    run = api.run(thread, agent)
    held.wait_paused()
    run.cancel()
    run.wait("cancelled")
    api.post(f"/threads/{thread}/messages", {"role": "user", "content": "Well?"})
    api.run(thread, agent).wait("completed")
    told = [message["content"] for message in model.requests[-1].messages]
    assert told == ["Which way?", "Go left", "Well?"]


@pytest.mark.parametrize("ending", ["completed", "cancelled", "failed", "incomplete"])
def test_a_run_that_is_over_cannot_be_cancelled(
    api: Api, model: ScriptedModel, refuses: Refuses, ending: str
) -> None:
    if ending == "failed":
        model.fail(400)
    if ending == "incomplete":
        model.reply("Too lo", finish_reason="length")
    held = model.hold("Wait") if ending == "cancelled" else None
    run = api.run(api.thread("Go."), api.agent())
    if held is not None:
        held.wait_paused()
        run.cancel()
    run.wait(ending)
    error = refuses(400, "POST", f"{run.path}/cancel")
    assert error == {
        "message": f"Cannot cancel run with status '{ending}'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_an_unknown_run_cannot_be_cancelled(api: Api, refuses: Refuses) -> None:
    error = refuses(404, "POST", f"/threads/{api.thread()}/runs/run_x/cancel")
    assert error["message"] == "No run found with id 'run_x'."


def test_a_run_that_nobody_has_taken_yet_is_cancelled_once_somebody_does(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start(works=False) as api:
        run = api.run(api.thread("Go."), api.agent())
        assert run.now()["status"] == "queued"
        assert run.cancel()["status"] == "cancelling"
        error = api.refused(400, "POST", f"{run.path}/cancel")
        assert error["message"] == "Cannot cancel run with status 'cancelling'."
        outputs = {"tool_outputs": [{"tool_call_id": "call_x", "output": ""}]}
        error = api.refused(400, "POST", f"{run.path}/submit_tool_outputs", outputs)
        assert error["message"] == 'Runs in status "cancelling" do not accept tool outputs.'
        message = {"role": "user", "content": "And?"}
        error = api.refused(400, "POST", f"/threads/{run.thread}/messages", message)
        assert error["message"] == f"Can't add messages to {run.thread} while a run {run.id} is active."
    with servers.start() as api:
        cancelled = RunHandle(api, run.created).wait("cancelled")
        assert (cancelled["started_at"], cancelled["usage"]["total_tokens"]) == (None, 0)
    assert model.requests == []
