"""Errors: the right status, type, code, param and words for each, and nothing left behind.

Source: OpenAI's published API schema (``ErrorResponse``) and the messages of its service, which
programs match against.
"""

from typing import Any, NamedTuple

import pytest

from tests.support.api import Api, function_tool
from tests.support.operations import World
from tests.support.refusals import Refuses


class Wrong(NamedTuple):
    """A request that is wrong, and what the error must say of it."""

    path: str
    body: Any
    message: str
    param: str | None
    code: str | None
    status: int = 400


_TOOL: dict[str, Any] = function_tool("turn")

WRONG = {
    "missing": Wrong(
        "/assistants",
        {},
        "Missing required parameter: 'model'.",
        "model",
        "missing_required_parameter",
    ),
    "missing in a list": Wrong(
        "/threads",
        {"messages": [{"content": "Hello."}]},
        "Missing required parameter: 'messages[0].role'.",
        "messages[0].role",
        "missing_required_parameter",
    ),
    "unknown": Wrong(
        "/assistants",
        {"model": "m", "temprature": 1},
        "Unknown parameter: 'temprature'.",
        "temprature",
        "unknown_parameter",
    ),
    "unknown inside": Wrong(
        "/assistants",
        {"model": "m", "tools": [_TOOL, {"type": "function", "function": {"name": "f", "args": {}}}]},
        "Unknown parameter: 'tools[1].function.args'.",
        "tools[1].function.args",
        "unknown_parameter",
    ),
    "wrong type": Wrong(
        "/assistants",
        {"model": "m", "name": 5},
        "Invalid type for 'name': expected a string, but got an integer instead.",
        "name",
        "invalid_type",
    ),
    "null where a value is required": Wrong(
        "/assistants",
        {"model": None},
        "Invalid type for 'model': expected a string, but got null instead.",
        "model",
        "invalid_type",
    ),
    "metadata that is no string": Wrong(
        "/threads",
        {"metadata": {"count": 5}},
        "Invalid type for 'metadata.count': expected a string, but got an integer instead.",
        "metadata.count",
        "invalid_type",
    ),
    "not an object": Wrong(
        "/threads",
        [],
        "Invalid type for the request body: expected an object, but got an array instead.",
        None,
        "invalid_type",
    ),
    "bad enum": Wrong(
        "/threads/{thread_id}/messages",
        {"role": "system", "content": "x"},
        "Invalid value: 'system'. Supported values are: 'user' and 'assistant'.",
        "role",
        "invalid_value",
    ),
    "bad tool": Wrong(
        "/assistants",
        {"model": "m", "tools": [{"type": "retrieval"}]},
        "Invalid value: 'retrieval'. Supported values are: 'function', 'clew_clock', 'clew_calculator', "
        "'code_interpreter', 'file_search', 'openapi', 'mcp', 'connected_agent', 'bing_grounding', "
        "'azure_ai_search', and 'azure_function'.",
        "tools[0].type",
        "invalid_value",
    ),
    "tool type of a wrong type": Wrong(
        "/assistants",
        {"model": "m", "tools": [{"type": {"a": 1}}]},
        "Invalid value: '{\"a\":1}'. Supported values are: 'function', 'clew_clock', 'clew_calculator', "
        "'code_interpreter', 'file_search', 'openapi', 'mcp', 'connected_agent', 'bing_grounding', "
        "'azure_ai_search', and 'azure_function'.",
        "tools[0].type",
        "invalid_value",
    ),
    "empty content": Wrong(
        "/threads/{thread_id}/messages",
        {"role": "user", "content": ""},
        "Invalid 'content': empty string. Expected a string with minimum length 1, but got an empty string "
        "instead.",
        "content",
        "invalid_value",
    ),
    "above the maximum": Wrong(
        "/assistants",
        {"model": "m", "temperature": 2.5},
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        "temperature",
        "decimal_above_max_value",
    ),
    "below the minimum": Wrong(
        "/threads/{thread_id}/runs",
        {"assistant_id": "{assistant_id}", "max_prompt_tokens": 0},
        "Invalid 'max_prompt_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        "max_prompt_tokens",
        "integer_below_min_value",
    ),
    "no last message": Wrong(
        "/threads/{thread_id}/runs",
        {
            "assistant_id": "{assistant_id}",
            "truncation_strategy": {"type": "last_messages", "last_messages": 0},
        },
        "Invalid 'truncation_strategy.last_messages': integer below minimum value. Expected a value >= 1, "
        "but got 0 instead.",
        "truncation_strategy.last_messages",
        "integer_below_min_value",
    ),
    "last messages without a number": Wrong(
        "/threads/{thread_id}/runs",
        {"assistant_id": "{assistant_id}", "truncation_strategy": {"type": "last_messages"}},
        "Missing required parameter: 'truncation_strategy.last_messages'.",
        "truncation_strategy.last_messages",
        "missing_required_parameter",
    ),
    "a choice of a function that is not there": Wrong(
        "/threads/{thread_id}/runs",
        {
            "assistant_id": "{assistant_id}",
            "tool_choice": {"type": "function", "function": {"name": "fly"}},
        },
        "Invalid 'tool_choice': there is no function 'fly' among the tools.",
        "tool_choice",
        "invalid_value",
    ),
    "a choice of no function": Wrong(
        "/threads/{thread_id}/runs",
        {"assistant_id": "{assistant_id}", "tool_choice": {"type": "function"}},
        "Missing required parameter: 'tool_choice.function'.",
        "tool_choice.function",
        "missing_required_parameter",
    ),
    "unknown agent": Wrong(
        "/threads/{thread_id}/runs",
        {"assistant_id": "asst_x", "additional_messages": [{"role": "user", "content": "x"}]},
        "No assistant found with id 'asst_x'.",
        None,
        None,
        404,
    ),
    "unknown agent with a new thread": Wrong(
        "/threads/runs",
        {"assistant_id": "asst_x", "thread": {"messages": [{"role": "user", "content": "x"}]}},
        "No assistant found with id 'asst_x'.",
        None,
        None,
        404,
    ),
    "wrong message with a new thread": Wrong(
        "/threads/runs",
        {"assistant_id": "{assistant_id}", "thread": {"messages": [{"role": "user", "content": []}]}},
        "Invalid 'thread.messages[0].content': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead.",
        "thread.messages[0].content",
        "invalid_value",
    ),
    "wrong additional message": Wrong(
        "/threads/{thread_id}/runs",
        {
            "assistant_id": "{assistant_id}",
            "additional_messages": [
                {"role": "user", "content": "fine"},
                {"role": "tool", "content": "x"},
            ],
        },
        "Invalid value: 'tool'. Supported values are: 'user' and 'assistant'.",
        "additional_messages[1].role",
        "invalid_value",
    ),
    "tool resources for a run on a thread": Wrong(
        "/threads/{thread_id}/runs",
        {"assistant_id": "{assistant_id}", "tool_resources": {"file_search": {"vector_store_ids": []}}},
        "Unknown parameter: 'tool_resources'.",
        "tool_resources",
        "unknown_parameter",
    ),
    "unknown file": Wrong(
        "/threads/{thread_id}/messages",
        {"role": "user", "content": "x", "attachments": [{"file_id": "file-x", "tools": []}]},
        "No such File object: file-x",
        "attachments[0].file_id",
        None,
        404,
    ),
    "unknown image": Wrong(
        "/threads",
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "file-x"}}]}
            ]
        },
        "No such File object: file-x",
        "messages[0].content[0].image_file.file_id",
        None,
        404,
    ),
    "unknown vector store": Wrong(
        "/assistants",
        {"model": "m", "tool_resources": {"file_search": {"vector_store_ids": ["vs_x"]}}},
        "No vector store found with id 'vs_x'.",
        "tool_resources.file_search.vector_store_ids",
        None,
        404,
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_told_what_is_wrong(refuses: Refuses, world: World, wrong: Wrong) -> None:
    body = wrong.body
    if isinstance(body, dict) and body.get("assistant_id") == "{assistant_id}":
        body = body | {"assistant_id": world.assistant_id}
    error = refuses(wrong.status, "POST", wrong.path.format(**world._asdict()), body)
    assert error == {
        "message": wrong.message,
        "type": "invalid_request_error",
        "param": wrong.param,
        "code": wrong.code,
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/assistants/x", "No assistant found with id 'x'."),
        ("/threads/x", "No thread found with id 'x'."),
        ("/threads/x/messages", "No thread found with id 'x'."),
        ("/threads/{thread_id}/messages/x", "No message found with id 'x'."),
        ("/threads/{thread_id}/runs/x", "No run found with id 'x'."),
        ("/threads/{thread_id}/runs/x/steps", "No run found with id 'x'."),
        ("/threads/{thread_id}/runs/{run_id}/steps/x", "No run step found with id 'x'."),
        ("/threads/%F0%9F%A7%B6", "No thread found with id '🧶'."),
    ],
)
def test_an_unknown_id_is_named(refuses: Refuses, world: World, path: str, message: str) -> None:
    error = refuses(404, "GET", path.format(**world._asdict()))
    assert error == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


