"""Streams: frames, order and endings; and streams that are joined again."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from clew.testing.replies import call as called
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.server import Server
from tests.support.sse import Frame, frames, outline, said

MESSAGE = [
    "run.step.created",
    "run.step.in_progress",
    "message.created",
    "message.in_progress",
    "message.delta",
    "message.completed",
    "run.step.completed",
]
BEGUN = ["run.created", "run.queued", "run.in_progress"]
TOOLS = [function_tool("get_time"), function_tool("add", a="integer")]


@contextmanager
def stream(
    http: httpx2.Client, server: Server, api: Api, path: str, body: Any = None
) -> Iterator[httpx2.Response]:
    method = "GET" if body is None else "POST"
    headers = {"Authorization": f"Bearer {api.key}"}
    with http.stream(method, f"{server.url}/v1{path}", json=body, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield response


def whole(http: httpx2.Client, server: Server, api: Api, path: str, body: Any = None) -> list[Frame]:
    """Return a stream that has come to its end, less its last frame."""
    with stream(http, server, api, path, body) as response:
        *told, last = frames(response)
    assert last == Frame("done", "[DONE]", None)
    return told


def run_of(api: Api, told: list[Frame]) -> RunHandle:
    return RunHandle(api, next(frame.data for frame in told if frame.event == "thread.run.created"))


def test_a_plain_run(http: httpx2.Client, server: Server, api: Api, model: ScriptedModel) -> None:
    model.reply("Hello ", "there, ", "you")
    path = f"/threads/{api.thread('Hi')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(), "stream": True})
    assert outline(told) == [*BEGUN, *MESSAGE, "run.completed"]
    assert said(told) == "Hello there, you"
    created = next(frame.data for frame in told if frame.event == "thread.message.created")
    assert created["content"] == []
    deltas = [frame.data for frame in told if frame.event == "thread.message.delta"]
    assert all(set(delta) == {"id", "object", "delta"} for delta in deltas)
    assert all(delta["id"] == created["id"] for delta in deltas)
    run = run_of(api, told)
    assert told[-1].data == run.now()
    assert [frame.data for frame in told if frame.event == "thread.message.completed"] == run.messages()
    assert [frame.data for frame in told if frame.event == "thread.run.step.completed"] == run.steps()
    assert told[0].data["status"] == told[1].data["status"] == "queued"
    assert told[0].data["started_at"] is None
    assert all(frame.id is None for frame in told)


def test_a_thread_created_with_its_run_comes_first(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    body = {"assistant_id": api.agent(), "stream": True, "thread": {"metadata": {"a": "b"}}}
    told = whole(http, server, api, "/threads/runs", body)
    assert outline(told) == ["created", *BEGUN, *MESSAGE, "run.completed"]
    thread = api.get(f"/threads/{told[0].data['id']}")
    assert told[0].data == {**thread, "tokens_used": 0}


def test_calls_and_the_stream_after_their_outputs(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.calls(called("get_time", {}), called("add", {"a": 1}))
    model.reply("Noon.")
    body = {"assistant_id": api.agent(tools=TOOLS), "stream": True}
    told = whole(http, server, api, f"/threads/{api.thread('Time?')}/runs", body)
    steps = ["run.step.created", "run.step.in_progress", "run.step.delta"]
    assert outline(told) == [*BEGUN, *steps, "run.requires_action"]
    run = run_of(api, told)
    calls = accumulated(told)
    assert [call["function"] for call in calls] == [
        {"name": "get_time", "arguments": "{}", "output": None},
        {"name": "add", "arguments": '{"a":1}', "output": None},
    ]
    required = told[-1].data["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert [call["id"] for call in calls] == [call["id"] for call in required]
    outputs = [{"tool_call_id": call["id"], "output": "12"} for call in calls]
    after = whole(
        http, server, api, f"{run.path}/submit_tool_outputs", {"tool_outputs": outputs, "stream": True}
    )
    assert outline(after) == [
        "run.step.completed",
        "run.queued",
        "run.in_progress",
        *MESSAGE,
        "run.completed",
    ]
    done = after[0].data["step_details"]["tool_calls"]
    assert [call["function"]["output"] for call in done] == ["12", "12"]


def accumulated(told: list[Frame]) -> list[dict[str, Any]]:
    """Add up the pieces of calls as openai-python does: strings are joined, index and type replaced."""
    calls: list[dict[str, Any]] = []
    for frame in told:
        if frame.event != "thread.run.step.delta":
            continue
        for piece in frame.data["delta"]["step_details"]["tool_calls"]:
            if piece["index"] == len(calls):
                calls.append({"id": piece["id"], "type": piece["type"], "function": dict(piece["function"])})
            else:
                assert "id" not in piece
                assert set(piece["function"]) == {"arguments"}
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return calls


def test_text_before_calls_is_closed_before_they_open(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.calls(called("get_time", {}), text="Let me look.")
    body = {"assistant_id": api.agent(tools=TOOLS), "stream": True}
    told = whole(http, server, api, f"/threads/{api.thread('Time?')}/runs", body)
    steps = ["run.step.created", "run.step.in_progress", "run.step.delta"]
    assert outline(told) == [*BEGUN, *MESSAGE, *steps, "run.requires_action"]


def test_a_cancelled_run_closes_inside_out(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    reply = model.hold("One ", "two ")
    path = f"/threads/{api.thread('Count')}/runs"
    with stream(http, server, api, path, {"assistant_id": api.agent(), "stream": True}) as response:
        reading = frames(response)
        told = [next(reading)]
        while told[-1].event != "thread.message.delta":
            told.append(next(reading))
        run_of(api, told).cancel()
        told += reading
    reply.release()
    ending = ["run.cancelling", "message.incomplete", "run.step.cancelled", "run.cancelled", "done"]
    assert outline(told) == [*BEGUN, *MESSAGE[:5], *ending]
    assert told[-4].data["incomplete_details"] == {"reason": "run_cancelled"}


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        pytest.param(lambda model: model.fail(status=400), ["run.failed"], id="failed before a word"),
        pytest.param(
            lambda model: model.cut(after="One "),
            [*MESSAGE[:5], "message.incomplete", "run.step.failed", "run.failed"],
            id="failed in mid-message",
        ),
        pytest.param(
            lambda model: model.reply("One ", finish_reason="length"),
            [*MESSAGE[:5], "message.incomplete", "run.step.completed", "run.incomplete"],
            id="incomplete",
        ),
    ],
)
def test_other_endings_close_inside_out(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel, script: Any, ending: list[str]
) -> None:
    script(model)
    path = f"/threads/{api.thread('Count')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(), "stream": True})
    assert outline(told) == [*BEGUN, *ending]


def test_a_refused_request_is_no_stream(api: Api) -> None:
    body = {"assistant_id": "asst_unknown", "stream": True}
    api.refused(404, "POST", f"/threads/{api.thread('Hi')}/runs", body)


def test_a_reader_that_leaves_stops_nothing(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    reply = model.hold("One ", "two")
    path = f"/threads/{api.thread('Count')}/runs"
    with stream(http, server, api, path, {"assistant_id": api.agent(), "stream": True}) as response:
        run = RunHandle(api, next(frames(response)).data)
    reply.release()
    assert run.wait("completed")


# --- joining ---------------------------------------------------------------------------------------


def finished_run(api: Api, model: ScriptedModel) -> RunHandle:
    model.calls(called("get_time", {}), called("add", {"a": 1}), text="A moment: ")
    model.reply("It ", "is ", "noon.")
    run = api.run(api.thread("Time?"), api.agent(tools=TOOLS))
    run.answer_calls(lambda call: "12:00")
    run.wait("completed")
    return run


def test_a_finished_run_is_told_from_its_rows(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    run = finished_run(api, model)
    told = whole(http, server, api, f"{run.path}/events")
    tools = ["run.step.created", "run.step.in_progress", "run.step.delta", "run.requires_action"]
    resumed = ["run.step.completed", "run.queued", "run.in_progress"]
    assert outline(told) == [*BEGUN, *MESSAGE, *tools, *resumed, *MESSAGE, "run.completed"]
    assert said(told) == "A moment: It is noon."
    assert told[-1].data == run.now()


def test_a_stream_goes_on_wherever_it_was_cut(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    run = finished_run(api, model)
    entire = whole(http, server, api, f"{run.path}/events")
    last = entire[-1].id
    assert last is not None
    randomly = random.Random(1)
    for cut in [0, last, *(randomly.randint(1, last - 1) for _ in range(25))]:
        after = whole(http, server, api, f"{run.path}/events?after={cut}")
        assert [frame.id for frame in after] == [frame.id for frame in entire if (frame.id or 0) > cut]
        assert said(after) == said(entire)[characters_up_to(entire, cut) :]


def characters_up_to(told: list[Frame], position: int) -> int:
    """Return how much text a reader has who has seen the journal up to a position."""
    texts = [(frame.id or 0, len(said([frame]))) for frame in told if said([frame])]
    return sum(max(0, min(position, end) - (end - size)) for end, size in texts)


def test_the_last_event_id_of_a_reconnecting_reader_counts(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    run = finished_run(api, model)
    entire = whole(http, server, api, f"{run.path}/events")
    seen = entire[4]
    headers = {"Authorization": f"Bearer {api.key}", "Last-Event-ID": str(seen.id)}
    response = http.get(f"{server.url}/v1{run.path}/events", headers=headers)
    assert next(iter(frames(response))) == entire[5]


def test_readers_join_a_living_run_at_any_time_and_all_see_the_same(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    reply = model.hold("One ", "two ", "three ")
    path = f"/threads/{api.thread('Count')}/runs"
    with stream(http, server, api, path, {"assistant_id": api.agent(), "stream": True}) as first:
        reading = frames(first)
        told = [next(reading)]
        run = run_of(api, told)
        while said(told) != "One ":
            told.append(next(reading))
        with stream(http, server, api, f"{run.path}/events") as second:
            joined = frames(second)
            late = [next(joined)]
            while said(late) != "One ":
                late.append(next(joined))
            reply.release()
            told += reading
            late += joined
    assert [frame[:2] for frame in late] == [frame[:2] for frame in told]


def test_a_joined_stream_goes_on_while_the_run_waits_for_outputs(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time", {})
    model.reply("Noon.")
    run = api.run(api.thread("Time?"), api.agent(tools=TOOLS))
    with stream(http, server, api, f"{run.path}/events") as response:
        reading = frames(response)
        told = [next(reading)]
        while told[-1].event != "thread.run.requires_action":
            told.append(next(reading))
        run.answer_calls(lambda call: "12:00")
        told += reading
    assert outline(told)[-2:] == ["run.completed", "done"]


def test_the_stream_of_a_deleted_thread_ends(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    reply = model.hold("One ", "two")
    thread = api.thread("Count")
    with stream(
        http, server, api, f"/threads/{thread}/runs", {"assistant_id": api.agent(), "stream": True}
    ) as live:
        reading = frames(live)
        told = [next(reading)]
        while told[-1].event != "thread.message.delta":
            told.append(next(reading))
        api.delete(f"/threads/{thread}")
        told += reading
    reply.release()
    assert outline(told)[-2:] == ["run.cancelled", "done"]


def test_an_expired_run_says_so_on_its_stream(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    reply = model.hold("One ", "two")
    body = {"assistant_id": api.agent(), "stream": True, "expires_in": 5}
    with stream(http, server, api, f"/threads/{api.thread('Count')}/runs", body) as response:
        reading = frames(response)
        told = [next(reading)]
        while told[-1].event != "thread.message.delta":
            told.append(next(reading))
        clock.advance_past_sleep(5000)
        told += reading
    reply.release()
    assert outline(told)[-4:] == ["message.incomplete", "run.step.expired", "run.expired", "done"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5"])
def test_a_position_is_a_number(api: Api, model: ScriptedModel, after: str) -> None:
    run = api.run(api.thread("Hi"), api.agent())
    run.wait("completed")
    error = api.refused(400, "GET", f"{run.path}/events", query={"after": after})
    assert error["param"] == "after"
