"""Reads server-sent events as strictly as the vendors' clients need them."""

from typing import Any, NamedTuple

import msgspec

from tests.support.api import Json


class Frame(NamedTuple):
    """One event of a stream."""

    event: str
    data: Any
    id: str | None = None


def frames(stream: str) -> list[Frame]:
    """Return a whole stream's events.

    Each frame must be one ``event:`` line and one ``data:`` line (and an ``id:`` line, where a client
    joins a stream by itself), each ended by LF alone, and an empty line; nothing may follow the last.
    """
    assert "\r" not in stream
    assert stream.endswith("event: done\ndata: [DONE]\n\n"), stream[-200:]
    return [_frame(block) for block in stream.split("\n\n")[:-1]]


def names(stream: str) -> list[str]:
    """Return the names of a whole stream's events."""
    return [frame.event for frame in frames(stream)]


def _frame(block: str) -> Frame:
    lines = [line for line in block.split("\n") if not line.startswith(":")]
    identifier = lines.pop().removeprefix("id: ") if lines[-1].startswith("id: ") else None
    assert len(lines) == 2, block
    event, data = lines
    assert event.startswith("event: "), block
    assert data.startswith("data: "), block
    value: Json | str = data.removeprefix("data: ")
    if value != "[DONE]":
        value = msgspec.json.decode(value)
    return Frame(event.removeprefix("event: "), value, identifier)
