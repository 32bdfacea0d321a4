"""Rules of streams that accumulating clients, idle connections and nested requests rely on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from clew.http import streams
from clew.testing.replies import Part
from clew.testing.replies import call as called
from clew.testing.scripted_model import CUT, Refusal, ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.server import Server
from tests.support.sse import Frame, frames, outline, said

TOOLS = [function_tool("get_time"), function_tool("add", a="integer")]


@contextmanager
def stream(
    http: httpx2.Client, server: Server, api: Api, path: str, body: Any, **headers: str
) -> Iterator[httpx2.Response]:
    sent = {"Authorization": f"Bearer {api.key}", **headers}
    with http.stream("POST", f"{server.url}/v1{path}", json=body, headers=sent) as response:
        assert response.status_code == 200
        yield response


def whole(http: httpx2.Client, server: Server, api: Api, path: str, body: Any) -> list[Frame]:
    with stream(http, server, api, path, body) as response:
        return list(frames(response))


def run_of(api: Api, told: list[Frame]) -> RunHandle:
    return RunHandle(api, next(frame.data for frame in told if frame.event == "thread.run.created"))


# --- what clients add up ---------------------------------------------------------------------------


def merge(into: Json, delta: Json) -> None:
    """Add a delta to what there is by the rules of OpenAI's clients: lists by index, strings joined."""
    for key, value in delta.items():
        if key in ("index", "type") or into.get(key) is None:
            into[key] = value if not isinstance(value, list) else merged([], value)
        elif isinstance(value, str | int | float):
            into[key] += value
        elif isinstance(value, dict):
            merge(into[key], value)
        elif isinstance(value, list):
            into[key] = merged(into[key], value)


def merged(items: list[Json], deltas: list[Json]) -> list[Json]:
    for delta in deltas:
        assert isinstance(delta["index"], int), delta
        assert "type" in delta, delta
        place = delta["index"]
        assert place <= len(items), "an entry was left out"
        if place == len(items):
            items.append({"index": place})
        merge(items[place], delta)
    return items


def accumulated(told: list[Frame]) -> dict[str, Json]:
    """Return each message and step as a client has it that knows nothing but openings and deltas."""
    built: dict[str, Json] = {}
    for frame in told:
        if frame.event in ("thread.message.created", "thread.run.step.created"):
            built[frame.data["id"]] = frame.data
        elif frame.event.endswith(".delta"):
            assert frame.data["id"] in built, "a delta came before what it is a delta of"
            merge(built[frame.data["id"]], frame.data["delta"])
    return built


def without_index(value: Any) -> Any:
    if isinstance(value, list):
        return [without_index(each) for each in value]
    if isinstance(value, dict):
        return {key: without_index(each) for key, each in value.items() if key != "index"}
    return value


