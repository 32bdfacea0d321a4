"""A model that costs next to nothing: it streams the same answer to everybody, in a process of its own.

    python -m bench.model --words 5 --pace 0

With tools in the request it calls the first of them, once; then it answers. It prints its URL.
"""

import argparse
import asyncio
import json
import socket
from collections import deque
from typing import Any

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_STEP = 0.001
"""Seconds from one look at what is due to the next."""

_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _event(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
    return b"data: " + json.dumps({**whole, "choices": [choice], **more}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class _Answer:
    """An answer as bytes, cut into what is sent at one time."""

    def __init__(self, words: int) -> None:
        self.words = words
        pieces = [_event({"content": f"word{number} "}) for number in range(words)]
        pieces[0] = _event({"role": "assistant", "content": ""}) + pieces[0]
        pieces.append(_event({}, "stop") + _event({}, usage=_USAGE) + b"data: [DONE]\n\n")
        self.pieces = [
            _HEAD + _chunk(pieces[0]),
            *map(_chunk, pieces[1:-1]),
            _chunk(pieces[-1]) + b"0\r\n\r\n",
        ]
        self.whole = b"".join(self.pieces)


def _call() -> bytes:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    data = _event({"tool_calls": [call]}) + _event({}, "tool_calls") + _event({}, usage=_USAGE)
    return _HEAD + _chunk(data + b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _at_once(words: int) -> bytes:
    """The answer for those who don't want a stream."""
    message = {"role": "assistant", "content": " ".join(f"word{number}" for number in range(words))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice]}
    body = json.dumps({**whole, "usage": _USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Pacer:
    """Has all answers that are under way say their next word in time: one timer, however many they are."""

    def __init__(self, pace: float) -> None:
        self._pace, self._due = pace, deque[tuple[float, "_Protocol"]]()
        self._loop = asyncio.get_running_loop()

    def add(self, answering: "_Protocol") -> None:
        """Have an answer begin now."""
        if not self._due:
            self._loop.call_soon(self._tick)
        now = self._loop.time()
        self._due.appendleft((now, answering))

    def _tick(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            due, answering = self._due.popleft()
            if answering.say():
                self._due.append((due + self._pace, answering))
        if self._due:
            self._loop.call_at(max(self._due[0][0], now + _STEP), self._tick)


class _Protocol(asyncio.Protocol):
    def __init__(self, answer: _Answer, pacer: _Pacer | None) -> None:
        self._answer, self._pacer = answer, pacer
        self._said = 0
        self._call, self._at_once = _call(), _at_once(answer.words)
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        start = lower.find(b"content-length: ")
        size = int(lower[start + 16 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(rest) < size:
            return
        self._data = b""
        self._reply(rest)

    def _reply(self, body: bytes) -> None:
        if b'"tools":' in body and b'"role":"tool"' not in body:
            self._transport.write(self._call)
        elif b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(self._at_once)
        elif self._pacer is not None:
            self._said = 0
            self._pacer.add(self)
        else:
            self._transport.write(self._answer.whole)

    def say(self) -> bool:
        """Say the next word; return whether there are more."""
        self._transport.write(self._answer.pieces[self._said])
        self._said += 1
        return self._said < len(self._answer.pieces) and not self._transport.is_closing()


async def _serve(words: int, pace: float) -> None:
    answer = _Answer(words)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    loop = asyncio.get_running_loop()
    pacer = _Pacer(pace) if pace else None
    server = await loop.create_server(lambda: _Protocol(answer, pacer), sock=listener)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=5)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds from one word to the next")
    options = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.words, options.pace))


if __name__ == "__main__":
    main()
