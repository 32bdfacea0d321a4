"""Updates change the fields that the body gives, and nothing else; null means "not given"."""

from typing import Any

import pytest

from tests.support.api import Api, function_tool

GIVEN: dict[str, Any] = {
    "model": "scripted",
    "name": "Ariadne",
    "description": "Knows the way.",
    "instructions": "Hold on.",
    "tools": [function_tool("turn")],
    "metadata": {"a": "1", "b": "2"},
    "temperature": 0.2,
    "top_p": 0.3,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "high",
}
CHANGED: dict[str, Any] = {
    "model": "vendor/large",
    "name": "",
    "description": "Lost.",
    "instructions": "",
    "tools": [],
    "metadata": {"b": "3"},
    "temperature": 0.0,
    "top_p": 0.0,
    "response_format": "auto",
    "reasoning_effort": "low",
    "tool_resources": {"file_search": {"vector_store_ids": []}},
}


@pytest.mark.parametrize("field", CHANGED)
def test_an_update_changes_the_given_field_only(api: Api, field: str) -> None:
    before = api.post("/assistants", GIVEN)
    path = f"/assistants/{before['id']}"
    after = api.post(path, {field: CHANGED[field]})
    assert after == before | {field: CHANGED[field]}
    assert api.get(path) == after


def test_null_and_an_empty_body_change_nothing(api: Api) -> None:
    before = api.post("/assistants", GIVEN)
    path = f"/assistants/{before['id']}"
    assert api.post(path, dict.fromkeys(CHANGED)) == before
    assert api.post(path, {}) == before
    assert api.ok("POST", path, content=b"") == before


def test_null_counts_as_not_given_on_creation(api: Api) -> None:
    with_nulls = api.post("/assistants", {"model": "scripted"} | dict.fromkeys(GIVEN.keys() - {"model"}))
    without = api.post("/assistants", {"model": "scripted"})
    assert with_nulls | {"id": None} == without | {"id": None}


def test_a_threads_metadata_is_replaced_as_a_whole(api: Api) -> None:
    thread = api.post("/threads", {"metadata": {"a": "1", "b": "2"}})
    path = f"/threads/{thread['id']}"
    assert api.post(path, {"tool_resources": {"code_interpreter": {"file_ids": []}}})["metadata"] == {
        "a": "1",
        "b": "2",
    }
    changed = api.post(path, {"metadata": {"b": "3"}})
    assert changed["metadata"] == {"b": "3"}
    assert changed["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    assert api.post(path, {"metadata": None}) == api.get(path) == changed


def test_a_messages_metadata_can_change_and_nothing_else(api: Api) -> None:
    thread = api.thread("Hello.")
    (message,) = api.get(f"/threads/{thread}/messages")["data"]
    path = f"/threads/{thread}/messages/{message['id']}"
    assert api.post(path, {"metadata": {"a": "1"}}) == message | {"metadata": {"a": "1"}}
    assert api.post(path, {})["metadata"] == {"a": "1"}
    error = api.refused(400, "POST", path, {"content": "Changed."})
    assert (error["code"], error["param"]) == ("unknown_parameter", "content")
    assert api.get(path)["content"] == message["content"]


def test_a_finished_runs_metadata_can_change_and_nothing_else(api: Api) -> None:
    run = api.run(api.thread("Hello."), api.agent(), metadata={"a": "1"})
    done = run.wait("completed")
    assert done["metadata"] == {"a": "1"}
    assert api.post(run.path, {"metadata": {"b": "2"}}) == done | {"metadata": {"b": "2"}} == run.now()
    assert api.post(run.path, {"metadata": {}})["metadata"] == {}
    error = api.refused(400, "POST", run.path, {"status": "queued"})
    assert (error["code"], error["param"]) == ("unknown_parameter", "status")
