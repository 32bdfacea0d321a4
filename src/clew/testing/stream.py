"""A streamed answer on its way out: its frames, and how they are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from clew.core.options import Json
from clew.testing.http1 import LAST_CHUNK, Step, chunk, head
from clew.testing.signals import Gate

Item: TypeAlias = Json | Step
"""A frame as JSON, or what an answer is made of besides: bytes as they are, gates, cuts and pauses."""

EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def event(frame: bytes) -> bytes:
    """Return a frame's JSON as a server-sent event."""
    return b"data: " + frame + b"\n\n"


@dataclass(eq=False)
class Stream:
    """One answer. Whatever is odd about an endpoint changes it before it is sent.

    Attributes:
        items: what is sent, in order.
        encode, write: how a frame becomes JSON, and that an event.
        done: the event that says that the answer is over.
        close: what follows it.
        respelled: what is done to the bytes of each event, in order.
        pieces: bytes of one piece of the body; 0 for an event each.
        status, headers: the response's.
    """

    items: list[Item]
    encode: Callable[[Json], bytes] = _encode
    write: Callable[[bytes], bytes] = event
    done: bytes = DONE
    close: tuple[Step, ...] = (LAST_CHUNK,)
    respelled: list[Callable[[bytes], bytes]] = field(default_factory=list)
    pieces: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(EVENTS))

    @property
    def frames(self) -> list[Json]:
        """Return the frames, in order."""
        return [item for item in self.items if isinstance(item, dict)]

    def steps(self) -> Iterator[Step]:
        """Yield the answer, everything between two pauses in one piece."""
        first = 0
        while first < len(self.items) and isinstance(gate := self.items[first], Gate):
            yield gate
            first += 1
        buffer = [head(self.status, self.headers, None)]
        for item in self.items[first:]:
            if isinstance(item, bytes):
                buffer.append(chunk(item))
            elif isinstance(item, dict):
                buffer += self._written(self.write(self.encode(item)))
            else:
                yield b"".join(buffer)
                buffer = []
                yield item
        buffer += self._written(self.done)
        for step in self.close:
            if isinstance(step, bytes):
                buffer.append(step)
            else:
                yield b"".join(buffer)
                buffer = []
                yield step
        yield b"".join(buffer)

    def _written(self, data: bytes) -> list[bytes]:
        for respell in self.respelled:
            data = respell(data)
        size = self.pieces or len(data)
        return [chunk(data[start : start + size]) for start in range(0, len(data), size or 1)]
