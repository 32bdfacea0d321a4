"""Every operation's answers, right and wrong, are those that the OpenAPI document describes."""

from collections.abc import Iterator
from typing import Any

import pytest

from clew.http.openapi import document
from clew.http.openapi_schemas import EVENTS, FEED_EVENTS
from clew.http.operations import OPERATIONS, Operation
from clew.testing.scripted_model import ScriptedModel
from tests.openapi.conformance import Conforming
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.operations import World, new_world, right_body

TOOL = function_tool("look_up", word="string")
WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]


@pytest.fixture
def checked(api: Api) -> Conforming:
    """A client that takes only what the document describes."""
    return Conforming.like(api)


@pytest.fixture
def world(checked: Conforming, model: ScriptedModel) -> World:
    """One of each object, made by a client that looks closely."""
    model.call("look_up", {"word": "clew"})
    return new_world(checked)


def test_every_operation_answers_as_described(
    checked: Conforming, world: World, model: ScriptedModel
) -> None:
    model.call("look_up", {"word": "clew"})
    waiting = checked.run(checked.thread("What is a clew?"), world.assistant_id)
    waiting.wait_calls()
    waiting.cancel()
    many = {"file_ids": [checked.upload(b"A ball of thread.") for _ in range(20)]}
    batch = checked.post(f"/vector_stores/{world.store_id}/file_batches", many)
    assert checked.post(f"/vector_stores/{world.store_id}/file_batches/{batch['id']}/cancel")
    for operation in OPERATIONS:
        path, body = world.path(operation), right_body(operation, world)
        if operation.uploads:
            checked.send_file(b"A ball of thread.")
        elif operation.method != "DELETE":
            checked.send(operation.method, path, body)
    names = ("delete_message", "delete_thread", "delete_agent", "delete_webhook", "delete_store_file")
    for name in (*names, "delete_vector_store", "delete_file"):
        operation = next(each for each in OPERATIONS if each.name == name)
        checked.ok(operation.method, world.path(operation))
        checked.refused(404, operation.method, world.path(operation))
    answered = {name for name, statuses in checked.seen.items() if 200 in statuses}
    assert answered == {operation.name for operation in OPERATIONS}


def test_an_agent_with_everything(checked: Conforming) -> None:
    fields: Json = {
        "name": "Ariadne",
        "description": "Knows the way.",
        "instructions": "Follow the thread.",
        "tools": [
            TOOL,
            {"type": "code_interpreter"},
            {"type": "file_search", "file_search": {"max_num_results": 5, "ranking_options": None}},
            {"type": "openapi", "openapi": {"name": "maze"}},
            {"type": "connected_agent", "connected_agent": {"id": "asst_x"}},
            {"type": "bing_grounding", "bing_grounding": {}},
            {"type": "azure_ai_search"},
            {"type": "azure_function", "azure_function": {"function": None}},
        ],
        "tool_resources": {"code_interpreter": {"file_ids": []}, "file_search": {}},
        "metadata": {"maze": "Knossos"},
        "temperature": 0,
        "top_p": 0.5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "way", "schema": {}}},
        "reasoning_effort": "low",
    }
    agent = checked.agent(**fields)
    run = checked.run(checked.thread("Hello."), agent, truncation_strategy={"type": "auto"})
    assert "does not run these tools yet" in run.wait("failed")["last_error"]["message"]
    assert len(checked.get("/assistants", limit=100)["data"]) >= 1


