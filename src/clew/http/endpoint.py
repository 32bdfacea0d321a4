"""From an operation to an ASGI endpoint: read, decode, call the handler, send its answer."""

import re

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from clew.http.call import Call
from clew.http.operations import Operation
from clew.service.context import Services
from clew.wire.dialects import Dialect
from clew.wire.errors import ApiError, invalid, overloaded
from clew.wire.explain import explain

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of the largest body that is read."""

DEEPEST = 256
"""Levels of arrays and objects in a body. Far below what Python's recursion limit lets us read back."""

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")

_FULL_PAUSE = 2000
"""Milliseconds for which a request waits for room in the line before it is refused. A refusal costs a fifth
of a run: at once, four times the peak's load would leave a third of the server's time for runs."""

_NO_QUERY = QueryParams()


class Endpoint:
    """One operation as an ASGI app. Errors are raised, and rendered by the middleware."""

    def __init__(self, operation: Operation, dialect: Dialect, services: Services) -> None:
        self._operation = operation
        self._dialect = dialect
        self._services = services
        self._decoder = None if operation.body is None else msgspec.json.Decoder(operation.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._operation.starts_run and self._services.dispatch.full:  # before anything is done for it
            await self._wait_for_room()
        call = Call(
            services=self._services,
            operation=self._operation.name,
            dialect=self._dialect,
            project=scope["clew.project"],
            path=scope["path_params"],
            query=QueryParams(scope["query_string"]) if scope["query_string"] else _NO_QUERY,
            headers=scope["clew.headers"],
            body=self._decode(await _read(receive)) if self._decoder is not None else None,
        )
        answer = await self._operation.handler(call)
        await answer(scope, receive, send)

    async def _wait_for_room(self) -> None:
        """Hold a request back for a while, then refuse it if the line is still full."""
        await self._services.process.clock.sleep(_FULL_PAUSE)
        if self._services.dispatch.full:
            raise overloaded("The server has as many runs in line as it takes. Try again in a moment.")

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


async def _read(receive: Receive) -> bytes:
    """Return a request's whole body.

    Raises:
        ApiError: it is too large.
        ClientDisconnect: the client left in the middle of it.
    """
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > BODY_LIMIT:
            raise ApiError(413, f"The body of your request is larger than {BODY_LIMIT} bytes.")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
