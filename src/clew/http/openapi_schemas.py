"""The schemas of the OpenAPI document: from the types that decode requests and encode answers.

JSON Schema 2020-12, which OpenAPI 3.1 uses. What msgspec derives from a type is made as exact as what
the server does: an answer's fields are always there, and JSON that is kept as it came has its type.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct

from clew.core.options import Json
from clew.core.states import MessageStatus, RunStatus, StepStatus
from clew.http import openapi_shapes as shapes
from clew.http.downloads import Download
from clew.http.feed_stream import FeedStream
from clew.http.operations import OPERATIONS, Operation
from clew.http.streams import RunStream
from clew.wire import calls, errors, explanations, files, metrics, objects, project_runs, vector_stores

Schemas: TypeAlias = dict[str, Json]

_REF = "#/components/schemas/{name}"

_EXPIRES_IN = "Clew's own: seconds until the run expires, instead of the server's setting."
_BUDGET = "Clew's own: tokens that all runs on the thread may use together."

_REMARKS = {
    "CreateRun": {
        "expires_in": _EXPIRES_IN,
        "tool_resources": "Only under `/api/projects/{project}`; elsewhere it is refused as unknown.",
    },
    "CreateThreadAndRun": {"expires_in": _EXPIRES_IN},
    "CreateThread": {"token_budget": _BUDGET},
    "UpdateThread": {"token_budget": _BUDGET},
    "ThreadObject": {"token_budget": _BUDGET, "tokens_used": "Clew's own: tokens that they have used."},
}
"""What is said of single fields."""

_CONDITIONS: Schemas = {
    "NamedTool": {
        "if": {"properties": {"type": {"const": "function"}}},
        "then": {"properties": {"function": {"type": "object"}}, "required": ["function"]},
    },
    "TruncationStrategy": {
        "if": {"properties": {"type": {"const": "last_messages"}}},
        "then": {"properties": {"last_messages": {"type": "integer"}}, "required": ["last_messages"]},
    },
}
"""What one field asks of another: checked by :mod:`clew.wire.bodies`, not by the types."""

_PYTHON_ONLY = r"(?!\n)"
"""Part of patterns that only Python needs: ``$`` of JSON Schema (ECMA 262) never precedes a line break."""

EVENTS: dict[str, type[Struct]] = {
    "thread.created": objects.ThreadObject,
    "thread.run.created": objects.RunObject,
    **{f"thread.run.{status}": objects.RunObject for status in RunStatus},
    "thread.run.step.created": objects.StepObject,
    **{f"thread.run.step.{status}": objects.StepObject for status in StepStatus},
    "thread.run.step.delta": calls.StepDelta,
    "thread.message.created": objects.MessageObject,
    **{f"thread.message.{status}": objects.MessageObject for status in MessageStatus},
    "thread.message.delta": shapes.MessageDelta,
}
"""The type of each event's data in a run's stream."""

FEED_EVENTS: dict[str, type[Struct]] = {
    "run.changed": project_runs.RunChange,
    "ready": project_runs.FeedNote,
    "resync": project_runs.FeedNote,
}
"""The type of each event's data in a project's feed."""


_STREAMED = {RunStream: EVENTS, FeedStream: FEED_EVENTS}


def ref(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": _REF.format(name=name)}


class Answer(Struct, frozen=True):
    """What an operation answers: a schema's name if JSON, whether bytes, the events that it may stream."""

    schema: str | None
    bytes: bool
    events: Mapping[str, type[Struct]]


@cache
def answer(operation: Operation) -> Answer:
    """Return what an operation's handler says that it returns."""
    declared = get_type_hints(operation.handler)["return"]
    kinds = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    names = [_name(get_args(kind)[0]) for kind in kinds if kind not in _STREAMED and kind is not Download]
    assert len(names) <= 1, f"{operation.name} answers with more than one type"
    events = next((_STREAMED[kind] for kind in kinds if kind in _STREAMED), {})
    return Answer(names[0] if names else None, Download in kinds, events)


def _name(kind: Any) -> str:
    if get_origin(kind) is objects.ListObject:
        return f"ListOf{get_args(kind)[0].__name__}"
    return str(kind.__name__)


def schemas() -> Schemas:
    """Return every schema of the document, by name."""
    bodies = [operation.body for operation in OPERATIONS if operation.body is not None]
    modules = (objects, files, vector_stores, calls, explanations, metrics, project_runs, errors, shapes)
    answers = [kind for module in modules for kind in _structs(module)]
    _, components = msgspec.json.schema_components(
        list(dict.fromkeys([*bodies, *answers])), ref_template=_REF
    )
    for kind in answers:
        _always_there(kind, components[kind.__name__])
    _make_lists(components)
    components["Deleted"]["properties"]["deleted"] = {"type": "boolean", "const": True}
    for name, condition in _CONDITIONS.items():
        components[name]["allOf"] = [condition]
    for name, remarks in _REMARKS.items():
        for field, remark in remarks.items():
            components[name]["properties"][field]["description"] = remark
    return {name: _plain(components[name]) for name in sorted(components)}


def _structs(module: ModuleType) -> Iterator[type[Struct]]:
    """Yield the types of answers that a module defines; what others derive from is no answer itself."""
    for kind in vars(module).values():
        is_struct = isinstance(kind, type) and issubclass(kind, Struct) and not kind.__subclasses__()
        if is_struct and kind.__module__ == module.__name__ and kind is not objects.ListObject:
            yield kind


def _always_there(kind: type[Struct], schema: Json) -> None:
    """An answer gives all of its fields, also those that have a default; not those that may be unset."""
    fields = msgspec.structs.fields(kind)
    tag = kind.__struct_config__.tag_field
    schema["required"] = [tag] if tag else []
    schema["required"] += [field.encode_name for field in fields if field.default is not UNSET]
    for each in schema["properties"].values():
        each.pop("default", None)


def _make_lists(components: Schemas) -> None:
    """Add one envelope a type of item."""
    envelope = msgspec.json.schema(objects.ListObject)["$defs"]["ListObject"]
    for operation in OPERATIONS:
        name = answer(operation).schema or ""
        item = name.removeprefix("ListOf")
        if item == name or name in components:
            continue
        data = {"type": "array", "items": ref(item)}
        components[name] = envelope | {
            "title": name,
            "properties": envelope["properties"] | {"data": data},
            "required": list(envelope["properties"]),
        }


def _plain(schema: Any) -> Any:
    """Return a schema in the words of JSON Schema only, with the type of every choice of strings."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = plain["pattern"].replace(_PYTHON_ONLY, "")
    if isinstance(plain.get("enum"), list):
        plain = {"type": "string", **plain}
    return plain
