"""Limits hold exactly: as much is accepted, one more is refused. Lengths count characters, not bytes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from clew.http.operations import OPERATIONS, Operation
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.operations import World, right_body
from tests.support.refusals import Refuses

WIDE = "🧶"
"""A character of four bytes in UTF-8, two units in UTF-16."""


class Limit(NamedTuple):
    """A limit: what makes a body of a size, the most it may be, and how one more is refused."""

    path: str
    body: Callable[[int], Json]
    most: int
    param: str
    code: str
    words: str


def _text(path: str, param: str, most: int, wrap: Callable[[str], Json]) -> Limit:
    words = f"too long. Expected a string with maximum length {most}, but got a string with length {most + 1}"
    return Limit(path, lambda size: wrap(WIDE * size), most, param, "string_above_max_length", words)


def _array(path: str, param: str, most: int, wrap: Callable[[int], Json]) -> Limit:
    words = f"too long. Expected an array with maximum length {most}, but got an array with length {most + 1}"
    return Limit(path, wrap, most, param, "array_above_max_length", words)


def _agent(**fields: Any) -> Json:
    return {"model": "scripted", **fields}


def _run(**fields: Any) -> Json:
    return {"assistant_id": "{assistant_id}", **fields}


def _message(content: Any, **fields: Any) -> Json:
    return {"role": "user", "content": content, **fields}


_MESSAGES = "/threads/{thread_id}/messages"

LIMITS = {
    "model": _text("/assistants", "model", 256, lambda text: {"model": text}),
    "name": _text("/assistants", "name", 256, lambda text: _agent(name=text)),
    "description": _text("/assistants", "description", 512, lambda text: _agent(description=text)),
    "instructions": _text("/assistants", "instructions", 256_000, lambda text: _agent(instructions=text)),
    "instructions of a run": _text(
        "/threads/runs", "instructions", 256_000, lambda text: _run(instructions=text)
    ),
    "name on update": _text("/assistants/{assistant_id}", "name", 256, lambda text: {"name": text}),
    "text": _text(_MESSAGES, "content", 256_000, _message),
    "text of a part": _text(
        _MESSAGES, "content[0].text", 256_000, lambda text: _message([{"type": "text", "text": text}])
    ),
    "text with a thread": _text(
        "/threads", "messages[0].content", 256_000, lambda text: {"messages": [_message(text)]}
    ),
    "metadata value": _text("/threads", "metadata.key", 512, lambda text: {"metadata": {"key": text}}),
    "metadata key": Limit(
        "/threads",
        lambda size: {"metadata": {WIDE * size: "value"}},
        64,
        "metadata",
        "property_name_above_max_length",
        "property name too long. Expected a property name with maximum length 64, but got a property name "
        "with length 65",
    ),
    "metadata pairs": Limit(
        _MESSAGES,
        lambda size: _message("x", metadata={str(number): "v" for number in range(size)}),
        16,
        "metadata",
        "object_above_max_properties",
        "too many properties. Expected an object with at most 16 properties, but got an object with 17",
    ),
    "function name": Limit(
        "/assistants",
        lambda size: _agent(tools=[function_tool("f" * size)]),
        64,
        "tools[0].function.name",
        "string_above_max_length",
        "string too long. Expected a string with maximum length 64, but got a string with length 65",
    ),
    "tools": _array(
        "/assistants",
        "tools",
        128,
        lambda size: _agent(tools=[function_tool(f"f{number}") for number in range(size)]),
    ),
    "tools of a run": _array(
        "/threads/runs",
        "tools",
        128,
        lambda size: _run(tools=[function_tool(f"f{number}") for number in range(size)]),
    ),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_limit_holds_exactly(api: Api, refuses: Refuses, world: World, limit: Limit) -> None:
    path = limit.path.format(**world._asdict())

    def body(size: int) -> Json:
        made = limit.body(size)
        return made | {"assistant_id": world.assistant_id} if "assistant_id" in made else made

    accepted = api.post(path, body(limit.most))
    if accepted["object"] == "thread.run":
        RunHandle(api, accepted).wait("completed")
    error = refuses(400, "POST", path, body(limit.most + 1))
    assert (error["param"], error["code"]) == (limit.param, limit.code)
    assert limit.words in error["message"]
    assert error["message"].endswith(" instead.")


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [("temperature", 0, 2), ("top_p", 0, 1)],
)
def test_the_ends_of_a_range_belong_to_it(
    api: Api, refuses: Refuses, field: str, least: float, most: float
) -> None:
    for value in (least, float(least), most, float(most), (least + most) / 2):
        assert api.post("/assistants", _agent(**{field: value}))[field] == value
    error = refuses(400, "POST", "/assistants", _agent(**{field: most + 0.001}))
    assert (error["param"], error["code"]) == (field, "decimal_above_max_value")
    error = refuses(400, "POST", "/assistants", _agent(**{field: least - 0.001}))
    assert (error["param"], error["code"]) == (field, "decimal_below_min_value")


@pytest.mark.parametrize(
    ("field", "wrap"),
    [
        ("max_prompt_tokens", lambda number: {"max_prompt_tokens": number}),
        ("max_completion_tokens", lambda number: {"max_completion_tokens": number}),
        (
            "truncation_strategy.last_messages",
            lambda number: {"truncation_strategy": {"type": "last_messages", "last_messages": number}},
        ),
    ],
)
@pytest.mark.parametrize("number", [1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30])
def test_a_budget_has_a_least_but_no_most(
    api: Api, refuses: Refuses, world: World, field: str, wrap: Callable[[int], Json], number: int
) -> None:
    run = api.run(api.thread("Hello."), world.assistant_id, **wrap(number))
    assert run.wait()["status"] in ("completed", "incomplete")
    body = _run(**wrap(1 - number)) | {"assistant_id": world.assistant_id}
    error = refuses(400, "POST", f"/threads/{run.thread}/runs", body)
    assert (error["param"], error["code"]) == (field, "integer_below_min_value")


def _search(**options: Any) -> Json:
    return _agent(tools=[{"type": "file_search", "file_search": options}])


def test_the_options_of_a_search_have_their_ranges(api: Api, refuses: Refuses) -> None:
    for number in (1, 50):
        api.post("/assistants", _search(max_num_results=number))
    for threshold in (0, 0.5, 1):
        api.post("/assistants", _search(ranking_options={"ranker": "auto", "score_threshold": threshold}))
    where = "tools[0].file_search"
    for options, path, code in (
        ({"max_num_results": 0}, "max_num_results", "integer_below_min_value"),
        ({"max_num_results": 51}, "max_num_results", "integer_above_max_value"),
        (
            {"ranking_options": {"score_threshold": 1.01}},
            "ranking_options.score_threshold",
            "decimal_above_max_value",
        ),
    ):
        error = refuses(400, "POST", "/assistants", _search(**options))
        assert (error["param"], error["code"]) == (f"{where}.{path}", code)


@pytest.mark.parametrize(
    ("tool", "field", "most"),
    [("code_interpreter", "file_ids", 20), ("file_search", "vector_store_ids", 1)],
)
def test_a_tool_has_so_many_files_or_stores_at_most(
    refuses: Refuses, tool: str, field: str, most: int
) -> None:
    """As many as allowed are looked for, and not found; one more is too many before anybody looks."""
    for path, body in (("/assistants", _agent()), ("/threads", {})):
        ids = [f"id_{number}" for number in range(most + 1)]
        refuses(404, "POST", path, body | {"tool_resources": {tool: {field: ids[:most]}}})
        error = refuses(400, "POST", path, body | {"tool_resources": {tool: {field: ids}}})
        assert error["param"] == f"tool_resources.{tool}.{field}"
        assert error["code"] == "array_above_max_length"


@pytest.mark.parametrize("name", ["f", "F-_9", "get_weather", "a" * 64])
def test_a_functions_name_has_letters_digits_underscores_and_hyphens(api: Api, name: str) -> None:
    api.agent(tools=[function_tool(name)])


@pytest.mark.parametrize("name", ["", " f", "f f", "f.g", "é", "f\n", "\nf", "f\x00", "f/g"])
def test_any_other_functions_name_is_refused(refuses: Refuses, name: str) -> None:
    error = refuses(400, "POST", "/assistants", _agent(tools=[function_tool(name)]))
    assert (error["param"], error["code"]) == ("tools[0].function.name", "invalid_value")


def test_azure_takes_longer_messages(api: Api) -> None:
    azure = api.at("/api/projects/alpha")
    thread = azure.thread()
    longest = {"role": "user", "content": "x" * 1_500_000}
    assert azure.post(f"/threads/{thread}/messages", longest)
    longer = {"role": "user", "content": [{"type": "text", "text": "x" * 1_500_001}]}
    error = azure.refused(400, "POST", f"/threads/{thread}/messages", longer)
    assert (error["param"], error["code"]) == ("content[0].text", "string_above_max_length")


@pytest.mark.parametrize(
    "path",
    [
        "/threads/%00",
        "/threads/%00/runs/run_x/events",
        "/assistants/%00",
        "/webhooks/%00",
        "/assistants?after=%00",
        "/runs?before=%00",
        "/runs?thread_id=%00",
        "/runs?assistant_id=%00",
    ],
)
def test_what_no_id_can_be_is_not_found_or_refused(api: Api, path: str) -> None:
    answer = api.send("GET", path)
    assert answer.status_code in (200, 400, 404)
    assert answer.status_code != 200 or answer.json()["data"] == []


_NUL = "%00"
_QUERY = (
    *("after", "before", "limit", "order", "wait", "run_id", "thread_id", "assistant_id", "status"),
    *("model", "unchanged_since", "since", "until", "include[]", "metadata[%00]", "metadata[a]"),
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_character_nul_is_nowhere_the_servers_fault(api: Api, world: World, operation: Operation) -> None:
    """PostgreSQL keeps no NUL, and finds none: nothing has such an id, and nothing can be made of one."""
    body = right_body(operation, world)
    for at, name in enumerate(World._fields):
        if f"{{{name}" in operation.path:
            odd = World(*(_NUL if number == at else value for number, value in enumerate(world)))
            assert api.send(operation.method, odd.path(operation), body).status_code in (400, 404), name
    path = world.path(operation).partition("?")[0]
    if operation.method == "GET":
        for name in _QUERY:
            ends = {"wait": "0"} if operation.name == "follow_project" and name != "wait" else {}
            query = "&".join(f"{key}={value}" for key, value in ({name: f"a{_NUL}"} | ends).items())
            answer = api.send("GET", f"{path}?{query}")
            assert answer.status_code in (200, 400), (name, answer.text)
    for key, value in (body or {}).items():
        if isinstance(value, str):
            answer = api.send(operation.method, path, {**(body or {}), key: "a\0"})
            assert answer.status_code in (200, 400, 404), (key, answer.text)
    if body is not None:
        answer = api.send(operation.method, path, {**body, "metadata": {"a\0": "b\0"}})
        assert answer.status_code in (200, 400), answer.text
