"""The ASGI application: routes from the table of operations, inside the middleware onion."""

import asyncio
from collections.abc import Mapping

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from clew.http.auth import Authentication, Keyring, TokenRoute
from clew.http.call import Services
from clew.http.endpoint import Endpoint
from clew.http.middleware import Errors, RequestId
from clew.http.operations import OPERATIONS, ROOTS
from clew.store import health
from clew.wire.errors import ApiError

_STORE_PATIENCE = 2.0
"""Seconds in which the store answers, or the server is not ready."""


def create_app(services: Services, keyring: Keyring) -> ASGIApp:
    """Return the API as an ASGI application. The onion, from outside in: request id, errors, keys."""
    operations = Router(_routes(services), redirect_slashes=False, default=_unknown)
    router = Router(
        [
            Route("/healthz", _ByMethod({"GET": _Healthy()})),
            Route("/readyz", _ByMethod({"GET": _Ready(services)})),
            Route("/openapi.json", _ByMethod({"GET": _Document()})),
            Route("/msi/token", _ByMethod({"GET": TokenRoute(keyring, services.clock)})),
            *(Mount(root, operations) for root in ROOTS),
        ],
        redirect_slashes=False,
        default=_unknown,
    )
    return RequestId(Errors(Authentication(router, keyring)), services.ids)


def _routes(services: Services) -> list[Route]:
    by_path: dict[str, dict[str, ASGIApp]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = Endpoint(operation, services)
    return [Route(path, _ByMethod(endpoints)) for path, endpoints in by_path.items()]


class _ByMethod:
    """The operations of one path."""

    def __init__(self, endpoints: Mapping[str, ASGIApp]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = {"allow": ", ".join(self._endpoints)}
            raise ApiError(405, f"Not allowed to {method} on {scope['path']}.", headers=allowed)
        await endpoint(scope, receive, send)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        raise ApiError(404, f"Invalid URL ({scope['method']} {scope['path']})")


class _Healthy:
    """``GET /healthz``: the process can answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ok\n")(scope, receive, send)


class _Ready:
    """``GET /readyz``: the store and the bus answer too, and the server is not about to stop."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trouble = self._services.trouble() or await self._of_store()
        answer = PlainTextResponse(f"{trouble}\n", 503) if trouble else PlainTextResponse("ready\n")
        await answer(scope, receive, send)

    async def _of_store(self) -> str | None:
        try:
            async with asyncio.timeout(_STORE_PATIENCE):
                await self._services.db.read(health.ping)
        except Exception:
            return "the store does not answer"
        return None


class _Document:
    """``GET /openapi.json``: the OpenAPI document, made when it is first asked for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from clew.http import openapi

        await Response(openapi.encoded(), media_type="application/json")(scope, receive, send)
