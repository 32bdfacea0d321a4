"""Tools that the server runs, alone and mixed with functions; approvals; what is switched off.

The tools are Clew's own; how mixed turns and approvals go follows azure-ai-agents 1.2.
"""

import threading
from itertools import groupby
from typing import Any

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel, Usage, call
from clew.tools.toolbox import Toolbox
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.refusals import Refuses
from tests.support.servers import Servers

CLOCK, SUM = {"type": "clew_clock"}, {"type": "clew_calculator"}
ASKED = CLOCK | {"require_approval": "always"}
LOOK = function_tool("look")


def _add(left: int) -> Any:
    return call("clew_calculator", {"expression": f"{left} + 1"})


def _calls(run: RunHandle) -> list[Json]:
    """Return the calls of a run's steps, in order, each as what its member says."""
    steps = [step for step in run.steps() if step["type"] == "tool_calls"]
    calls = [each for step in steps for each in step["step_details"]["tool_calls"]]
    return [{"type": each["type"], **each[each["type"]]} for each in calls]


def _to_approve(run: RunHandle) -> list[Json]:
    action = run.wait("requires_action")["required_action"]
    assert set(action) == {"type", "submit_tool_approval"}
    assert action["type"] == "submit_tool_approval"
    calls: list[Json] = action["submit_tool_approval"]["tool_calls"]
    return calls


def _decide(run: RunHandle, *answers: bool) -> Json:
    decided = [
        {"tool_call_id": each["id"], "approve": approve}
        for each, approve in zip(_to_approve(run), answers, strict=True)
    ]
    return run.api.post(f"{run.path}/submit_tool_outputs", {"tool_approvals": decided})


# --- running -----------------------------------------------------------------------------------------


def test_the_server_runs_its_own_tools_and_the_model_gets_all_results(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.calls(_add(41), call("clew_clock"), _add(1), text="Let me see.")
    model.reply("It is 42.", usage=Usage(20, 3))
    run = api.run(api.thread("What is 41 + 1?"), api.agent(tools=[CLOCK, SUM]))
    assert run.created["tools"] == [CLOCK, SUM]
    assert run.wait("completed")["required_action"] is None
    assert [step["type"] for step in run.steps()] == ["message_creation", "tool_calls", "message_creation"]
    assert all(step["status"] == "completed" for step in run.steps())
    first, now, second = _calls(run)
    assert first == {
        "type": "clew_calculator",
        "name": "clew_calculator",
        "arguments": '{"expression":"41 + 1"}',
        "output": "42",
    }
    assert second["output"] == "2"
    assert now["output"].endswith("UTC")
    asked, answered = model.requests
    assert [tool["function"]["name"] for tool in asked.body["tools"]] == ["clew_clock", "clew_calculator"]
    assert [each["content"] for each in answered.messages[2:]] == ["42", now["output"], "2"]
    assert api.texts(run.thread) == ["What is 41 + 1?", "Let me see.", "It is 42."]


def test_a_mixed_turn_asks_the_client_for_its_own_calls_when_the_servers_are_done(
    api: Api, model: ScriptedModel
) -> None:
    model.calls(call("look"), _add(1), call("fly"))
    model.reply("Done.")
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK, SUM]))
    waiting = run.wait_calls()
    assert [each["function"]["name"] for each in waiting] == ["look"]
    assert [(each["type"], each["output"]) for each in _calls(run)][:2] == [
        ("function", None),
        ("clew_calculator", "2"),
    ]
    assert run.steps()[0]["status"] == "in_progress"
    run.answer_calls(lambda _: "a wall")
    run.wait("completed")
    contents = [each["content"] for each in model.requests[1].messages[2:]]
    assert contents[:2] == ["a wall", "2"]
    assert contents[2].startswith('{"error":"There is no function named')


def test_a_function_that_is_not_offered_is_told_as_json_whatever_its_name(
    api: Api, model: ScriptedModel
) -> None:
    model.calls(call('fly"\\'), _add(1))
    model.reply("Done.")
    run = api.run(api.thread("Go."), api.agent(tools=[SUM]))
    run.wait("completed")
    told = httpx2.Response(200, content=model.requests[1].messages[2]["content"]).json()
    assert "fly" in told["error"]
    assert "['clew_calculator']" in told["error"]