def test_a_message_with_every_kind_of_part(checked: Conforming) -> None:
    parts = [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": "https://example.com/maze.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    thread = checked.thread()
    checked.post(f"/threads/{thread}/messages", {"role": "assistant", "content": parts})
    assert len(checked.get(f"/threads/{thread}/messages")["data"][0]["content"]) == 3


def test_a_run_that_waits_and_one_that_waits_in_line(checked: Conforming, model: ScriptedModel) -> None:
    model.call("look_up", {"word": "clew"})
    run = checked.run(checked.thread("What is a clew?"), checked.agent(tools=[TOOL]))
    run.wait_calls()
    assert checked.get(f"/threads/{run.thread}/runs")["data"][0]["required_action"]
    queue = {"Clew-When-Busy": "queue"}
    body = {"assistant_id": run.created["assistant_id"]}
    checked.ok("POST", f"/threads/{run.thread}/runs", body, headers=queue)
    checked.refused(400, "POST", f"/threads/{run.thread}/runs", body)
    run.cancel()
    run.wait("cancelled")
    run.steps()


def test_runs_that_fail_or_are_cut_short(checked: Conforming, model: ScriptedModel) -> None:
    agent = checked.agent()
    model.fail(400)
    checked.run(checked.thread("Hello."), agent).wait("failed")
    model.reply("One two three", finish_reason="length")
    run = checked.run(checked.thread("Count."), agent)
    run.wait("incomplete")
    assert run.messages()[0]["status"] == "incomplete"
    model.reply("No", finish_reason="content_filter")
    checked.run(checked.thread("Hello."), agent).wait("incomplete")


def test_streams_hold_the_events_that_are_described(checked: Conforming, model: ScriptedModel) -> None:
    agent = checked.agent(tools=[TOOL])
    model.refuse("I would rather not.")
    model.call("look_up", {"word": "clew"})
    stream: Any = {"assistant_id": agent, "stream": True}
    checked.send("POST", "/threads/runs", stream | {"thread": {"messages": _said("Hello.")}})
    thread = checked.thread("What is a clew?")
    checked.send("POST", f"/threads/{thread}/runs", stream)
    run = RunHandle(checked, checked.get(f"/threads/{thread}/runs")["data"][0])
    outputs = [{"tool_call_id": call["id"], "output": "A ball of thread."} for call in run.wait_calls()]
    checked.send("POST", f"{run.path}/submit_tool_outputs", {"tool_outputs": outputs, "stream": True})
    checked.send("GET", f"{run.path}/events")


def test_an_event_source_that_connects_again_goes_on_where_it_was(checked: Conforming) -> None:
    """It repeats its URL, with the ``after`` it began with, beside the id that it has seen since."""
    run = checked.run(checked.thread("Hello."), checked.agent())
    run.wait("completed")
    whole = checked.send("GET", f"{run.path}/events?after=2").text
    seen = whole.split("\n\n")[3].partition("id: ")[2]
    rest = checked.send("GET", f"{run.path}/events?after=2", headers={"Last-Event-ID": seen}).text
    assert rest == "\n\n".join(whole.split("\n\n")[4:])


def _said(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_refusals_are_as_described(checked: Conforming, operation: Operation) -> None:
    nowhere = World(*(["nowhere"] * len(World._fields)))
    path, body = nowhere.path(operation), right_body(operation, nowhere)
    checked.send(operation.method, path, body)
    checked.send(operation.method, path, body, headers={"Authorization": "Bearer wrong"})
    checked.at("/api/projects/nowhere").send(operation.method, path, body)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_bodies_that_are_wrong_or_too_large_are_refused_as_described(
    checked: Conforming, operation: Operation
) -> None:
    path = World(*(["nowhere"] * len(World._fields))).path(operation)
    for content in (b"{", b"[]", b'{"surprise": 1}', b" " * (32 * 1024 * 1024 + 1)):
        checked.send(operation.method, path, content=content)
    assert checked.seen[operation.name] == {400, 413}


def test_every_event_has_a_name_that_the_server_knows() -> None:
    names = {name for item in _streams() for name in item["x-events"]}
    assert names == {*EVENTS, *FEED_EVENTS}


def _streams() -> Iterator[Json]:
    for item in document()["paths"].values():
        for said in item.values():
            if isinstance(said, dict) and "text/event-stream" in said["responses"]["200"]["content"]:
                yield said["responses"]["200"]["content"]["text/event-stream"]
