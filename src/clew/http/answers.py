"""Answers: what handlers return. Each is itself an ASGI app, so an endpoint only has to await it."""

from typing import Generic, Protocol, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
Headers = tuple[tuple[bytes, bytes], ...]
_encode = msgspec.json.Encoder().encode


class Answer(Protocol):
    """What is sent for a request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        ...


class Json(Generic[T]):
    """A value as JSON."""

    __slots__ = ("_headers", "_value")

    def __init__(self, value: T, headers: Headers = ()) -> None:
        self._value, self._headers = value, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _encode(self._value)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *self._headers,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
