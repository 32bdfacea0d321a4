"""From an operation to an ASGI endpoint: read, decode, call the handler, send its answer."""

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from clew.http.call import Call
from clew.http.json_bodies import look_through
from clew.http.operations import Operation
from clew.http.uploads import Upload
from clew.service.context import Services
from clew.wire.dialects import Dialect
from clew.wire.errors import ApiError, overloaded
from clew.wire.explain import explain

BODY_LIMIT = 1024 * 1024
LONG_BODY_LIMIT = 8 * BODY_LIMIT
"""Bytes of the largest body that is read; the second where messages, schemas or images make it long."""

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
        self._has_body = operation.body is not None or operation.uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._operation.starts_run and self._services.dispatch.full:  # before anything is done for it
            await self._wait_for_room(scope["clew.project"])
        scope["clew.route"] = self._operation.path
        call = Call(
            services=self._services,
            operation=self._operation.name,
            dialect=self._dialect,
            project=scope["clew.project"],
            path=scope["path_params"],
            query=QueryParams(scope["query_string"]) if scope["query_string"] else _NO_QUERY,
            headers=scope["clew.headers"],
            body=await self._body(scope, receive) if self._has_body else None,
        )
        answer = await self._operation.handler(call)
        await answer(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> object:
        return (
            Upload(scope["clew.headers"], receive) if self._decoder is None else await self._decode(receive)
        )

    async def _wait_for_room(self, project: str) -> None:
        """Hold a request back for a while, then refuse it if the line is still full for its project."""
        if not self._services.dispatch.full_for(project):
            return
        await self._services.process.clock.sleep(_FULL_PAUSE)
        if self._services.dispatch.full_for(project):
            raise overloaded("The server has as many runs in line as it takes. Try again in a moment.")

    async def _decode(self, receive: Receive) -> object:
        """Read and decode a body; no bytes at all count as an empty object."""
        assert self._decoder is not None
        body = await _read(receive, LONG_BODY_LIMIT if self._operation.long_body else BODY_LIMIT)
        await look_through(body)
        try:
            return self._decoder.decode(body or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise explain(self._operation.body, body or b"{}") from None


async def _read(receive: Receive, most: int) -> bytes:
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
        if size > most:
            raise ApiError(413, f"The body of your request is larger than {most:,} bytes.")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
