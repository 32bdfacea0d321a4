"""The parts of answers that :mod:`clew.wire.objects` builds as plain JSON, as types: for the document only.

Stored JSON goes out as it was kept, so the server itself has no types for it. Here each part has one,
and the tests hold real answers against them. Source of the shapes: OpenAI's published API schema
(``MessageObject.content``, ``RunStepDetails*``, ``MessageDeltaObject``, ``RunStepDeltaObject``).
"""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

# --- messages --------------------------------------------------------------------------------------


class TextValue(Struct):
    """A text and what it cites."""

    value: str
    annotations: list[dict[str, Any]]


class TextContent(Struct, tag="text"):
    """A part of a message: text."""

    text: TextValue


class RefusalContent(Struct, tag="refusal"):
    """A part of a message: why the model would not answer."""

    refusal: str


class ImageUrlValue(Struct):
    """An image by address, or inline as a ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"]


class ImageUrlContent(Struct, tag="image_url"):
    """A part of a message: an image by address."""

    image_url: ImageUrlValue


Content: TypeAlias = TextContent | RefusalContent | ImageUrlContent


class MessageIncompleteDetails(Struct):
    """Why a message is incomplete."""

    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


# --- runs and steps --------------------------------------------------------------------------------


class RunIncompleteDetails(Struct):
    """Why a run is incomplete."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens", "content_filter"]


class TruncationInForce(Struct):
    """Which messages of the thread the model is given."""

    type: Literal["auto", "last_messages"]
    last_messages: int | None


class WrittenMessage(Struct):
    """Which message a step wrote."""

    message_id: str


class MessageCreationDetails(Struct, tag="message_creation"):
    """What a step did: it wrote a message."""

    message_creation: WrittenMessage


class FunctionCalled(Struct):
    """A function, how it was called, and what it gave; ``output`` is null until somebody says it."""

    name: str
    arguments: str
    output: str | None


class FunctionCall(Struct):
    """A call of a function."""

    id: str
    type: Literal["function"]
    function: FunctionCalled


class ToolCallsDetails(Struct, tag="tool_calls"):
    """What a step did: it called tools."""

    tool_calls: list[FunctionCall]


StepDetails: TypeAlias = MessageCreationDetails | ToolCallsDetails

# --- deltas ----------------------------------------------------------------------------------------


class TextPieceValue(Struct):
    """A piece of text, to be put behind what came before it."""

    value: str
    annotations: list[dict[str, Any]] | UnsetType = UNSET


class TextPiece(Struct, tag="text"):
    """A piece of a text part."""

    index: int
    text: TextPieceValue


class RefusalPiece(Struct, tag="refusal"):
    """A piece of a refusal part."""

    index: int
    refusal: str


class MessagePieces(Struct):
    """What a message has got."""

    content: list[TextPiece | RefusalPiece]


class MessageDelta(Struct):
    """Data of ``thread.message.delta``."""

    id: str
    object: Literal["thread.message.delta"]
    delta: MessagePieces


class FunctionPiece(Struct):
    """A piece of a call: its name comes once, its arguments piece by piece."""

    arguments: str
    name: str | UnsetType = UNSET
    output: UnsetType | None = UNSET


class CallPiece(Struct):
    """A piece of a call; the id comes once."""

    index: int
    type: Literal["function"]
    function: FunctionPiece
    id: str | UnsetType = UNSET


class CallPieces(Struct):
    """What a step of tool calls has got."""

    type: Literal["tool_calls"]
    tool_calls: list[CallPiece]


class StepPieces(Struct):
    """What a step has got."""

    step_details: CallPieces


class StepDelta(Struct):
    """Data of ``thread.run.step.delta``."""

    id: str
    object: Literal["thread.run.step.delta"]
    delta: StepPieces
