"""One system call an answer: uvicorn writes an answer's head and its body one after the other.

A head waits for what follows it in the same step of the event loop, and goes out with it. Measured: 10 of
20 microseconds that an answer's way into the socket costs.

Here too, the headers that every answer has are put into its head: as a header of the application's, each of
them would cost uvicorn five calls.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD, _END = b"HTTP/1.1 ", b"\r\n\r\n"

_EVERY_ANSWER = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n"
"""Answers hold what people said: nobody on the way keeps them, and no browser takes them for a page."""


class CoalescingTransport:
    """A transport that holds back an answer's head until its body, or the next step of the loop, comes."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data, after all that was written before."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(_HEAD):
            if data[9:10] != b"1" and data.endswith(_END):  # "100 Continue" is no answer
                data = data[:-2] + _EVERY_ANSWER
            self._held = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything was sent."""
        self.flush()
        self._transport.close()


class CoalescingProtocol(HttpToolsProtocol):
    """uvicorn's protocol on a transport that coalesces writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
