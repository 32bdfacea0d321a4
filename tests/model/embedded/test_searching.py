"""A small model searches with the question itself, and its answer is cited for it."""

import json
from typing import Any

import pytest

from clew.model.embedded.searching import arguments, citation, is_search, telling, without_markers

PUMP, FAN = "【4:0†pump.md】", "【4:1†fan.md】"
FOUND = (
    f"Passages about 'warranty', the best first.\n\n{PUMP} page 2\nThe pump has a warranty of 37 months.\n\n"
    f"{FAN}\nThe fan has three speeds and a warranty of 12 months.\n"
)
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "How long?"},
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "tool", "content": FOUND},
]


@pytest.mark.parametrize(
    ("answer", "marker"),
    [
        ("The pump has a warranty of 37 months.", PUMP),
        ("12 months for the fan.", FAN),
        ("Three speeds it has, the fan.", FAN),
        ("I do not know.", ""),
        ("", ""),
    ],
)
def test_an_answer_cites_the_passage_that_it_shares_most_with(answer: str, marker: str) -> None:
    assert citation(answer, MESSAGES) == marker


def test_what_was_found_for_an_earlier_question_is_not_cited() -> None:
    later = [
        *MESSAGES,
        {"role": "assistant", "content": "37 months."},
        {"role": "user", "content": "Thanks."},
    ]
    assert citation("The pump has a warranty of 37 months.", later) == ""


def test_the_question_is_searched_for() -> None:
    assert json.loads(arguments("How long?")) == {"query": "How long?"}
    assert len(json.loads(arguments("x" * 5_000))["query"]) == 500


def test_a_clients_function_of_that_name_is_none_of_ours() -> None:
    ours = {"function": {"name": "file_search", "parameters": {"required": ["query"]}}}
    theirs = {"function": {"name": "file_search", "parameters": {"required": ["path"]}}}
    assert [is_search(each) for each in (ours, theirs, {"function": {"name": "other"}}, {})] == [
        True,
        False,
        False,
        False,
    ]


def test_markers_are_not_shown_to_it() -> None:
    assert "【" not in without_markers(FOUND)
    assert "【注】" in without_markers("【注】 stays")


@pytest.mark.parametrize("content", ["The pump has 37 months.", "", None, '{"result": 37}'])
def test_outputs_of_other_tools_are_not_cited(content: str | None) -> None:
    assert citation("The pump has 37 months.", [*MESSAGES[:2], {"role": "tool", "content": content}]) == ""


def test_a_small_model_is_shown_what_bears_on_the_question() -> None:
    assert telling(FOUND, "How many speeds does the fan have?") == (
        "The fan has three speeds and a warranty of 12 months."
    )
    assert telling("Nothing was found.", "Who?") == "Nothing was found."
    assert telling("", "Who?") == ""
