"""Calls put together from pieces: whatever the cut and the spelling, the same calls come out."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.model.calls import MOST_CALLS, CallAssembler, pieces_of
from clew.model.chat import CallDelta, CallFacts

OFFERED = ["look", "turn", "get_weather"]

Call = tuple[str, str]


def assembled(*frames: Any, offered: list[str] = OFFERED) -> tuple[list[Call], list[CallFacts]]:
    """Return the calls as readers put them together, and what goes back to the model."""
    assembler, deltas = CallAssembler(offered), list[CallDelta]()
    for frame in frames:
        assembler.add(pieces_of(frame), deltas.append)
    facts = assembler.end(deltas.append)
    calls: list[list[str]] = []
    for delta in deltas:
        if delta.name is not None:
            assert delta.index == len(calls), "calls open in their order"
            calls.append([delta.name, ""])
        calls[delta.index][1] += delta.arguments
    return [(name, arguments) for name, arguments in calls], facts


def piece(at: Any = None, id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    """Return one piece as servers send it, without what is None."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    found = {"index": at, "id": id, "function": function}
    return {key: value for key, value in found.items() if value is not None}


LEFT, WALL = '{"way": "left"}', '{"at": "wall"}'
ONE = [("turn", LEFT)]
BOTH = [("turn", LEFT), ("look", WALL)]

