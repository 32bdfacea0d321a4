"""What no sensible client sends: no server error, nothing half-written, and text kept byte for byte."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pytest

from clew.http.operations import OPERATIONS, Operation
from clew.testing.replies import text_of
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, function_tool
from tests.support.operations import World, new_world, right_body
from tests.support.refusals import Unchanged
from tests.support.samples import fields, put
from tests.support.server import KEYS, Server

WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]
READING = [
    operation
    for operation in OPERATIONS
    if operation.method == "GET" and operation.name not in ("follow_run", "follow_project")
]
HUGE = [2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400]
ODD = (
    "\x00",
    "a\x00b",
    "\x00🧶\x00",
    "\ufeff",
    "\ufffe\uffff",
    "\u202e",
    "\r\n\t\x0b\x7f\x85\u2028",
    "e\u0301",
    "𐀀",
)

by_name = pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)


@pytest.fixture(scope="module")
def world(server: Server, http: httpx2.Client, _scripted_model: ScriptedModel) -> World:
    """One of each object."""
    _scripted_model.reset()
    _scripted_model.call("look_up", {"word": "clew"})
    return new_world(Api(http, server.url, KEYS["alpha"]))


@pytest.fixture
def unchanged(server: Server) -> Unchanged:
    """A context in which no row may change."""
    return Unchanged(server)


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_text_is_kept_as_it_is(api: Api, model: ScriptedModel, text: str) -> None:
    metadata = {text: text, "other": text}
    function = {"name": "f", "description": text, "parameters": {text: [text]}}
    given: Json = {"name": text, "instructions": text, "metadata": metadata}
    agent = api.post("/assistants", given | {"model": text, "tools": [_tool(function)]})
    assert api.get(f"/assistants/{agent['id']}") == agent
    assert agent | given | {"model": text, "tools": [_tool(function)]} == agent
    thread = api.post("/threads", {"metadata": metadata, "messages": [{"role": "user", "content": text}]})
    assert api.get(f"/threads/{thread['id']}")["metadata"] == metadata
    model.reply(text, finish_reason="stop")
    run = api.run(thread["id"], agent["id"], metadata=metadata)
    assert run.wait("completed")["metadata"] == metadata
    assert api.texts(thread["id"]) == [text, text]
    assert text_of(model.requests[-1].messages[-1]) == text


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_threads_are_found_by_odd_metadata(api: Api, text: str) -> None:
    thread = api.post("/threads", {"metadata": {f"key {text}": f"value {text}"}})
    api.post("/threads", {"metadata": {f"key {text}": "value "}})
    found = api.get("/threads", **{f"metadata[key {text}]": f"value {text}"})["data"]
    assert [each["id"] for each in found] == [thread["id"]]


@pytest.mark.parametrize("text", [*ODD, "%", "..", "/", "'; DROP TABLE runs; --", "x" * 8000], ids=ascii)
def test_odd_ids_are_of_nothing(api: Api, unchanged: Unchanged, text: str) -> None:
    odd = quote(text, safe="").replace(".", "%2E")  # else the client itself takes ".." for a way up
    with unchanged:
        for operation in OPERATIONS:
            path = World(*([odd] * len(World._fields))).path(operation)
            body = right_body(operation, World(*([text] * len(World._fields))))
            if "{" in operation.path and body is None:
                assert api.send(operation.method, path).status_code in (404, 405)
            for query in ("after", "before", "run_id", "wait", "limit", "order", "metadata[x]"):
                if operation in READING and "{" not in operation.path:
                    assert api.send("GET", path, query={query: text}).status_code in (200, 400)


SURROGATES = {
    "escaped, high": b'"\\ud83d"',
    "escaped, low": b'"\\udc00"',
    "escaped, the wrong way round": b'"\\udc00\\ud83d"',
    "as bytes": b'"\xed\xa0\x80"',
    "overlong": b'"\xc0\x80"',
    "cut off": b'"\xf0\x9f\xa7"',
}


@pytest.mark.parametrize("text", SURROGATES.values(), ids=SURROGATES)
@by_name
def test_half_of_a_pair_is_no_text(
    api: Api, world: World, unchanged: Unchanged, operation: Operation, text: bytes
) -> None:
    right = msgspec.json.encode(right_body(operation, world))
    extra = b"," if len(right) > 2 else b""
    with unchanged:
        for body in (
            right[:-1] + extra + b'"metadata":{"a":' + text + b"}}",
            right[:-1] + extra + text + b":1}",
        ):
            error = api.refused(400, "POST", world.path(operation), content=body)
            assert "JSON body" in error["message"]


def test_half_of_a_pair_in_a_url_or_header_is_harmless(api: Api, unchanged: Unchanged) -> None:
    with unchanged:
        api.refused(404, "GET", "/threads/%ED%A0%80")
        api.refused(404, "GET", "/threads/%FF")
        assert api.ok("GET", "/threads?metadata[%ED%A0%80]=%ED%A0%80")["data"] == []
        assert api.send("GET", "/threads?order=%ED%A0%80").status_code == 400


@by_name
def test_numbers_of_any_size_are_kept_or_refused(api: Api, world: World, operation: Operation) -> None:
    """What the types bound is refused; where they set no bound, any number is a right one."""
    assert operation.body is not None
    for field in fields(operation.body):
        for number in HUGE:
            body = put(field.body, field.steps, number)
            if "assistant_id" in body and field.steps != ("assistant_id",):
                body |= {"assistant_id": world.assistant_id}
            response = api.send("POST", world.path(operation), content=_encoded(body))
            assert response.status_code in (200, 400, 404), (field.steps, number, response.text)


@pytest.mark.parametrize("number", HUGE, ids=lambda number: f"{len(str(number))} digits")
def test_huge_numbers_in_json_of_the_client_are_kept_or_refused(api: Api, number: int) -> None:
    tool = function_tool("f")
    tool["function"]["parameters"] = {"maximum": number, "minimum": -number}
    response = api.send("POST", "/assistants", content=_encoded({"model": "m", "tools": [tool]}))
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert response.json()["tools"] == [tool]
        assert api.get(f"/assistants/{response.json()['id']}")["tools"] == [tool]


@pytest.mark.parametrize(
    "number", [str(10**30), "9" * 5000, "1e400", "-1", "NaN", "٣", "0x10", "1_0", " 1", "+1"]
)
def test_odd_numbers_in_queries_and_headers_are_refused(api: Api, world: World, number: str) -> None:
    run = f"/threads/{world.thread_id}/runs/{world.run_id}"
    api.refused(400, "GET", "/threads", query={"limit": number})
    api.refused(400, "GET", run, query={"wait": number})
    api.refused(400, "GET", f"{run}/events", query={"after": number})
    if number.isascii() and number.strip() == number:
        api.refused(400, "GET", f"{run}/events", headers={"Last-Event-ID": number})


@by_name
def test_what_nests_too_deep_is_refused(
    api: Api, world: World, unchanged: Unchanged, operation: Operation
) -> None:
    right = msgspec.json.encode(right_body(operation, world))[:-1] + b',"x":'
    with unchanged:
        for levels in (257, 100_000):
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
                body = right + opening * levels + b"1" + closing * levels + b"}"
                api.refused(400, "POST", world.path(operation), content=body)


def test_of_keys_given_twice_the_last_counts(api: Api) -> None:
    """As for most JSON readers: RFC 8259, section 4, leaves it open."""
    thread = api.ok("POST", "/threads", content=b'{"metadata":{"a":"1"},"metadata":{"b":"2","b":"3"}}')
    assert thread["metadata"] == {"b": "3"}
    api.refused(400, "POST", "/threads", content=b'{"metadata":{"b":"2","b":3}}')


def _tool(function: Json) -> Json:
    return {"type": "function", "function": function}


def _encoded(body: Any) -> bytes:
    """msgspec refuses to write what is beyond 64 bits in some places; the standard library doesn't."""
    return json.dumps(body).encode()
