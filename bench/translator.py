"""A bare translator, the least that a streamed word can cost: python -m bench.translator MODEL_URL

For each request it asks the model, reads a frame, decodes it, encodes one delta and writes it: nothing is
kept, checked or shared. It prints its port.
"""

import asyncio
import socket
import sys
from typing import Any

import msgspec
import uvloop

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_ASKED = b'{"model":"stub","stream":true,"messages":[{"role":"user","content":"x"}]}'
_LAST = b"event: done\ndata: [DONE]\n\n"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Model(asyncio.Protocol):
    """The connection to the model, for one answer."""

    def __init__(self, port: int, reader: Any) -> None:
        self._port, self._reader = port, reader
        self._rest = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        self._transport.write(f"{head}Content-Length: {len(_ASKED)}\r\n\r\n".encode() + _ASKED)

    def data_received(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            self._translate(event[event.index(b"data: ") + 6 :])

    def _translate(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._reader.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_LAST), _LAST))
            self._transport.close()
            return
        choices = _decode(data)["choices"]
        word = choices[0]["delta"].get("content") if choices else None
        if word:
            text = {"index": 0, "type": "text", "text": {"value": word}}
            delta = {"id": "msg_0", "object": "thread.message.delta", "delta": {"content": [text]}}
            frame = b"event: thread.message.delta\ndata: %b\n\n" % _encode(delta)
            self._reader.write(b"%x\r\n%b\r\n" % (len(frame), frame))


class _Reader(asyncio.Protocol):
    """The connection of one reader."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: Any = None
        self._asking: asyncio.Future[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._asking is None:
            self._transport.write(_HEAD)
            loop = asyncio.get_running_loop()
            model = loop.create_connection(
                lambda: _Model(self._port, self._transport), "127.0.0.1", self._port
            )
            self._asking = asyncio.ensure_future(model)


async def _serve(model_port: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Reader(model_port), sock=listener)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    port = int(sys.argv[1].removesuffix("/v1").rpartition(":")[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(port))


if __name__ == "__main__":
    main()
