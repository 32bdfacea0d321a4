"""Says what is wrong with a body, in the words that clients of the original services know.

The fast path is msgspec's decoder. Only when it refuses a body does :func:`explain` walk the body
beside the declared type, and name the first fault with its path and the code that OpenAI's service
gives it (``unknown_parameter``, ``string_above_max_length`` and so on). The walk ends after 20 ms of CPU:
who sends that much before the first fault is told that there is one.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from clew.wire.errors import ApiError, invalid

_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


_LONGEST_WALK = 0.02
"""Seconds of this thread's CPU after which no fault is looked for any more."""

_STEPS = 64
"""Values between two looks at the clock."""

_LONGEST_NAME = 200
"""Characters of a property's name that are repeated."""


class _TooLong(Exception):
    """The fault was not found in time."""


class _Walk:
    """A walk through one body."""

    def __init__(self) -> None:
        self._steps, self._ends = 0, time.thread_time() + _LONGEST_WALK

    def step(self) -> None:
        """Note that one more value is looked at.

        Raises:
            _TooLong: it has taken too long.
        """
        self._steps += 1
        if self._steps % _STEPS == 0 and time.thread_time() > self._ends:
            raise _TooLong


def explain(declared: Any, body: bytes) -> ApiError:
    """Return the error for a body that is not of the declared type."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return invalid(
            "We could not parse the JSON body of your request. It must be one JSON object in UTF-8."
        )
    invalid_somewhere = invalid("The body of your request is invalid.")
    try:
        return next(_faults(_Walk(), inspect.type_info(declared), value, ""), invalid_somewhere)
    except _TooLong:
        return invalid_somewhere


def _faults(walk: _Walk, declared: inspect.Type, value: Any, path: str) -> Iterator[ApiError]:
    walk.step()
    match declared:
        case inspect.Metadata(type=inner):
            yield from _faults(walk, inner, value, path)
        case inspect.StructType():
            yield from _struct(walk, declared, value, path)
        case inspect.UnionType(types=types):
            yield from _union(walk, types, value, path)
        case inspect.ListType() | inspect.DictType():
            yield from _container(walk, declared, value, path)
        case inspect.LiteralType(values=choices) | inspect.EnumType(cls=choices):
            if value not in list(choices):
                yield _bad_value(value, [str(each) for each in choices], path)
        case inspect.StrType():
            yield from _string(declared, value, path)
        case inspect.IntType() | inspect.FloatType():
            yield from _number(declared, value, path)
        case inspect.BoolType() if not isinstance(value, bool):
            yield _wrong_type("a boolean", value, path)


def _struct(walk: _Walk, declared: inspect.StructType, value: Any, path: str) -> Iterator[ApiError]:
    if not isinstance(value, dict):
        yield _wrong_type("an object", value, path)
        return
    known = {field.encode_name for field in declared.fields} | {declared.tag_field}
    for name in value:
        walk.step()
        if name not in known:
            here = _join(path, name)
            yield invalid(f"Unknown parameter: '{here}'.", param=here, code="unknown_parameter")
    for field in declared.fields:
        here = _join(path, field.encode_name)
        if field.encode_name in value:
            yield from _faults(walk, field.type, value[field.encode_name], here)
        elif field.required:
            yield invalid(
                f"Missing required parameter: '{here}'.", param=here, code="missing_required_parameter"
            )


def _union(walk: _Walk, types: tuple[inspect.Type, ...], value: Any, path: str) -> Iterator[ApiError]:
    given = [each for each in types if not isinstance(each, inspect.NoneType)]
    if value is None and len(given) < len(types):
        return
    structs = [each for each in given if isinstance(_bare(each), inspect.StructType)]
    if isinstance(value, dict) and structs:
        yield from _choose_struct(walk, [_bare(each) for each in structs], value, path)
        return
    fitting = [each for each in given if _fits(_bare(each), value)]
    if fitting:
        yield from _faults(walk, fitting[0], value, path)
    else:
        yield _wrong_type(" or ".join(_describe(_bare(each)) for each in _distinct(given)), value, path)


def _choose_struct(walk: _Walk, structs: list[Any], value: dict[str, Any], path: str) -> Iterator[ApiError]:
    tags = {struct.tag: struct for struct in structs if struct.tag is not None}
    if not tags:
        yield from _faults(walk, structs[0], value, path)
        return
    here = _join(path, "type")
    if "type" not in value:
        yield invalid(f"Missing required parameter: '{here}'.", param=here, code="missing_required_parameter")
    elif not isinstance(value["type"], str) or value["type"] not in tags:
        yield _bad_value(value["type"], [str(tag) for tag in tags], here)
    else:
        yield from _faults(walk, tags[value["type"]], value, path)


def _container(
    walk: _Walk, declared: inspect.ListType | inspect.DictType, value: Any, path: str
) -> Iterator[ApiError]:
    if isinstance(declared, inspect.ListType):
        if not isinstance(value, list):
            yield _wrong_type("an array", value, path)
            return
        yield from _array_size(declared, value, path)
        for index, item in enumerate(value):
            yield from _faults(walk, declared.item_type, item, f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        yield _wrong_type("an object", value, path)
        return
    yield from _object_size(declared, value, path)
    for key, item in value.items():
        yield from _property_name(declared.key_type, key, path)
        yield from _faults(walk, declared.value_type, item, _join(path, key))


def _array_size(declared: inspect.ListType, value: list[Any], path: str) -> Iterator[ApiError]:
    size, most, least = len(value), declared.max_length, declared.min_length
    if most is not None and size > most:
        yield invalid(
            f"Invalid '{path}': array too long. Expected an array with maximum length {most}, "
            f"but got an array with length {size} instead.",
            param=path,
            code="array_above_max_length",
        )
    if least is not None and size < least:
        yield invalid(
            f"Invalid '{path}': empty array. Expected an array with minimum length {least}, "
            f"but got an {'empty array' if size == 0 else f'array with length {size}'} instead.",
            param=path,
            code="invalid_value",
        )


def _object_size(declared: inspect.DictType, value: dict[str, Any], path: str) -> Iterator[ApiError]:
    if declared.max_length is not None and len(value) > declared.max_length:
        yield invalid(
            f"Invalid '{path}': too many properties. Expected an object with at most {declared.max_length} "
            f"properties, but got an object with {len(value)} properties instead.",
            param=path,
            code="object_above_max_properties",
        )


def _property_name(declared: inspect.Type, name: str, path: str) -> Iterator[ApiError]:
    most = _bare(declared).max_length if isinstance(_bare(declared), inspect.StrType) else None
    if most is not None and len(name) > most:
        yield invalid(
            f"Invalid property name in '{path}': property name too long. Expected a property name with "
            f"maximum length {most}, but got a property name with length {len(name)} instead.",
            param=path,
            code="property_name_above_max_length",
        )


def _string(declared: inspect.StrType, value: Any, path: str) -> Iterator[ApiError]:
    if not isinstance(value, str):
        yield _wrong_type("a string", value, path)
        return
    size, most, least = len(value), declared.max_length, declared.min_length
    if most is not None and size > most:
        yield too_long(path, most, size)
    elif least is not None and size < least:
        yield invalid(
            f"Invalid '{path}': empty string. Expected a string with minimum length {least}, "
            "but got an empty string instead.",
            param=path,
            code="invalid_value",
        )
    elif declared.pattern is not None and re.search(declared.pattern, value) is None:
        yield invalid(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern "
            f"'{declared.pattern}'.",
            param=path,
            code="invalid_value",
        )


def _number(declared: inspect.IntType | inspect.FloatType, value: Any, path: str) -> Iterator[ApiError]:
    whole = isinstance(declared, inspect.IntType)
    fits = isinstance(value, int) or (not whole and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        yield _wrong_type("an integer" if whole else "a decimal", value, path)
        return
    yield from check_range(path, value, least=declared.ge, most=declared.le, whole=whole)


def check_range(
    path: str, value: float, *, least: float | None, most: float | None, whole: bool
) -> Iterator[ApiError]:
    """Yield the error for a number outside of its range."""
    kind = "integer" if whole else "decimal"
    if most is not None and value > most:
        yield invalid(
            f"Invalid '{path}': {kind} above maximum value. "
            f"Expected a value <= {_plain(most)}, but got {value} instead.",
            param=path,
            code=f"{kind}_above_max_value",
        )
    if least is not None and value < least:
        yield invalid(
            f"Invalid '{path}': {kind} below minimum value. "
            f"Expected a value >= {_plain(least)}, but got {value} instead.",
            param=path,
            code=f"{kind}_below_min_value",
        )


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def too_long(path: str, most: int, size: int) -> ApiError:
    """Return the error for a string of ``size`` characters where ``most`` are allowed."""
    return invalid(
        f"Invalid '{path}': string too long. Expected a string with maximum length {most}, "
        f"but got a string with length {size} instead.",
        param=path,
        code="string_above_max_length",
    )


def bad_choice(path: str, value: str, choices: list[str]) -> ApiError:
    """Return the error for a value that is none of the choices."""
    return _bad_value(value, choices, path)


# --- words -----------------------------------------------------------------------------------------


def _bare(declared: inspect.Type) -> Any:
    return declared.type if isinstance(declared, inspect.Metadata) else declared


def _fits(declared: inspect.Type, value: Any) -> bool:
    match declared:
        case inspect.StrType() | inspect.LiteralType() | inspect.EnumType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.DictType() | inspect.StructType():
            return isinstance(value, dict)
    return isinstance(declared, inspect.AnyType)


def _describe(declared: inspect.Type) -> str:
    match declared:
        case inspect.StrType():
            return "a string"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"'{value}'" for value in values)
        case inspect.BoolType():
            return "a boolean"
        case inspect.IntType():
            return "an integer"
        case inspect.FloatType():
            return "a decimal"
        case inspect.ListType():
            return "an array"
    return "an object"


def _distinct(types: list[inspect.Type]) -> list[inspect.Type]:
    """Leave out all but one of the struct types: they all read "an object"."""
    seen: dict[str, inspect.Type] = {}
    for each in types:
        seen.setdefault(_describe(_bare(each)), each)
    return list(seen.values())


def _wrong_type(expected: str, value: Any, path: str) -> ApiError:
    got = _NAMES.get(type(value), "an unknown type")
    where = f"'{path}'" if path else "the request body"
    return invalid(
        f"Invalid type for {where}: expected {expected}, but got {got} instead.",
        param=path or None,
        code="invalid_type",
    )


def _bad_value(value: Any, choices: list[str], path: str) -> ApiError:
    quoted = [f"'{choice}'" for choice in choices]
    listed = quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"
    if len(quoted) > 2:
        listed = ", ".join(quoted[:-1]) + f", and {quoted[-1]}"
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return invalid(
        f"Invalid value: '{shown[:200]}'. Supported values are: {listed}.", param=path, code="invalid_value"
    )


def _join(path: str, name: str) -> str:
    name = name[:_LONGEST_NAME]
    return f"{path}.{name}" if path else name