SPELLINGS: dict[str, tuple[list[Any], list[Call]]] = {
    "usual": (
        [[piece(0, "a", "turn", "")], [piece(0, arguments=LEFT[:5])], [piece(0, arguments=LEFT[5:])]],
        ONE,
    ),
    "two side by side": (
        [
            [piece(0, "a", "turn", ""), piece(1, "b", "look", "")],
            [piece(1, arguments=WALL[:4]), piece(0, arguments=LEFT[:7])],
            [piece(0, arguments=LEFT[7:]), piece(1, arguments=WALL[4:])],
        ],
        BOTH,
    ),
    "all numbered 0": ([[piece(0, "a", "turn", LEFT)], [piece(0, "b", "look", WALL)]], BOTH),
    "all numbered 0 without ids": ([[piece(0, None, "turn", LEFT)], [piece(0, None, "look", WALL)]], BOTH),
    "all numbered 0, without arguments": (
        [[piece(0, "a", "turn", "")], [piece(0, "b", "look", "")]],
        [("turn", "{}"), ("look", "{}")],
    ),
    "numbered from 1": ([[piece(1, "a", "turn", LEFT)], [piece(2, "b", "look", WALL)]], BOTH),
    "no numbers": (
        [[piece(None, "a", "turn", "")], [piece(None, "a", None, LEFT)], [piece(None, "b", "look", WALL)]],
        BOTH,
    ),
    "neither numbers nor ids": (
        [
            [piece(None, None, "turn", LEFT[:3])],
            [piece(None, None, None, LEFT[3:])],
            [piece(None, None, "look", WALL)],
        ],
        BOTH,
    ),
    "neither numbers nor ids, in one frame": (
        [[piece(None, None, "turn", ""), piece(None, None, "look", WALL)]],
        [("turn", "{}"), ("look", WALL)],
    ),
    "the same id twice": ([[piece(0, "a", "turn", LEFT)], [piece(0, "a", "look", WALL)]], BOTH),
    "the id in every piece": (
        [[piece(0, "a", "turn", "")], [piece(0, "a", None, LEFT[:5])], [piece(0, "a", None, LEFT[5:])]],
        ONE,
    ),
    "id and name in every piece": (
        [[piece(0, "a", "turn", LEFT[:5])], [piece(0, "a", "turn", LEFT[5:])], [piece(0, "a", "turn", "")]],
        ONE,
    ),
    "another id in every piece": (
        [[piece(0, "a", "turn", "")], [piece(0, "b", None, LEFT[:5])], [piece(0, "c", None, LEFT[5:])]],
        ONE,
    ),
    "the name in pieces": (
        [[piece(0, "a", "get_")], [piece(0, None, "weather")], [piece(0, None, None, "{}")]],
        [("get_weather", "{}")],
    ),
    "the name after the arguments": ([[piece(0, "a", None, LEFT)], [piece(0, None, "turn")]], ONE),
    "an empty name before the name": ([[piece(0, "a", "", "")], [piece(0, None, "turn", LEFT)]], ONE),
    "white space round the name": ([[piece(0, "a", " turn\n", LEFT)]], ONE),
    "an object as arguments": ([[piece(0, "a", "turn", {"way": "left"})]], [("turn", '{"way":"left"}')]),
    "null as arguments": ([[piece(0, "a", "turn")]], [("turn", "{}")]),
    "blanks as arguments": ([[piece(0, "a", "turn", " ")], [piece(0, None, None, "")]], [("turn", "{}")]),
    "an empty object first": ([[piece(0, "a", "turn", {})], [piece(0, None, None, LEFT)]], ONE),
    "an empty object as text first": ([[piece(0, "a", "turn", "{}")], [piece(0, None, None, LEFT)]], ONE),
    "an index in words": ([[piece("0", "a", "turn", "")], [piece(0.0, None, None, LEFT)]], ONE),
    "a number as id": ([[piece(0, 7, "turn", "")], [piece(None, 7, None, LEFT)]], ONE),
    "null entries": ([[None, piece(0, "a", "turn", LEFT), None, {}]], ONE),
    "beside the function": ([[{"index": 0, "id": "a", "name": "turn", "arguments": LEFT}]], ONE),
    "one object, not a list": ([{"name": "turn", "arguments": LEFT}], ONE),
    "all again in the last frame": (
        [[piece(0, "a", "turn", LEFT), piece(1, "b", "look", WALL)]] * 2,
        BOTH,
    ),
    "one again in the last frame": (
        [[piece(0, "a", "turn", LEFT[:5])], [piece(0, "a", None, LEFT[5:])], [piece(0, "a", "turn", LEFT)]],
        ONE,
    ),
    "a brace in a string": (
        [[piece(0, "a", "turn", '{"a": "}')], [piece(0, "a", "turn", '\\"{"}')]],
        [("turn", '{"a": "}\\"{"}')],
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_read_as_what_it_means(name: str) -> None:
    frames, expected = SPELLINGS[name]
    assert assembled(*frames)[0] == expected


_names = st.sampled_from(OFFERED)
_arguments = st.dictionaries(st.text(max_size=5), st.text(max_size=12), max_size=3)
_style = st.sampled_from(["usual", "ids", "zero", "bare"])


@given(calls=st.lists(st.tuples(_names, _arguments), min_size=1, max_size=5), style=_style, data=st.data())
def test_the_same_calls_come_out_wherever_the_stream_is_cut(
    calls: list[tuple[str, dict[str, str]]], style: str, data: st.DataObject
) -> None:
    whole = [(name, msgspec.json.encode(arguments).decode()) for name, arguments in calls]
    frames = []
    for number, (name, arguments) in enumerate(whole):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
        bounds = [0, *cuts, len(arguments)]
        parts = [arguments[a:b] for a, b in pairwise(bounds)]
        at = {"usual": number, "ids": None, "zero": 0, "bare": None}[style]
        id = None if style == "bare" else f"id_{number}"
        frames.append([piece(at, id, name, parts[0])])
        frames += [[piece(at, id if style == "ids" else None, None, part)] for part in parts[1:]]
    found, facts = assembled(*frames)
    assert found == whole
    assert [fact.id for fact in facts] == [None if style == "bare" else f"id_{n}" for n in range(len(whole))]


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_piece = st.fixed_dictionaries(
    {},
    optional={
        "index": _anything,
        "id": _anything,
        "function": st.fixed_dictionaries({}, optional={"name": _anything, "arguments": _anything})
        | _anything,
        "name": _anything,
        "arguments": _anything,
        "x": _anything,
    },
)


@given(frames=st.lists(st.lists(_piece, max_size=3) | _anything, max_size=6))
def test_whatever_comes_there_are_calls_with_names_and_arguments(frames: list[Any]) -> None:
    calls, facts = assembled(*frames)
    assert len(calls) == len(facts) <= MOST_CALLS
    assert all(isinstance(name, str) and arguments for name, arguments in calls)


def test_more_calls_than_anybody_makes_are_left_out() -> None:
    calls, _ = assembled(*([piece(n, f"id_{n}", "look", WALL)] for n in range(MOST_CALLS + 50)))
    assert len(calls) == MOST_CALLS


def test_what_came_with_a_call_goes_back_as_it_came() -> None:
    google = {"google": {"thought_signature": "c2ln"}}
    calls, facts = assembled(
        [piece(0, "a", "turn", "") | {"extra_content": google}],
        [piece(0, arguments=LEFT)],
        [piece(0) | {"provider_specific_fields": {"sig": "x", "null": None}}],
    )
    assert calls == ONE
    assert facts == [
        CallFacts("a", {"extra_content": google, "provider_specific_fields": {"sig": "x", "null": None}})
    ]


def test_a_call_is_told_as_soon_as_nothing_of_it_can_change() -> None:
    assembler, deltas = CallAssembler(OFFERED), list[CallDelta]()

    def told(*pieces: dict[str, Any]) -> list[CallDelta]:
        deltas.clear()
        assembler.add(pieces_of(list(pieces)), deltas.append)
        return list(deltas)

    assert told(piece(0, "a", "turn", "")) == []
    assert told(piece(0, arguments="{}")) == []
    assert told(piece(0, arguments='{"w')) == [CallDelta(0, "a", "turn"), CallDelta(0, arguments='{"w')]
    assert told(piece(0, arguments='ay"')) == [CallDelta(0, arguments='ay"')]


def test_pieces_without_end_cost_what_they_are() -> None:
    count = 50_000
    frames = [[piece(0, "a", "turn", '{"')], *[[piece(0, "a", "turn", "}x")]] * count]
    calls, _ = assembled(*frames)
    assert calls == [("turn", '{"' + "}x" * count)]
