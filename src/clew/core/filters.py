"""Filters over the attributes of files: what may be declared, and what it means.

Source of the shapes: ``ComparisonFilter`` and ``CompoundFilter`` of OpenAI's published API schema. That says
only "equals", "greater than" and so on; what is decided here beside is said at :func:`matches`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from clew.core.options import Declared

Attribute: TypeAlias = str | float | bool
"""What an attribute of a file may be."""

MOST_DEPTH, MOST_COMPARISONS, MOST_VALUES = 8, 64, 1024
"""Levels of a filter (a comparison alone is one), its comparisons, and the values of all its lists
together."""

Text: TypeAlias = Annotated[str, Meta(max_length=512)]
"""OpenAI's limit of an attribute's text."""


class Comparison(Declared, frozen=True):
    """Compares an attribute with a value; the kinds are below. ``key`` has OpenAI's limit of 64
    characters."""

    key: Annotated[str, Meta(max_length=64)]


class Equal(Comparison, frozen=True, tag="eq"):
    """The attribute is the value."""

    value: Text | float | bool


class NotEqual(Comparison, frozen=True, tag="ne"):
    """The attribute is not the value, or there is none."""

    value: Text | float | bool


class Greater(Comparison, frozen=True, tag="gt"):
    """The attribute is a greater number."""

    value: float


class GreaterOrEqual(Comparison, frozen=True, tag="gte"):
    """The attribute is a greater number, or that number."""

    value: float


class Less(Comparison, frozen=True, tag="lt"):
    """The attribute is a lesser number."""

    value: float


class LessOrEqual(Comparison, frozen=True, tag="lte"):
    """The attribute is a lesser number, or that number."""

    value: float


class In(Comparison, frozen=True, tag="in"):
    """The attribute is one of the values."""

    value: Annotated[list[Text | float], Meta(max_length=MOST_VALUES)]


class NotIn(Comparison, frozen=True, tag="nin"):
    """The attribute is none of the values, or there is none."""

    value: Annotated[list[Text | float], Meta(max_length=MOST_VALUES)]


class Compound(Declared, frozen=True):
    """Joins filters; the kinds are below."""

    filters: Annotated[list["Filter"], Meta(max_length=MOST_COMPARISONS)]


class And(Compound, frozen=True, tag="and"):
    """All match; so it does if there are none."""


class Or(Compound, frozen=True, tag="or"):
    """At least one matches."""


Filter: TypeAlias = Equal | NotEqual | Greater | GreaterOrEqual | Less | LessOrEqual | In | NotIn | And | Or
"""What a client may declare."""


def check(given: Filter) -> None:
    """Hold a filter to its limits.

    Raises:
        ValueError: it is too deep, or there is too much in it; says so in a sentence.
    """
    comparisons = values = compounds = 0
    level: list[Filter] = [given]
    for _ in range(MOST_DEPTH):
        below: list[Filter] = []
        for each in level:
            if isinstance(each, Compound):
                compounds += 1
                below.extend(each.filters)
            else:
                comparisons += 1
                values += len(each.value) if isinstance(each, In | NotIn) else 1
            if comparisons > MOST_COMPARISONS or compounds > MOST_COMPARISONS:
                raise ValueError(f"A filter may have at most {MOST_COMPARISONS} comparisons.")
        if values > MOST_VALUES:
            raise ValueError(f"A filter may have at most {MOST_VALUES} values in its lists.")
        level = below
    if level:
        raise ValueError(f"A filter may be at most {MOST_DEPTH} levels deep.")


def matches(given: Filter, attributes: Mapping[str, Attribute]) -> bool:
    """Say whether a file's attributes match a filter that has passed :func:`check`.

    Kinds do not mix: a text equals no number, and true is no number. Only numbers are greater or less. Of an
    attribute that is missing, or of another kind, ``ne`` and ``nin`` are true and all else is false.
    """
    if isinstance(given, And):
        return all(matches(each, attributes) for each in given.filters)
    if isinstance(given, Or):
        return any(matches(each, attributes) for each in given.filters)
    attribute = attributes.get(given.key)
    if isinstance(given, Equal):
        return _same(attribute, given.value)
    if isinstance(given, NotEqual):
        return not _same(attribute, given.value)
    if isinstance(given, In):
        return any(_same(attribute, value) for value in given.value)
    if isinstance(given, NotIn):
        return not any(_same(attribute, value) for value in given.value)
    return _is_number(attribute) and _ordered(given, attribute)


def _ordered(given: Greater | GreaterOrEqual | Less | LessOrEqual, number: Any) -> bool:
    if isinstance(given, Greater):
        return bool(number > given.value)
    if isinstance(given, GreaterOrEqual):
        return bool(number >= given.value)
    if isinstance(given, Less):
        return bool(number < given.value)
    return bool(number <= given.value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(attribute: Attribute | None, value: Attribute) -> bool:
    if attribute is None or isinstance(attribute, bool) != isinstance(value, bool):
        return False
    return isinstance(attribute, str) == isinstance(value, str) and attribute == value
