"""How a model is asked to answer, declared once.

Agents, runs, the requests of both, requests to models and the objects that clients see derive from
:class:`Sampling`: an option added here is taken, kept, shown and sent. Limits are those of OpenAI's
published API schema.
"""

from operator import attrgetter
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

Json: TypeAlias = dict[str, Any]

# Python's "$" also matches before a line break at the end.
FunctionName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$(?!\n)")]


class Declared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What clients declare and get back as they gave it: checked when it comes, kept as JSON.

    A field that is null, or not given, is left out. A stored type that gains a field needs a newer schema
    version, because an older Clew would refuse to read it.
    """


class TextFormat(Declared, frozen=True, tag="text"):
    """Answer in plain text."""


class JsonObjectFormat(Declared, frozen=True, tag="json_object"):
    """Answer with a JSON object."""


class JsonSchema(Declared, frozen=True):
    """The schema of an answer."""

    name: FunctionName
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class JsonSchemaFormat(Declared, frozen=True, tag="json_schema"):
    """Answer with JSON of a schema."""

    json_schema: JsonSchema


ResponseFormat: TypeAlias = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaFormat

Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class Sampling(Struct, frozen=True, kw_only=True):
    """The options of an answer. None means that nobody has set it: the model's own default is in force."""

    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None


OPTIONS = Sampling.__struct_fields__
option_values = attrgetter(*OPTIONS)
"""Returns the values of an object's options, in the order of their names."""


class TruncationStrategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages of the thread the model is given."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Meta(ge=1)] | None = None