def test_an_unknown_thread_is_named_before_an_unknown_agent(refuses: Refuses, world: World) -> None:
    error = refuses(404, "POST", "/threads/x/runs", {"assistant_id": world.assistant_id})
    assert error["message"] == "No thread found with id 'x'."
    error = refuses(404, "POST", "/threads/x/messages", {"role": "user", "content": "Hello."})
    assert error["message"] == "No thread found with id 'x'."


MALFORMED = {
    "cut off": b'{"metadata": {"a": "b"',
    "not JSON": b"metadata=a",
    "a comment": b'{"metadata": {}} // all of it',
    "two values": b"{}{}",
    "single quotes": b"{'metadata': {}}",
    "NaN": b'{"metadata": NaN}',
    "too big a number": b'{"metadata": 1e999}',
    "invalid UTF-8": b'{"metadata": {"a": "\xff\xfe"}}',
    "half of a surrogate pair": b'{"metadata": {"a": "\\ud83d"}}',
    "a control character": b'{"metadata": {"a": "\n"}}',
    "UTF-16": '{"metadata": {}}'.encode("utf-16"),
    "only spaces": b"  ",
    "deep arrays": b'{"metadata": ' + b"[" * 100_000,
    "deep objects": b'{"metadata": ' + b'{"a": ' * 20_000 + b"1" + b"}" * 20_001,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("path", ["/threads", "/assistants", "/threads/{thread_id}/runs"])
def test_a_body_that_cannot_be_read_is_refused(
    refuses: Refuses, world: World, path: str, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    error = refuses(400, "POST", path.format(**world._asdict()), content=body, headers=headers)
    assert "JSON body" in error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", None)


def test_what_nests_as_deep_as_is_allowed_can_be_read_back(api: Api) -> None:
    def agent(levels: int) -> dict[str, Any]:
        parameters: dict[str, Any] = {}
        for _ in range(levels - 5):  # body, tools, tool, function, parameters
            parameters = {"a": parameters}
        function = {"name": "f", "parameters": parameters}
        return {"model": "scripted", "tools": [{"type": "function", "function": function}]}

    made = api.post("/assistants", agent(256))
    run = api.run(api.thread("Hello."), made["id"])
    assert run.wait("completed")["tools"] == made["tools"] == agent(256)["tools"]
    assert api.get(f"/threads/{run.thread}/runs")["data"][0]["tools"] == made["tools"]
    error = api.refused(400, "POST", "/assistants", agent(257))
    assert error["message"] == "The JSON body of your request nests deeper than 256 levels."


def test_brackets_in_text_do_not_count_as_levels(api: Api) -> None:
    said = '{["\\"' * 300
    thread = api.thread(said)
    assert api.texts(thread) == [said]


def test_a_body_over_the_limit_is_refused(refuses: Refuses) -> None:
    body = b'{"metadata": {"a": "' + b"x" * (32 * 1024 * 1024) + b'"}}'
    error = refuses(413, "POST", "/threads", content=body)
    assert error["type"] == "invalid_request_error"


def test_errors_that_a_retry_cannot_fix_do_not_ask_for_one(api: Api) -> None:
    for answer in (
        api.send("POST", "/threads", {"surprise": 1}),
        api.send("GET", "/threads/x"),
        api.send("PUT", "/threads"),
    ):
        assert answer.status_code not in (408, 409, 429)
        assert not any(name.startswith("retry-after") for name in answer.headers)


def test_azure_names_an_agents_id_that_cannot_be_one(api: Api) -> None:
    azure = api.at("/api/projects/alpha")
    error = azure.refused(400, "POST", f"/threads/{azure.thread()}/runs", {"assistant_id": "run_x"})
    assert error["message"] == "Invalid 'assistant_id': 'run_x'. Expected an ID that begins with 'asst'."
    assert (error["param"], error["code"]) == ("assistant_id", "invalid_value")
    azure.refused(404, "POST", f"/threads/{azure.thread()}/runs", {"assistant_id": "asst_x"})
