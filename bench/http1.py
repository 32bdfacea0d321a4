"""A client that costs little: HTTP/1.1 over one connection, requests and answers as bytes.

It reads what this server and this model send, and no other dialect of HTTP.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Self


class Refused(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: int, body: bytes, headers: bytes) -> None:
        super().__init__(f"{status}: {body[:300].decode(errors='replace')}")
        self.status, self.headers = status, headers


class Connection(asyncio.Protocol):
    """One connection to a server. Requests are made one after another."""

    content_type = "application/json"

    def __init__(self, port: int, key: str) -> None:
        authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        self._head = f"Host: 127.0.0.1:{port}\r\n{authorization}"
        self._transport: Any = None
        self._data = b""
        self._more: asyncio.Future[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, port: int, key: str = "") -> Self:
        """Connect to a server on this machine."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: cls(port, key), "127.0.0.1", port)
        return connection

    # --- requests --------------------------------------------------------------------------------

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            Refused: the status is not 200.
        """
        self._send(method, path, body)
        head = await self._read_head()
        if b"\r\ntransfer-encoding: chunked" in head:
            data = b"".join([chunk async for chunk in self._chunks()])
        else:
            data = await self._read(_content_length(head))
        if not head.startswith(b"http/1.1 200"):
            raise Refused(int(head[9:12]), data, head)
        return data

    async def json(self, method: str, path: str, body: Any = None) -> Any:
        """Send JSON and return JSON."""
        return json.loads(await self.call(method, path, b"" if body is None else json.dumps(body).encode()))

    async def stream(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[bytes]:
        """Send a request and yield its answer in the pieces in which it comes.

        Raises:
            Refused: the status is not 200.
        """
        self._send(method, path, body)
        head = await self._read_head()
        if not head.startswith(b"http/1.1 200"):
            raise Refused(int(head[9:12]), self._data, head)
        async for chunk in self._chunks():
            yield chunk

    def _send(self, method: str, path: str, body: bytes) -> None:
        head = f"{method} {path} HTTP/1.1\r\n{self._head}"
        if body or method == "POST":
            head += f"Content-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n"
        self._transport.write(head.encode() + b"\r\n" + body)

    # --- answers ---------------------------------------------------------------------------------

    async def _read_head(self) -> bytes:
        return (await self._read_until(b"\r\n\r\n")).lower()

    async def _read_until(self, mark: bytes) -> bytes:
        while (end := self._data.find(mark)) < 0:
            await self._wait()
        found, self._data = self._data[: end + 2], self._data[end + len(mark) :]
        return found

    async def _read(self, size: int) -> bytes:
        while len(self._data) < size:
            await self._wait()
        data, self._data = self._data[:size], self._data[size:]
        return data

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self._read_until(b"\r\n"))[:-2], 16):
            yield (await self._read(size + 2))[:-2]
        await self._read(2)

    async def _wait(self) -> None:
        if self._closed:
            raise ConnectionResetError("the server hung up")
        self._more = asyncio.get_running_loop().create_future()
        await self._more

    # --- the transport's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._go_on()

    def _go_on(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def close(self) -> None:
        """Disconnect."""
        self._transport.close()


def _content_length(head: bytes) -> int:
    start = head.index(b"\r\ncontent-length: ") + 18
    return int(head[start : head.index(b"\r\n", start)])
