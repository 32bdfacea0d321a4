"""From an operation to an ASGI endpoint: read, decode, call the handler, encode."""

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clew.http.call import Call, Services
from clew.http.operations import Operation
from clew.http.streams import RunStream
from clew.wire.errors import ApiError, invalid
from clew.wire.explain import explain

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of the largest body that is read."""

DEEPEST = 256
"""Levels of arrays and objects in a body. Far below what Python's recursion limit lets us read back."""

POLL_AFTER_MS = 100

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")

_encode = msgspec.json.Encoder().encode
_JSON = "application/json"


class Endpoint:
    """One operation as an ASGI app. Errors are raised, and rendered by the middleware."""

    def __init__(self, operation: Operation, services: Services) -> None:
        self._operation = operation
        self._services = services
        self._decoder = None if operation.body is None else msgspec.json.Decoder(operation.body)
        self._headers = {"openai-poll-after-ms": str(POLL_AFTER_MS)} if operation.poll_after else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        call = Call(
            services=self._services,
            operation=self._operation.name,
            project=scope["clew.project"],
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            body=self._decode(await _read(request)) if self._decoder is not None else None,
        )
        answer = await self._operation.handler(call)
        response: ASGIApp
        if isinstance(answer, RunStream):
            response = answer
        else:
            response = Response(_encode(answer), media_type=_JSON, headers=self._headers)
        await response(scope, receive, send)

    def _decode(self, body: bytes) -> object:
        """Decode a body; no bytes at all count as an empty object."""
        assert self._decoder is not None
        if _nests_deeper(body, DEEPEST):
            raise invalid(f"The JSON body of your request nests deeper than {DEEPEST} levels.")
        try:
            return self._decoder.decode(body or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise explain(self._operation.body, body or b"{}") from None


def _nests_deeper(body: bytes, most: int) -> bool:
    if body.count(b"{") + body.count(b"[") <= most:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False


async def _read(request: Request) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_LIMIT:
            raise ApiError(413, f"The body of your request is larger than {BODY_LIMIT} bytes.")
        pieces.append(piece)
    return b"".join(pieces)
