"""The onion around the operations: plain ASGI, so that nothing stands between a stream and its reader."""

import logging
from time import monotonic as _now

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew.about import ABOUT
from clew.blobs.blobs import BlobsAway
from clew.core.errors import Refused
from clew.hooks import RequestServed
from clew.http.access import AccessLog
from clew.process import Process
from clew.store.database import CommitUnknown, StoreUnavailable, Unstorable, is_full, is_passing
from clew.wire.errors import ApiError, invalid
from clew.wire.refusals import refusal

_log = logging.getLogger(__name__)

REQUEST = "req_"


class RequestId:
    """Gives every answer, success or error, an ``x-request-id``, and has requests logged."""

    def __init__(self, app: ASGIApp, process: Process, access: AccessLog) -> None:
        self._app = app
        self._ids, self._hooks = process.ids, process.hooks
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["clew.request_id"] = self._ids.new(REQUEST)
        ABOUT.set(request_id)
        scope["clew.send"] = send  # for the pieces of a body, at which nobody on the way looks

        status, begun, answered = 0, _now(), 0.0

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], _now()
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._access.note(scope, request_id, status, (answered or _now()) - begun)
            if self._hooks.request_served:
                self._tell(scope, request_id, status, int((_now() - begun) * 1000))

    def _tell(self, scope: Scope, request_id: str, status: int, ms: int) -> None:
        served = RequestServed(
            request_id=request_id, method=scope["method"], path=scope["path"], status=status, ms=ms
        )
        self._hooks.tell(served)


class Errors:
    """Renders every error as JSON in the one shape that clients read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as raised:
            response = _rendered(scope, raised)
            if started:
                raise
            await response(scope, receive, send)


def _rendered(scope: Scope, raised: Exception) -> Response:
    """Return an error's answer.

    No frame that the error has passed through may keep it: it has the frames, and they have the request's
    body, so that only the garbage collector, which comes rarely here, would free what was sent.
    """
    error = _as_api_error(scope, raised)
    return Response(error.encode(), error.status, media_type="application/json", headers=error.headers)


def _as_api_error(scope: Scope, raised: Exception) -> ApiError:
    if isinstance(raised, ApiError):
        return raised
    if isinstance(raised, Refused):
        return refusal(raised)
    if isinstance(raised, Unstorable):
        return invalid(f"Your request can't be served: {raised}.", code="invalid_value")
    if isinstance(raised, CommitUnknown):
        return _unknown_outcome(scope, raised)
    if isinstance(raised, OSError):  # of the files' store: the database has words of its own
        return _files_trouble(scope, raised)
    if is_full(raised):
        return _full()
    return _away(scope, raised) if is_passing(raised) else _our_fault(scope, raised)


def _full() -> ApiError:
    """No line in the log: the store has said so once, and a full disk is no place for many."""
    return ApiError(
        507,
        "The server's disk is full. Nothing was stored. Ask again when its operator has made room.",
        type="server_error",
        code="insufficient_storage",
        headers={"x-should-retry": "false"},
    )


def _files_trouble(scope: Scope, error: OSError) -> ApiError:
    """Files can't be kept or read: what the client may do about it differs."""
    if is_full(error):
        _log.error("%s %s %s: there is no room for files: %s", *_what(scope), error)
        return _full()
    if not isinstance(error, BlobsAway):
        return _our_fault(scope, error)
    _log.error("%s %s %s: %s", *_what(scope), error)
    return ApiError(
        503,
        "The server's store of files does not answer. Nothing was stored; ask again.",
        type="server_error",
        headers={"retry-after": "5"},
    )


def _away(scope: Scope, error: Exception) -> ApiError:
    """The database is away: nothing was done, so the client may safely ask again."""
    _log.error("%s %s %s: %s", *_what(scope), error)
    trouble = "does not answer" if isinstance(error, StoreUnavailable) else "can't be used at the moment"
    return ApiError(
        503,
        f"The server's database {trouble}. Nothing was stored; ask again.",
        type="server_error",
        headers={"retry-after": "1"},
    )


def _unknown_outcome(scope: Scope, error: Exception) -> ApiError:
    """Asking again might do it twice, unless the request had an idempotency key."""
    _log.error("%s %s %s: %s", *_what(scope), error)
    return ApiError(
        500,
        "The connection to the database broke at the last moment: this may or may not have been stored. "
        "Look before you ask again; a request with an Idempotency-Key can be sent again safely.",
        type="server_error",
        code="outcome_unknown",
        headers={"x-should-retry": "false"},
    )


def _what(scope: Scope) -> tuple[object, object, object]:
    return scope.get("clew.request_id", ""), scope.get("method"), scope.get("path")


def _our_fault(scope: Scope, error: Exception) -> ApiError:
    """Log an error that is nobody's but ours; the client learns where to look, and no more."""
    request_id = scope.get("clew.request_id", "")
    _log.error("%s %s %s failed", *_what(scope), exc_info=error)
    return ApiError(
        500, f"The server had an error. Its log says more, under {request_id}.", type="server_error"
    )
