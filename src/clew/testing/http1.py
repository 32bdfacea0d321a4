"""A small HTTP/1.1 server for the scripted model.

Not uvicorn, for two reasons: a stand-in that is measured against must cost next to nothing (here
an answer is written from within the read, without a task), and a test must be able to stop in the
middle of an answer and to cut the connection, which ASGI has no word for.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeAlias, cast

import httptools

from clew.testing.signals import Gate


class Cut:
    """Ends the connection where it stands in an answer: the client gets half a response."""


Step: TypeAlias = bytes | Gate | Cut | float
"""What an answer is made of: bytes to send, a gate to wait at, a cut, or seconds to wait."""


class Exchange:
    """A request as it came in, and the answer's fate.

    Attributes:
        method: upper case, such as ``POST``.
        path: without the query.
        body: as it came.
        on_end: called once when the answer ends, with whether the client left before its end.
    """

    __slots__ = ("_headers", "body", "keep_alive", "method", "on_end", "path")

    def __init__(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.keep_alive = True
        self.on_end: Callable[[bool], None] | None = None
        self._headers = headers

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers, names in lower case; of repeated ones the last."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}

    def ended(self, client_left: bool) -> None:
        """Report the end of the answer, once."""
        callback, self.on_end = self.on_end, None
        if callback is not None:
            callback(client_left)


Handler: TypeAlias = Callable[[Exchange], Iterator[Step]]
"""Answers a request. Must not block; must not raise."""


def head(status: int, headers: dict[str, str], length: int | None) -> bytes:
    """Return the head of a response of ``length`` bytes, or of a chunked one if None (RFC 9112)."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked response (RFC 9112, section 7.1). ``data`` isn't empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


class Connection(asyncio.Protocol):
    """One client's connection. Requests on it are answered one after another, in order."""

    def __init__(self, handler: Handler, connections: "set[Connection]") -> None:
        self._handler = handler
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._waiting: deque[Exchange] = deque()
        self._exchange: Exchange | None = None
        self._steps: Iterator[Step] = iter(())

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's doesn't inherit from it
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)
        for exchange in (self._exchange, *self._waiting):
            if exchange is not None:
                exchange.ended(client_left=True)
        self._exchange = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._write(head(400, {"connection": "close"}, 0))
            self._close()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # httptools' side

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", [], []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if any(name.lower() == b"expect" for name, _ in self._headers):
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path = self._url.partition(b"?")[0].decode("latin-1")
        method = self._parser.get_method().decode("ascii")
        exchange = Exchange(method, path, self._headers, b"".join(self._body))
        exchange.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(exchange)
        if self._exchange is None:
            self._next()

    # answers

    def _next(self) -> None:
        while self._waiting and self._exchange is None and self._transport is not None:
            self._exchange = self._waiting.popleft()
            self._steps = self._handler(self._exchange)
            self._advance()

    def _resume(self) -> None:
        self._advance()
        self._next()

    def _advance(self) -> None:
        """Send what the answer holds, up to a gate, a pause or its end."""
        if self._exchange is None:
            return
        for step in self._steps:
            if isinstance(step, bytes):
                self._write(step)
            elif isinstance(step, Gate):
                step.reached.set()
                if not step.released.is_set():
                    step.released.call(self._loop, self._resume)
                    return
            elif isinstance(step, Cut):
                self._end()
                self._close()
                return
            else:
                self._loop.call_later(step, self._resume)
                return
        if not self._end().keep_alive:
            self._close()

    def _end(self) -> Exchange:
        assert self._exchange is not None
        exchange, self._exchange = self._exchange, None
        exchange.ended(client_left=False)
        return exchange

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()
