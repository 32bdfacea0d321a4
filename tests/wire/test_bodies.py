"""From bodies to commands, in both dialects."""

from typing import Any

import msgspec
import pytest

from clew.service.commands import Given
from clew.wire import requests
from clew.wire.bodies import new_message, start_run, start_thread_and_run
from clew.wire.dialects import AZURE, AZURE_MESSAGE_TEXT, OPENAI, OPENAI_MESSAGE_TEXT, Dialect
from clew.wire.errors import ApiError


def _run(**fields: Any) -> requests.CreateRun:
    return msgspec.convert({"assistant_id": "asst_1", **fields}, requests.CreateRun)


def test_only_azures_runs_bring_resources() -> None:
    body = _run(tool_resources={})
    assert start_run(body, "thread_1", AZURE, wait=False).resources == Given()
    with pytest.raises(ApiError) as refused:
        start_run(body, "thread_1", OPENAI, wait=False)
    assert refused.value.body.code == "unknown_parameter"
    whole = msgspec.convert({"assistant_id": "asst_1", "tool_resources": {}}, requests.CreateThreadAndRun)
    assert start_thread_and_run(whole, OPENAI, wait=False).resources == Given()


def test_only_azures_runs_need_an_agents_id_that_looks_like_one() -> None:
    body = msgspec.structs.replace(_run(), assistant_id="mine")
    assert start_run(body, "thread_1", OPENAI, wait=False).agent_id == "mine"
    with pytest.raises(ApiError) as refused:
        start_run(body, "thread_1", AZURE, wait=False)
    assert refused.value.body.param == "assistant_id"


@pytest.mark.parametrize(
    ("dialect", "longest"),
    [(OPENAI, OPENAI_MESSAGE_TEXT), (AZURE, AZURE_MESSAGE_TEXT)],
    ids=["openai", "azure"],
)
def test_a_text_is_as_long_as_its_dialect_allows(dialect: Dialect, longest: int) -> None:
    right = requests.CreateMessage(role=requests.Role.USER, content="x" * longest)
    assert new_message(right, dialect).role == "user"
    with pytest.raises(ApiError) as refused:
        new_message(msgspec.structs.replace(right, content="x" * (longest + 1)), dialect, path="messages[3].")
    assert refused.value.body.param == "messages[3].content"


def test_what_is_not_given_or_null_is_no_option() -> None:
    body = _run(model=None, temperature=0, parallel_tool_calls=False, tools=[])
    command = start_run(body, "thread_1", OPENAI, wait=True)
    assert command.options == {"temperature": 0, "parallel_tool_calls": False, "tools": []}
    assert command.wait


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"truncation_strategy": {"type": "last_messages"}}, "truncation_strategy.last_messages"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
    ],
)
def test_what_a_choice_needs_is_asked_for(fields: dict[str, Any], missing: str) -> None:
    with pytest.raises(ApiError) as refused:
        start_run(_run(**fields), "thread_1", OPENAI, wait=False)
    assert (refused.value.body.param, refused.value.body.code) == (missing, "missing_required_parameter")
