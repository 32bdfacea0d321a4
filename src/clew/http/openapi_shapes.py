"""Messages' deltas, which :mod:`clew.wire.frames` builds as plain JSON, as types: for the document only.

The tests hold real events against them. Source of the shapes: OpenAI's published API schema
(``MessageDeltaObject``). Those of steps stand in :mod:`clew.wire.calls`.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


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


class ImagePieceValue(Struct):
    """Which file an image is."""

    file_id: str


class ImagePiece(Struct, tag="image_file"):
    """An image that a message shows: it comes whole."""

    index: int
    image_file: ImagePieceValue


class MessagePieces(Struct):
    """What a message has got."""

    content: list[TextPiece | RefusalPiece | ImagePiece]


class MessageDelta(Struct):
    """Data of ``thread.message.delta``."""

    id: str
    object: Literal["thread.message.delta"]
    delta: MessagePieces
