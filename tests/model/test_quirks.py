"""Requests for endpoints that refuse the usual form, and what a refusal teaches."""

from typing import Any

import pytest
from msgspec.structs import replace

from clew.model.chat import ChatRequest
from clew.model.quirks import USUAL, Quirks, body_of, lesson
from clew.model.trouble import problem_of

TOOL = {"type": "function", "function": {"name": "look", "strict": True}}
CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hi."}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm."}
OUTPUT = {"role": "tool", "tool_call_id": "a", "content": ""}

FULL = ChatRequest(
    model="m",
    messages=(SYSTEM, USER, CALLS, OUTPUT),
    tools=(TOOL,),
    tool_choice="required",
    parallel_tool_calls=False,
    temperature=1.0,
    max_completion_tokens=5,
)


def learned(words: Any, *, status: int = 400, quirks: Quirks = USUAL) -> Quirks | None:
    said = words if isinstance(words, dict) else {"error": {"message": words}}
    return lesson(problem_of(said, status), body_of(FULL, quirks, {}), quirks)


def test_the_usual_form() -> None:
    body = body_of(FULL, Quirks(), {})
    assert body["messages"] == list(FULL.messages)
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert (body["stream"], body["temperature"], body["max_completion_tokens"]) == (True, 1.0, 5)
    assert body["stream_options"] == {"include_usage": True}


def test_an_owners_fields_win() -> None:
    assert body_of(FULL, Quirks(), {"temperature": 0, "seed": 7})["temperature"] == 0


def test_instructions_can_be_folded_into_the_first_message() -> None:
    folded = body_of(FULL, Quirks(system="fold"), {})["messages"]
    assert folded[0] == {"role": "user", "content": "Be brief.\n\nHi."}
    developer = body_of(FULL, Quirks(system="developer"), {})["messages"]
    assert developer[0]["role"] == "developer"


def test_roles_take_turns() -> None:
    said = {"role": "assistant", "content": "So."}
    more = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    request = replace(FULL, messages=(SYSTEM, said, USER, more, said, CALLS, OUTPUT, said, said))
    merged = body_of(request, Quirks(merge_roles=True), {})["messages"]
    assert [each["role"] for each in merged] == [
        "system", "user", "assistant", "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip
    assert merged[3]["content"][0] == {"type": "text", "text": "Hi."}
    assert (merged[4]["content"], merged[4]["tool_calls"]) == ("So.", [CALL])
    assert merged[6]["content"] == "So.\n\nSo."


@pytest.mark.parametrize(("no_content", "expected"), [("null", None), ("empty", ""), ("omit", "absent")])
def test_a_message_without_text_is_written_as_the_endpoint_wants(no_content: Any, expected: Any) -> None:
    message = body_of(FULL, Quirks(no_content=no_content), {})["messages"][2]
    assert message.get("content", "absent") == expected


def test_a_tools_message_can_have_a_name_and_is_filled_if_it_is_empty() -> None:
    message = body_of(FULL, Quirks(tool_names=True, fill_empty=True), {})["messages"][3]
    assert message["name"] == "look"
    assert message["content"]


LESSONS: list[tuple[Any, Quirks]] = [
    ("Unrecognized request argument supplied: stream_options", Quirks(drop=frozenset(["stream_options"]))),
    ("stream options are not supported", Quirks(drop=frozenset(["stream_options"]))),
    (
        {"detail": [{"loc": ["body", "parallel_tool_calls"], "msg": "Extra inputs are not permitted"}]},
        Quirks(drop=frozenset(["parallel_tool_calls"])),
    ),
    (
        {"error": {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}},
        Quirks(drop=frozenset(["temperature"])),
    ),
    ("max_completion_tokens: Unknown field", Quirks(limit_field="max_tokens")),
    (
        "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens' instead.",
        Quirks(limit_field="max_tokens"),
    ),
    ("tool_choice 'required' is not supported", Quirks(drop=frozenset(["tool_choice"]))),
    ("unknown field `reasoning_content` in messages", Quirks(drop=frozenset(["reasoning_content"]))),
    ("tools[0].function.strict: not permitted", Quirks(drop=frozenset(["strict"]))),
    ("Streaming is not supported for this model.", Quirks(stream=False)),
    ("System role not supported", Quirks(system="fold")),
    ("Only user and assistant roles are supported!", Quirks(system="fold")),
    ("messages.0.role: Input should be 'user' or 'assistant'", Quirks(system="fold")),
    (
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        Quirks(merge_roles=True),
    ),
    ("Developer instruction is not enabled for this model: system messages", Quirks(system="fold")),
    ("Conversation roles must alternate user/assistant/user/assistant/...", Quirks(merge_roles=True)),
    ("First message must be from the user", Quirks(merge_roles=True)),
    ("messages.2.content: Input should be a valid string, got null", Quirks(no_content="empty")),
    ("Invalid value for 'content': expected a string, got null.", Quirks(no_content="empty")),
    ("messages: text content blocks must be non-empty", Quirks(fill_empty=True)),
    ("messages.3: name is required for tool messages", Quirks(tool_names=True)),
]


@pytest.mark.parametrize(("words", "expected"), LESSONS, ids=[str(words)[:40] for words, _ in LESSONS])
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_teaches_what_to_do_without(words: Any, expected: Quirks, status: int) -> None:
    assert learned(words, status=status) == expected
    assert learned(words, status=401) is None


def test_one_lesson_leads_to_the_next_and_there_is_an_end() -> None:
    quirks, seen = Quirks(), []
    for _ in range(20):
        following = learned("content must be a string and not null", quirks=quirks)
        if following is None:
            break
        quirks = following
        seen.append(quirks.no_content)
    assert seen == ["empty", "omit"]


@pytest.mark.parametrize(
    "words", ["The model is overloaded.", "Invalid image.", "tools are not supported", ""]
)
def test_what_we_can_not_do_without_teaches_nothing(words: str) -> None:
    assert learned(words) is None


def test_a_template_that_breaks_in_the_server_teaches_too() -> None:
    words = "Jinja Exception: Conversation roles must alternate"
    assert learned(words, status=500) == Quirks(merge_roles=True)
    assert learned("Internal error while streaming", status=500) is None