def test_deltas_add_up_to_the_final_objects(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.calls(called("get_time", {}), called("add", {"a": 1}), text="Let me see.")
    model.calls(called("add", {"a": 20_000_000_000}), called("add", {"a": 3}), called("get_time", {}))
    model.reply("It is ", "noon, ", "more or less.", Refusal("But I won't say where."))
    path = f"/threads/{api.thread('Time?')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(tools=TOOLS), "stream": True})
    run = run_of(api, told)
    for _ in range(2):
        outputs = [{"tool_call_id": call["id"], "output": "12"} for call in run.wait_calls()]
        body = {"tool_outputs": outputs, "stream": True}
        told += whole(http, server, api, f"{run.path}/submit_tool_outputs", body)
    built = accumulated(told)
    for message in run.messages():
        assert without_index(built[message["id"]]["content"]) == message["content"]
    for step in run.steps():
        details = without_index(built[step["id"]]["step_details"])
        for made in details.get("tool_calls", ()):
            made["function"]["output"] = "12"
        assert details == step["step_details"]
    assert len(built) == 6


MIXES: dict[str, tuple[Part, ...]] = {
    "refusal, text": (Refusal("I won't, "), "not even today."),
    "text, refusal, text": ("Yes, ", Refusal("no, "), "yes again."),
    "refusal, call": (Refusal("I won't."), called("get_time")),
    "text, call, text": ("One ", called("get_time"), "two"),
    "call, text": (called("get_time"), "One"),
    "call, refusal": (called("get_time"), Refusal("I won't.")),
    "unknown call, text": (called("fly"), "One"),
    "refusal, unknown call": (Refusal("I won't."), called("fly")),
    "text, unknown call, call": ("One", called("fly"), called("get_time")),
    "refusal, cut": (Refusal("I won't."), CUT),
    "text, call, cut": ("One", called("get_time"), CUT),
    "call, cut": (called("get_time"), CUT),
}


@pytest.mark.parametrize("reason", [None, "length", "content_filter"])
@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_whatever_a_model_mixes_is_told_to_its_end_and_told_again_alike(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel, mix: tuple[Part, ...], reason: Any
) -> None:
    model.reply(*mix, finish_reason=reason)
    model.reply("Done.")
    path = f"/threads/{api.thread('Time?')}/runs"
    *told, last = whole(http, server, api, path, {"assistant_id": api.agent(tools=TOOLS), "stream": True})
    assert last.event == "done"
    run = run_of(api, told)
    built, messages = accumulated(told), run.messages()
    for message in messages:
        assert without_index(built[message["id"]]["content"]) == message["content"]
    assert set(built) == {each["id"] for each in (*messages, *run.steps())}
    if run.now()["status"] == "requires_action":
        run.cancel()
        run.wait("cancelled")
    with http.stream("GET", f"{server.url}/v1{run.path}/events", headers={"api-key": api.key}) as response:
        again = list(frames(response))
    assert events(again)[: len(events(told))] == events(told)


def events(told: list[Frame]) -> list[str]:
    return [frame.event for frame in told if not frame.event.endswith(".delta")]


def test_what_is_created_begins_empty(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time", text="Let me see.")
    path = f"/threads/{api.thread('Time?')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(tools=TOOLS), "stream": True})
    created = [frame.data for frame in told if frame.event.endswith((".message.created", ".step.created"))]
    opening, message, tools = created
    assert message["content"] == []
    assert tools["step_details"] == {"type": "tool_calls", "tool_calls": []}
    assert opening["step_details"]["message_creation"]["message_id"] == message["id"]


def test_no_frame_looks_like_an_error(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.fail(400, "It cannot be done.")
    path = f"/threads/{api.thread('Hi')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(), "stream": True})
    assert outline(told)[-2:] == ["run.failed", "done"]
    assert not [frame for frame in told if frame.event == "error" or "error" in frame.data]


def test_a_frame_is_one_line_of_json_whatever_the_text(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    text = "one\ntwo\r\nthree\r\u2028four\u0085 event: done\n\ndata: [DONE]\n\n: x \U0001f9f6"
    model.reply(text)
    path = f"/threads/{api.thread('Hi')}/runs"
    told = whole(http, server, api, path, {"assistant_id": api.agent(), "stream": True})
    assert said(told) == text
    assert outline(told)[-2:] == ["run.completed", "done"]


# --- requests within streams -----------------------------------------------------------------------


def test_outputs_are_taken_while_the_stream_that_asked_is_still_open(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time")
    model.reply("Noon.")
    body = {"assistant_id": api.agent(tools=TOOLS), "stream": True}
    with stream(http, server, api, f"/threads/{api.thread('Time?')}/runs", body) as response:
        reading = frames(response)
        told = [next(reading)]
        while told[-1].event != "thread.run.requires_action":
            told.append(next(reading))
        run = run_of(api, told)
        run.submit(
            {
                call["id"]: "12"
                for call in told[-1].data["required_action"]["submit_tool_outputs"]["tool_calls"]
            }
        )
        assert outline(list(reading)) == ["done"]
    run.wait("completed")


def test_a_polled_run_may_be_streamed_after_its_outputs(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time")
    model.reply("Noon.")
    run = api.run(api.thread("Time?"), api.agent(tools=TOOLS))
    outputs = [{"tool_call_id": call["id"], "output": "12"} for call in run.wait_calls()]
    body = {"tool_outputs": outputs, "stream": True}
    told = whole(http, server, api, f"{run.path}/submit_tool_outputs", body)
    assert outline(told)[:3] == ["run.step.completed", "run.queued", "run.in_progress"]
    assert outline(told)[-2:] == ["run.completed", "done"]


def test_a_streamed_run_may_be_polled_after_its_outputs(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time")
    model.reply("Noon.")
    body = {"assistant_id": api.agent(tools=TOOLS), "stream": True}
    run = run_of(api, whole(http, server, api, f"/threads/{api.thread('Time?')}/runs", body))
    assert run.answer_calls(lambda call: "12")["status"] == "queued"
    run.wait("completed")


def test_another_round_of_calls_ends_the_second_stream_too(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    model.call("get_time")
    model.call("add", {"a": 1})
    body = {"assistant_id": api.agent(tools=TOOLS), "stream": True}
    run = run_of(api, whole(http, server, api, f"/threads/{api.thread('Time?')}/runs", body))
    outputs = [{"tool_call_id": call["id"], "output": "12"} for call in run.wait_calls()]
    body = {"tool_outputs": outputs, "stream": True}
    told = whole(http, server, api, f"{run.path}/submit_tool_outputs", body)
    again = ["run.step.created", "run.step.in_progress", "run.step.delta", "run.requires_action", "done"]
    assert outline(told) == ["run.step.completed", "run.queued", "run.in_progress", *again]
    run.cancel()


# --- the connection --------------------------------------------------------------------------------


def test_only_the_body_asks_for_a_stream(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    path = f"/threads/{api.thread('Hi')}/runs"
    body = {"assistant_id": api.agent(), "stream": True}
    with stream(http, server, api, path, body, Accept="application/json") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert outline(list(frames(response)))[-1] == "done"


def test_a_stream_is_never_compressed(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    path = f"/threads/{api.thread('Hi')}/runs"
    body = {"assistant_id": api.agent(), "stream": True}
    headers = {"Accept-Encoding": "gzip, deflate, br, zstd"}
    with stream(http, server, api, path, body, **headers) as response:
        assert "content-encoding" not in response.headers
        assert "content-length" not in response.headers
        list(frames(response))


def test_a_long_silence_is_broken_by_a_comment_without_an_empty_line(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "IDLE", 0.02)
    reply = model.hold("One ", "two")
    path = f"/threads/{api.thread('Count')}/runs"
    with stream(http, server, api, path, {"assistant_id": api.agent(), "stream": True}) as response:
        text = ""
        for piece in response.iter_text():
            text += piece
            if text.count(": keep-alive\n") >= 2:
                reply.release()
    assert ": keep-alive\n\n" not in text
    blocks = text.split("\n\n")
    comments = [block for block in blocks if block.startswith(":")]
    assert comments, "the comments belong to the event that comes next"
    assert all(block.replace(": keep-alive\n", "").startswith("event: ") for block in comments)
    assert text.endswith("event: done\ndata: [DONE]\n\n")


@pytest.mark.parametrize("body", [{}, {"assistant_id": 5}, {"assistant_id": "asst_x", "surprise": 1}])
def test_a_wrong_body_is_answered_as_json_before_any_stream(api: Api, body: Json) -> None:
    api.refused(400, "POST", f"/threads/{api.thread()}/runs", body | {"stream": True})


def test_refused_outputs_are_answered_as_json_and_the_run_still_waits(api: Api, model: ScriptedModel) -> None:
    model.call("get_time")
    run = api.run(api.thread("Time?"), api.agent(tools=TOOLS))
    calls = run.wait_calls()
    body: Json = {"tool_outputs": [{"tool_call_id": "call_x", "output": "12"}], "stream": True}
    error = api.refused(400, "POST", f"{run.path}/submit_tool_outputs", body)
    assert error["message"] == f"Expected tool outputs for call_ids ['{calls[0]['id']}'], got ['call_x']"
    assert run.wait_calls() == calls
    run.cancel()


def test_a_stream_carries_a_request_id_too(
    http: httpx2.Client, server: Server, api: Api, model: ScriptedModel
) -> None:
    path = f"/threads/{api.thread('Hi')}/runs"
    with stream(http, server, api, path, {"assistant_id": api.agent(), "stream": True}) as response:
        assert response.headers["x-request-id"].startswith("req_")
        list(frames(response))
