"""Readers of many streams, in a process of their own: python -m bench.reading < PLAN

The plan, a line of JSON, says which requests are made and how many words each stream must give. It prints a
line when every stream has begun, and one with what has come when all are over.
"""

import asyncio
import json
import re
import sys
from typing import Any, NamedTuple

import uvloop

from bench.processes import KEY

_VALUE = re.compile(rb'"value":"([^"]*)"')
_END = b"\r\n0\r\n\r\n"


class Plan(NamedTuple):
    """What is read: ``requests`` are method, path and body; ``words`` how many each stream must give."""

    port: int
    requests: list[tuple[str, str, str]]
    words: int
    over: float = 0.02
    """Seconds over which the beginnings are spread."""


class Read(NamedTuple):
    """What has come: streams whose text was whole and in order, and the deltas that it came in."""

    whole: int
    deltas: int


class _Stream(asyncio.Protocol):
    """One stream, read to its end; nothing is looked at before."""

    def __init__(self, plan: Plan, request: tuple[str, str, str]) -> None:
        method, path, body = request
        self._head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        self._pieces: list[bytes] = []
        self._last = b""
        self._transport: Any = None
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._head.encode())

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        if not self.begun.is_set() and b'"value":"' in data:
            self.begun.set()
        self._last = (self._last + data)[-len(_END) :]
        if self._last == _END:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.begun.set()
        self.over.set()

    def said(self, words: int) -> tuple[bool, int]:
        """Return whether so many words came, in order, and how many deltas they came in."""
        deltas = _VALUE.findall(b"".join(self._pieces).partition(b"thread.message.completed")[0])
        return b"".join(deltas) == b"".join(b"word%d " % number for number in range(words)), len(deltas)


async def _read(plan: Plan) -> Read:
    loop, streams = asyncio.get_running_loop(), [_Stream(plan, request) for request in plan.requests]
    since = loop.time()
    for number, stream in enumerate(streams):
        await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", plan.port)  # type: ignore[misc]
        await asyncio.sleep(since + plan.over * number / len(streams) - loop.time())
    for stream in streams:
        await stream.begun.wait()
    print("begun", flush=True)
    for stream in streams:
        await stream.over.wait()
    said = [stream.said(plan.words) for stream in streams]
    return Read(sum(whole for whole, _ in said), sum(deltas for _, deltas in said))


def main() -> None:
    """Read the plan, then the streams."""
    given: Any = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_read(Plan(**given)))), flush=True)


if __name__ == "__main__":
    main()
