"""From a Python function, or a given JSON Schema, to what a model is told and how its arguments are read."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_type_hints

import jsonschema_rs
import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from clew.toolkit.errors import ToolDefinitionError, ToolInputError
from clew.toolkit.records import Json

_HIDDEN = "[hidden]"
_MOST_ARGUMENTS = 1_000_000
_MOST_ERRORS = 5
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments(Protocol):
    """Reads the arguments of a call."""

    @property
    def schema(self) -> Json:
        """Return the JSON Schema of the arguments."""
        ...

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments by name, checked.

        Raises:
            ToolInputError: they don't fit; the message says where, without repeating values.
        """
        ...


class FunctionArguments:
    """Arguments of a function, by its signature."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._names, self._model = _model_of(function)
        try:
            self._schema = _without_titles(self._model.model_json_schema())
        except PydanticUserError as error:
            raise ToolDefinitionError(
                f"{function.__name__}: a parameter has no JSON Schema: {error}"
            ) from error

    @property
    def schema(self) -> Json:
        return self._schema

    def read(self, text: str) -> dict[str, Any]:
        try:
            model = self._model.model_validate_json(_checked(text))
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False, include_context=False)
            raise _wrong([(list(each["loc"]), each["msg"]) for each in found]) from None
        return {name: getattr(model, field) for field, name in self._names.items()}


class SchemaArguments:
    """Arguments by a given JSON Schema. The schema never reaches for files or the network."""

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        try:
            self._validator = jsonschema_rs.validator_for(
                self._schema,
                offline=True,
                mask=_HIDDEN,
                pattern_options=jsonschema_rs.RegexOptions(),  # linear time
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise ToolDefinitionError(f"{name}: not a usable JSON Schema: {error}") from error

    @property
    def schema(self) -> Json:
        return self._schema

    def read(self, text: str) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(_checked(text))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ToolInputError(f"the arguments aren't JSON: {error}.") from None
        if not isinstance(value, dict):
            raise ToolInputError("the arguments must be a JSON object.")
        try:
            found = [(list(each.instance_path), each.message) for each in self._validator.iter_errors(value)]
        except ValueError as error:
            raise ToolInputError(f"the arguments can't be checked: {error}.") from None
        if found:
            raise _wrong(found)
        return value


def describe(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Return what a function's docstring says of it, and of each parameter.

    Google's, NumPy's and Sphinx's styles are understood.
    """
    import griffe  # only whoever makes tools waits for it

    text = inspect.getdoc(function)
    if not text:
        return "", {}
    sections = griffe.parse_auto(
        griffe.Docstring(text),
        method="max_sections",  # the quicker guess misses a single :param: on the last line
        per_style_options={
            "google": {"warnings": False},
            "numpy": {"warnings": False},
            "sphinx": {"warnings": False},
        },
    )
    prose: list[str] = []
    parameters: dict[str, str] = {}
    for section in sections:
        if section.kind is griffe.DocstringSectionKind.text:
            prose.append(section.value)
        elif section.kind is griffe.DocstringSectionKind.parameters:
            parameters |= {each.name: " ".join(each.description.split()) for each in section.value}
    return "\n\n".join(prose).strip(), parameters


def _model_of(function: Callable[..., object]) -> tuple[dict[str, str], type[BaseModel]]:
    """Return a model of a function's parameters, and the parameter of each of its fields.

    Fields have names of their own, so that a parameter may be called anything (``schema``, ``_x``).
    """
    label = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(_annotated(function), include_extras=True)
    except (TypeError, ValueError, NameError) as error:
        raise ToolDefinitionError(f"{label}: its signature can't be read: {error}") from error
    _, described = describe(function)
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind not in _BY_NAME:
            raise ToolDefinitionError(f"{label}: the parameter {name!r} can't be given by name")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        field = f"p{index}"
        names[field] = name
        fields[field] = (
            hints.get(name, Any),
            Field(default, alias=name, description=described.get(name)),
        )
    try:
        return names, create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as error:
        raise ToolDefinitionError(f"{label}: a parameter's type can't be used: {error}") from error


def _annotated(function: Callable[..., object]) -> Callable[..., object]:
    """Return where the annotations are: an object that is called has them on its class."""
    if inspect.isroutine(function):
        return function
    return type(function).__call__


def _without_titles(schema: Json) -> Json:
    """Return a schema without the titles that pydantic makes up; they cost tokens and say nothing."""
    cleaned: Json = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            cleaned[key] = {name: _without_titles(inner) for name, inner in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            cleaned[key] = value
        elif isinstance(value, dict):
            cleaned[key] = _without_titles(value)
        elif isinstance(value, list):
            cleaned[key] = [_without_titles(each) if isinstance(each, dict) else each for each in value]
        else:
            cleaned[key] = value
    return cleaned


def _checked(text: str) -> str:
    if len(text) > _MOST_ARGUMENTS:
        raise ToolInputError(f"the arguments have more than {_MOST_ARGUMENTS} characters.")
    return text.strip() or "{}"


def _wrong(found: list[tuple[list[Any], str]]) -> ToolInputError:
    """Return the error that tells the model what to correct."""
    shown = [f"{_path(path)}: {message}" for path, message in found[:_MOST_ERRORS]]
    more = f"; and {len(found) - _MOST_ERRORS} more" if len(found) > _MOST_ERRORS else ""
    return ToolInputError(f"wrong arguments: {'; '.join(shown)}{more}.")


def _path(path: list[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "all"
