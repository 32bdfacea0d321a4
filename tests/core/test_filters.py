"""Filters mean what their words say, and are bounded before anybody looks at them."""

import operator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.filters import (
    MOST_COMPARISONS,
    MOST_DEPTH,
    MOST_VALUES,
    And,
    Attribute,
    Equal,
    Filter,
    In,
    Or,
    check,
    matches,
)

READER: msgspec.json.Decoder[Filter] = msgspec.json.Decoder(Filter)
ATTRIBUTES: dict[str, Attribute] = {"text": "b", "number": 2.0, "one": 1.0, "yes": True, "year": 2026}


def _read(given_: Any) -> Filter:
    return READER.decode(msgspec.json.encode(given_))


def _one(kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("kind", "key", "value", "matched"),
    [
        ("eq", "text", "b", True),
        ("eq", "text", "B", False),
        ("eq", "number", 2, True),
        ("eq", "number", "2", False),
        ("eq", "year", 2026, True),
        ("eq", "yes", True, True),
        ("eq", "yes", 1, False),
        ("eq", "one", True, False),
        ("eq", "missing", "b", False),
        ("ne", "text", "b", False),
        ("ne", "text", 1, True),
        ("ne", "yes", 1, True),
        ("ne", "missing", "b", True),
        ("gt", "number", 1.9, True),
        ("gt", "number", 2, False),
        ("gte", "number", 2, True),
        ("gte", "year", 2027, False),
        ("lt", "number", 2, False),
        ("lt", "number", 2.1, True),
        ("lte", "number", 2, True),
        ("lt", "text", 3, False),
        ("lte", "yes", 1, False),
        ("gt", "missing", -1, False),
        ("in", "text", ["a", "b"], True),
        ("in", "text", [], False),
        ("in", "number", ["2", 2], True),
        ("in", "yes", [1], False),
        ("in", "missing", ["a"], False),
        ("nin", "text", ["a", "b"], False),
        ("nin", "text", [], True),
        ("nin", "yes", [1], True),
        ("nin", "missing", ["a"], True),
    ],
)
def test_what_comparisons_mean(kind: str, key: str, value: Any, matched: bool) -> None:
    assert matches(_read(_one(kind, key, value)), ATTRIBUTES) is matched


NUMBERS = st.integers(-3, 3) | st.floats(-3, 3)
ORDERED = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
KEYS = st.sampled_from(["a", "b"])
VALUES = st.sampled_from(["", "x"]) | NUMBERS
LEAVES = (
    st.builds(_one, st.sampled_from(["eq", "ne"]), KEYS, VALUES | st.booleans())
    | st.builds(_one, st.sampled_from(sorted(ORDERED)), KEYS, NUMBERS)
    | st.builds(_one, st.sampled_from(["in", "nin"]), KEYS, st.lists(VALUES, max_size=3))
)
FILTERS = st.recursive(
    LEAVES,
    lambda below: st.builds(
        lambda kind, filters: {"type": kind, "filters": filters},
        st.sampled_from(["and", "or"]),
        st.lists(below, max_size=3),
    ),
    max_leaves=8,
)


def _opinion(given_: dict[str, Any], attributes: dict[str, Attribute]) -> bool:
    """Say the same in another way: with a value goes its kind."""
    kind = given_["type"]
    if kind in ("and", "or"):
        said = [_opinion(each, attributes) for each in given_["filters"]]
        return False not in said if kind == "and" else True in said
    values = given_["value"] if isinstance(given_["value"], list) else [given_["value"]]
    own: Any = attributes.get(given_["key"])
    if kind in ORDERED:
        return _kind(own) == "number" and bool(ORDERED[kind](own, values[0]))
    same = (_kind(own), own) in [(_kind(value), value) for value in values]
    return same is (kind in ("eq", "in"))


def _kind(value: object) -> str:
    return {bool: "bool", str: "text", type(None): "none"}.get(type(value), "number")


@given(FILTERS, st.dictionaries(KEYS, VALUES | st.booleans()))
def test_filters_of_any_shape(given_: dict[str, Any], attributes: dict[str, Attribute]) -> None:
    assert matches(_read(given_), attributes) is _opinion(given_, attributes)


@given(FILTERS)
def test_what_is_declared_is_given_back(given_: dict[str, Any]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(_read(given_))) == given_


@pytest.mark.parametrize(
    "wrong",
    [
        _one("gt", "a", "x"),
        _one("gt", "a", True),
        _one("eq", "a", ["x"]),
        _one("eq", "a", None),
        _one("in", "a", "x"),
        _one("in", "a", [True]),
        _one("like", "a", "x"),
        _one("eq", "a" * 65, "x"),
        _one("eq", "a", "x" * 513),
        {"type": "eq", "key": "a"},
        {"type": "and"},
        {"type": "not", "filters": []},
        {"type": "and", "filters": [], "key": "a"},
        {"type": "or", "filters": [_one("lt", "a", "x")]},
    ],
)
def test_what_is_no_filter_is_not_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        _read(wrong)


def _deep(levels: int) -> Filter:
    nested: Filter = Equal(key="a", value=1.0)
    for _ in range(levels - 1):
        nested = And(filters=[nested])
    return nested


def _wide(comparisons: int) -> Filter:
    half = comparisons // 2
    leaf = Equal(key="a", value=1.0)
    return Or(filters=[And(filters=[leaf] * half), And(filters=[leaf] * (comparisons - half))])


def _listed(*values: int) -> Filter:
    return And(filters=[In(key="a", value=["x"] * count) for count in values])


def test_what_is_within_the_limits_passes() -> None:
    check(_deep(MOST_DEPTH))
    check(_wide(MOST_COMPARISONS))
    check(In(key="a", value=["x"] * MOST_VALUES))


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        (_deep(MOST_DEPTH + 1), "A filter may be at most 8 levels deep."),
        (_deep(5000), "A filter may be at most 8 levels deep."),
        (_wide(MOST_COMPARISONS + 1), "A filter may have at most 64 comparisons."),
        (And(filters=[Or(filters=[])] * 64), "A filter may have at most 64 comparisons."),
        (_listed(600, 600), "A filter may have at most 1024 values in its lists."),
    ],
    ids=["deep", "very deep", "wide", "empty", "values"],
)
def test_what_is_beyond_the_limits_is_refused(given_: Filter, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check(given_)


def test_breadth_does_not_multiply() -> None:
    bomb: Filter = Or(filters=[])
    for _ in range(MOST_DEPTH - 1):
        bomb = And(filters=[bomb] * MOST_COMPARISONS)
    with pytest.raises(ValueError):
        check(bomb)
