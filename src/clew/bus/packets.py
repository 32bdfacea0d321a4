"""A run's live events as bytes, from one process to another."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from clew.core.entries import CallOutput, CallPiece, Entry, EventKind, ImagePiece, TextPiece
from clew.core.records import Message, Run, Step


class _Item(Struct, array_like=True):
    position: int
    kind: EventKind
    type: str
    subject: msgspec.Raw
    open_step: Step | None


class Packet(Struct, array_like=True):
    """Events that follow one another; ``before`` is where those that were sent before them end.

    A packet without entries says that there is more than a message can hold: it is in the rows.
    """

    before: int
    commit: bool
    items: list[_Item]

    def entries(self) -> list[Entry]:
        """Return the events."""
        return [
            Entry(item.position, item.kind, _DECODERS[item.type].decode(item.subject), item.open_step)
            for item in self.items
        ]


_DECODERS: dict[str, Any] = {
    kind.__name__: msgspec.msgpack.Decoder(kind)
    for kind in (Run, Step, Message, TextPiece, ImagePiece, CallPiece, CallOutput)
}
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Packet)


def encode(before: int, entries: Sequence[Entry], *, commit: bool) -> bytes:
    """Return the packet of some events."""
    items = [
        _Item(
            entry.position,
            entry.kind,
            type(entry.subject).__name__,
            msgspec.Raw(_encode(entry.subject)),
            entry.open_step,
        )
        for entry in entries
    ]
    return _encode(Packet(before, commit, items))


def decode(data: bytes) -> Packet:
    """Return the packet that another process sent.

    Raises:
        msgspec.MsgspecError: it is not one.
    """
    return _decoder.decode(data)
