"""The data of deltas, which :mod:`clew.wire.frames` builds as plain JSON, as types: for the document only.

The tests hold real events against them. Source of the shapes: OpenAI's published API schema
(``MessageDeltaObject``, ``RunStepDeltaObject``).
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

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


class CalledPiece(Struct):
    """A piece of a call: its name comes once, its arguments piece by piece, a server's output last."""

    arguments: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    output: str | UnsetType | None = UNSET


class FunctionPiece(Struct, tag="function"):
    """A piece of a call of a function; the id comes once."""

    index: int
    function: CalledPiece
    id: str | UnsetType = UNSET


class ClockPiece(Struct, tag="clew_clock"):
    """A piece of a call of the server's clock."""

    index: int
    clew_clock: CalledPiece
    id: str | UnsetType = UNSET


class CalculatorPiece(Struct, tag="clew_calculator"):
    """A piece of a call of the server's calculator."""

    index: int
    clew_calculator: CalledPiece
    id: str | UnsetType = UNSET


class CallPieces(Struct):
    """What a step of tool calls has got."""

    type: Literal["tool_calls"]
    tool_calls: list[FunctionPiece | ClockPiece | CalculatorPiece]


class StepPieces(Struct):
    """What a step has got."""

    step_details: CallPieces


class StepDelta(Struct):
    """Data of ``thread.run.step.delta``."""

    id: str
    object: Literal["thread.run.step.delta"]
    delta: StepPieces