def test_a_clients_function_keeps_its_name_and_the_servers_gets_another(
    api: Api, model: ScriptedModel
) -> None:
    model.calls(call("clew_clock"), call("clew_clock_2"))
    model.reply("Done.")
    run = api.run(api.thread("Go."), api.agent(tools=[CLOCK, function_tool("clew_clock")]))
    assert [each["function"]["name"] for each in run.wait_calls()] == ["clew_clock"]
    run.answer_calls(lambda _: "noon")
    run.wait("completed")
    assert [(each["type"], each["name"]) for each in _calls(run)] == [
        ("function", "clew_clock"),
        ("clew_clock", "clew_clock_2"),
    ]


def test_what_goes_wrong_is_told_to_the_model_and_the_run_goes_on(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_calculator", {"expression": "9**9**9"}), call("clew_clock", "{"))
    model.reply("Sorry.")
    run = api.run(api.thread("Go."), api.agent(tools=[CLOCK, SUM]))
    run.wait("completed")
    too_large, broken = (each["output"] for each in _calls(run))
    assert too_large == '{"error":"It can\'t be calculated: the power is too large."}'
    assert broken.startswith('{"error":"The arguments of clew_clock are wrong')
    summary = api.get("/metrics/summary")
    assert summary["tools"]["clew_calculator"]["outcomes"]["failed"] >= 1


def test_a_forced_tool_of_the_servers_is_forced_by_the_name_that_the_model_knows(
    api: Api, model: ScriptedModel
) -> None:
    model.calls(call("clew_clock"))
    model.reply("Noon.")
    choice = {"type": "clew_clock"}
    run = api.run(api.thread("When?"), api.agent(tools=[SUM, CLOCK]), tool_choice=choice)
    assert run.wait("completed")["tool_choice"] == choice
    forced = {"type": "function", "function": {"name": "clew_clock"}}
    assert model.requests[0].body["tool_choice"] == forced
    assert "tool_choice" not in model.requests[1].body


def test_a_tool_of_the_servers_that_a_run_does_not_have_can_not_be_forced(api: Api, refuses: Refuses) -> None:
    thread = api.thread("When?")
    for tools in ([SUM], [LOOK], []):
        body = {"assistant_id": api.agent(tools=tools), "tool_choice": CLOCK}
        assert refuses(400, "POST", f"/threads/{thread}/runs", body)["param"] == "tool_choice"


# --- streams -----------------------------------------------------------------------------------------


def test_a_stream_tells_calls_outputs_and_the_answer_in_order(api: Api, model: ScriptedModel) -> None:
    model.calls(_add(41))
    model.reply("42.")
    body = {"assistant_id": api.agent(tools=[SUM]), "stream": True}
    with api.stream("POST", f"/threads/{api.thread('41 + 1?')}/runs", body) as stream:
        told = list(stream)
    assert [name for name, _ in groupby(frame.event for frame in told)] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.step.completed",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]
    deltas = [frame.data["delta"]["step_details"] for frame in told if frame.event == "thread.run.step.delta"]
    head, *pieces, output = [delta["tool_calls"][0] for delta in deltas]
    assert head["id"].startswith("call_")
    assert head["clew_calculator"] == {"name": "clew_calculator", "arguments": "", "output": None}
    assert "".join(piece["clew_calculator"]["arguments"] for piece in pieces) == '{"expression":"41 + 1"}'
    assert output == {"index": 0, "type": "clew_calculator", "clew_calculator": {"output": "42"}}
    run = RunHandle(api, told[0].data)
    with api.stream("GET", f"{run.path}/events") as again:
        assert [frame.data for frame in again][:5] == [frame.data for frame in told][:5]


# --- approval ----------------------------------------------------------------------------------------


def test_approvals_come_first_then_outputs_then_the_model(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"), call("look"), _add(1), call("clew_clock"))
    model.reply("Done.")
    run = api.run(api.thread("Go."), api.agent(tools=[ASKED, LOOK, SUM]))
    calls = _to_approve(run)
    assert [(each["type"], each["name"], each["arguments"]) for each in calls] == [
        ("clew_clock", "clew_clock", "{}"),
        ("clew_clock", "clew_clock", "{}"),
    ]
    assert [each["output"] for each in _calls(run)] == [None, None, "2", None], "what needs none has run"
    answer = _decide(run, True, False)
    assert answer["status"] == "queued"
    assert answer["required_action"] is None
    assert [each["function"]["name"] for each in run.wait_calls()] == ["look"]
    approved, _, _, denied = (each["output"] for each in _calls(run))
    assert approved.endswith("UTC")
    assert denied == "The user declined this tool call."
    run.answer_calls(lambda _: "a wall")
    run.wait("completed")
    assert [each["content"] for each in model.requests[1].messages[2:]] == [approved, "a wall", "2", denied]
    (called, _) = run.steps()
    assert called["status"] == "completed"


def test_what_is_denied_never_runs_and_the_model_is_told(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    model.reply("Then not.")
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    _decide(run, False)
    run.wait("completed")
    assert model.requests[1].messages[-1]["content"] == "The user declined this tool call."
    outcomes = api.get("/metrics/summary")["tools"]["clew_clock"]["outcomes"]
    assert outcomes["denied"] >= 1


def test_an_approval_is_good_for_one_call(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    model.calls(call("clew_clock"))
    model.reply("Noon.")
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    first = _to_approve(run)[0]["id"]
    _decide(run, True)
    until_second = run.wait("requires_action")
    while until_second["required_action"]["submit_tool_approval"]["tool_calls"][0]["id"] == first:
        until_second = run.wait("requires_action")
    _decide(run, True)
    run.wait("completed")


@pytest.mark.parametrize(
    "body",
    [
        {"tool_approvals": []},
        {"tool_outputs": []},
        {},
        {"tool_approvals": [{"tool_call_id": "ONE", "approve": True}]},
        {
            "tool_approvals": [
                {"tool_call_id": "ONE", "approve": True},
                {"tool_call_id": "TWO", "approve": True},
                {"tool_call_id": "ONE", "approve": True},
            ]
        },
        {
            "tool_approvals": [
                {"tool_call_id": "ONE", "approve": True},
                {"tool_call_id": "call_x", "approve": True},
            ]
        },
        {"tool_outputs": [{"tool_call_id": "ONE", "output": "x"}, {"tool_call_id": "TWO", "output": "x"}]},
        {
            "tool_outputs": [{"tool_call_id": "ONE", "output": "x"}],
            "tool_approvals": [
                {"tool_call_id": "ONE", "approve": True},
                {"tool_call_id": "TWO", "approve": True},
            ],
        },
        {"tool_approvals": [None, None]},
        {"tool_approvals": [{"tool_call_id": "ONE"}, {"tool_call_id": "TWO", "approve": "yes"}]},
    ],
)
def test_what_is_not_asked_for_is_refused_and_nothing_is_applied(
    api: Api, model: ScriptedModel, refuses: Refuses, body: Json
) -> None:
    model.calls(call("clew_clock"), call("clew_clock"))
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    one, two = (each["id"] for each in _to_approve(run))
    sent = _with_ids(body, {"ONE": one, "TWO": two})
    before = run.now()
    refuses(400, "POST", f"{run.path}/submit_tool_outputs", sent)
    assert run.now() == before
    run.cancel()
    run.wait("cancelled")


def _with_ids(body: Any, ids: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _with_ids(value, ids) for key, value in body.items()}
    if isinstance(body, list):
        return [_with_ids(value, ids) for value in body]
    return ids.get(body, body) if isinstance(body, str) else body


def test_an_empty_list_of_outputs_beside_approvals_is_tolerated(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    model.reply("Noon.")
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    (asked,) = _to_approve(run)
    decided = [{"tool_call_id": asked["id"], "approve": True, "headers": {"a": "b"}}]
    body = {"tool_outputs": [], "tool_approvals": decided, "stream": False}
    api.post(f"{run.path}/submit_tool_outputs", body)
    run.wait("completed")


def test_approvals_for_a_run_that_waits_for_outputs_are_refused(
    api: Api, model: ScriptedModel, refuses: Refuses
) -> None:
    model.calls(call("look"))
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]))
    (waiting,) = run.wait_calls()
    body = {"tool_approvals": [{"tool_call_id": waiting["id"], "approve": True}]}
    error = refuses(400, "POST", f"{run.path}/submit_tool_outputs", body)
    assert error["message"] == f"Expected tool outputs for call_ids ['{waiting['id']}'], got []"
    run.cancel()
    run.wait("cancelled")


def test_of_many_approvals_at_once_one_wins(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    model.reply("Noon.")
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    (asked,) = _to_approve(run)
    statuses: list[int] = []

    def decide(approve: bool) -> None:
        body = {"tool_approvals": [{"tool_call_id": asked["id"], "approve": approve}]}
        statuses.append(api.send("POST", f"{run.path}/submit_tool_outputs", body).status_code)

    deciding = [threading.Thread(target=decide, args=(number % 2 == 0,)) for number in range(10)]
    for each in deciding:
        each.start()
    for each in deciding:
        each.join()
    assert sorted(statuses) == [200] + [400] * 9
    run.wait("completed")


def test_a_run_that_waits_for_approval_can_be_cancelled_(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    _to_approve(run)
    run.cancel()
    assert run.wait("cancelled")["required_action"] is None
    (step,) = run.steps()
    assert (step["status"], step["step_details"]["tool_calls"][0]["clew_clock"]["output"]) == (
        "cancelled",
        None,
    )


def test_a_stream_ends_where_approval_is_asked_for_and_another_goes_on(
    api: Api, model: ScriptedModel
) -> None:
    model.calls(call("clew_clock"))
    model.reply("Noon.")
    body = {"assistant_id": api.agent(tools=[ASKED]), "stream": True}
    with api.stream("POST", f"/threads/{api.thread('When?')}/runs", body) as stream:
        told = list(stream)
    assert [frame.event for frame in told[-2:]] == ["thread.run.requires_action", "done"]
    asked = told[-2].data["required_action"]["submit_tool_approval"]["tool_calls"]
    run = RunHandle(api, told[0].data)
    approvals = [{"tool_call_id": each["id"], "approve": True} for each in asked]
    more = {"tool_approvals": approvals, "stream": True}
    with api.stream("POST", f"{run.path}/submit_tool_outputs", more) as stream:
        rest = list(stream)
    names = [frame.event for frame in rest]
    assert names[:2] == ["thread.run.queued", "thread.run.in_progress"]
    assert names.index("thread.run.step.delta") < names.index("thread.run.step.completed")
    assert names[-2:] == ["thread.run.completed", "done"]
    with api.stream("GET", f"{run.path}/events") as whole:
        events = [frame.event for frame in whole]
    assert events == [frame.event for frame in told[:-1]] + names


def test_webhooks_and_lists_show_what_a_run_waits_for(api: Api, model: ScriptedModel) -> None:
    model.calls(call("clew_clock"))
    run = api.run(api.thread("When?"), api.agent(tools=[ASKED]))
    _to_approve(run)
    assert api.get(f"/threads/{run.thread}/runs")["data"] == [run.now()]
    run.cancel()
    run.wait("cancelled")


# --- switched off ------------------------------------------------------------------------------------


def test_where_a_tool_is_off_it_is_refused_by_the_name_of_the_setting(servers: Servers) -> None:
    with servers.start(toolbox=Toolbox({})) as api:
        for path, body in (
            ("/assistants", {"model": "scripted", "tools": [CLOCK]}),
            (f"/assistants/{api.agent()}", {"tools": [SUM]}),
            (f"/threads/{api.thread('Go.')}/runs", {"assistant_id": api.agent(), "tools": [CLOCK]}),
        ):
            error = api.refused(400, "POST", path, body)
            assert "CLEW_SERVER_TOOLS" in error["message"]
            assert error["message"].startswith("Invalid tool value(s): clew_")
