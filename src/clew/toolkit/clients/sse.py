"""Server-sent events, from bytes. No input, no output: feed it and take what is complete.

Source: the WHATWG's HTML standard, section "Server-sent events", as far as runs use it.
"""

from collections.abc import Iterator

from msgspec import Struct

_LIMIT = 64 * 1024 * 1024
"""Bytes that one event may have; a stream that never ends a line is not a stream of events."""


class ServerEvent(Struct, frozen=True):
    """One event: its name, its data as bytes of JSON, and its id if the server numbers them."""

    name: str
    data: bytes
    id: str | None = None


class EventParser:
    """Turns the pieces of a stream, cut anywhere, into events."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[bytes] = []
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """Yield the events that ``piece`` completes.

        Raises:
            ValueError: one event is larger than any run's event can be.
        """
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LIMIT:
            raise ValueError(f"an event of the stream is larger than {_LIMIT} bytes")
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                yield event

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")  # a comment has an empty field
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":
            self._data.append(value)
        elif field == b"id":
            self._id = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerEvent | None:
        if not self._data:
            self._name = ""
            return None
        event = ServerEvent(self._name or "message", b"\n".join(self._data), self._id)
        self._name, self._data = "", []
        return event
