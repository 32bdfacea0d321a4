"""Right and wrong values for every field of a request type, found by looking at the type itself."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from msgspec import NODEFAULT, inspect

from tests.support.api import Json

Steps: TypeAlias = tuple[str | int, ...]
"""The way to a place inside a body: names and indexes."""

KINDS: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "decimal": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}
"""A value of each kind that JSON knows."""


def written(steps: Steps) -> str:
    """Return a way as errors write it: ``tools[0].function.name``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.removeprefix(".")


def put(body: Any, steps: Steps, value: Any) -> Any:
    """Return a copy of the body with ``value`` at the end of the way."""
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    if isinstance(first, int):
        items = list(body)
        items[first] = put(items[first], rest, value)
        return items
    return {**body, first: put(body.get(first), rest, value)}


def taken(body: Any, steps: Steps) -> Any:
    """Return what stands in the body at the end of the way."""
    for step in steps:
        body = body[step]
    return body


class Field(NamedTuple):
    """A field somewhere inside a request: a right body that gives it, and the way to it."""

    body: Json
    steps: Steps
    type: inspect.Type
    required: bool

    @property
    def optional(self) -> bool:
        """Whether it may be left out; an item of a list may not."""
        return not self.required and isinstance(self.steps[-1], str)

    def without(self) -> Json:
        """Return the body without this field."""
        parent = dict(taken(self.body, self.steps[:-1]))
        del parent[self.steps[-1]]
        body: Json = put(self.body, self.steps[:-1], parent)
        return body

    def wrong_kinds(self) -> list[str]:
        """Return the kinds of JSON values that this field does not take."""
        return [kind for kind in KINDS if kind not in _kinds(self.type)]


def fields(request: type) -> Iterator[Field]:
    """Yield every field of a request type, with those inside of it."""
    described = inspect.type_info(request)
    assert isinstance(described, inspect.StructType)
    yield from _of_struct(described, _sample(described), ())


def objects(request: type) -> Iterator[tuple[Json, Steps]]:
    """Yield every place where a request holds an object of declared fields: a right body and the steps."""
    described = inspect.type_info(request)
    yield _sample(described), ()
    for field in fields(request):
        for alternative in _alternatives(field.type):
            if isinstance(alternative, inspect.StructType):
                yield put(field.body, field.steps, _sample(alternative)), field.steps
            if isinstance(alternative, inspect.ListType):
                for item in _alternatives(alternative.item_type):
                    if isinstance(item, inspect.StructType):
                        yield put(field.body, field.steps, [_sample(item)]), (*field.steps, 0)


def _of_struct(struct: inspect.StructType, body: Json, steps: Steps) -> Iterator[Field]:
    for field in struct.fields:
        if steps.count(field.encode_name) > 1:
            continue  # a type that holds itself goes on for ever
        here = (*steps, field.encode_name)
        whole = put(body, here, _sample(field.type))
        required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        yield Field(whole, here, field.type, required)
        for alternative in _alternatives(field.type):
            yield from _inside(alternative, whole, here)


def _inside(declared: inspect.Type, body: Json, steps: Steps) -> Iterator[Field]:
    if isinstance(declared, inspect.StructType):
        yield from _of_struct(declared, put(body, steps, _sample(declared)), steps)
    if isinstance(declared, inspect.ListType):
        for item in _alternatives(declared.item_type):
            here, sample = (*steps, 0), _sample(item)
            whole = put(body, steps, [sample])
            yield Field(whole, here, declared.item_type, False)
            yield from _inside(item, whole, here)


def _bare(declared: inspect.Type) -> inspect.Type:
    return declared.type if isinstance(declared, inspect.Metadata) else declared


def _alternatives(declared: inspect.Type) -> list[inspect.Type]:
    """Return the types that a union names, less null; a type that is no union is its only one."""
    bare = _bare(declared)
    if not isinstance(bare, inspect.UnionType):
        return [bare]
    return [_bare(each) for each in bare.types if not isinstance(each, inspect.NoneType)]


def _kinds(declared: inspect.Type) -> set[str]:
    bare = _bare(declared)
    if isinstance(bare, inspect.UnionType):
        return set().union(*(_kinds(each) for each in bare.types))
    match bare:
        case inspect.StrType() | inspect.LiteralType() | inspect.EnumType():
            return {"string"}
        case inspect.IntType():
            return {"integer"}
        case inspect.FloatType():
            return {"integer", "decimal"}
        case inspect.BoolType():
            return {"boolean"}
        case inspect.ListType():
            return {"array"}
        case inspect.DictType() | inspect.StructType():
            return {"object"}
        case inspect.NoneType():
            return {"null"}
    raise AssertionError(f"no request has used {declared} so far: say what it takes")


def _sample(declared: inspect.Type) -> Any:
    """Return the smallest right value."""
    bare = _bare(declared)
    match bare:
        case inspect.UnionType():
            return _sample(_alternatives(bare)[0])
        case inspect.StructType():
            required = [field for field in bare.fields if field.required]
            tag = {} if bare.tag_field is None else {bare.tag_field: bare.tag}
            return tag | {field.encode_name: _sample(field.type) for field in required}
        case inspect.ListType():
            return [_sample(bare.item_type)] * (bare.min_length or 0)
        case inspect.LiteralType():
            return bare.values[0]
        case inspect.EnumType():
            return next(iter(bare.cls)).value
        case inspect.DictType():
            return {}
        case inspect.IntType(ge=int(least)):
            return max(1, least)
    kind = next(kind for kind in KINDS if kind in _kinds(bare))
    return KINDS[kind]
