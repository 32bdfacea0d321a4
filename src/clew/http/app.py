"""The ASGI application: routes from the table of operations, inside the middleware onion."""

import asyncio

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clew.http.access import Access, AccessLog
from clew.http.auth import Authentication, TokenRoute, named_project
from clew.http.endpoint import Endpoint
from clew.http.keyring import Keyring
from clew.http.middleware import Errors, RequestId
from clew.http.operations import OPERATIONS, ROOTS
from clew.http.proxies import TrustedProxies
from clew.http.routes import Endpoints, Routes
from clew.http.status import Condition, Status
from clew.service.context import Services
from clew.store import health
from clew.wire.dialects import Dialect
from clew.wire.errors import ApiError

_STORE_TIMEOUT = 2.0
"""Seconds in which the store answers, or the server is not ready."""


def create_app(
    services: Services,
    keyring: Keyring,
    condition: Condition,
    *,
    access: Access = "trouble",
    proxies: TrustedProxies | None = None,
) -> ASGIApp:
    """Return the API as an ASGI application. From outside in: proxies, request id, errors, keys."""
    wrong_keys = condition.wrong_keys
    routes = Routes()
    routes.add("/healthz", {"GET": _Healthy()})
    routes.add("/readyz", {"GET": _Ready(services)})
    routes.add("/openapi.json", {"GET": _Document()})
    routes.add("/msi/token", {"GET": TokenRoute(keyring, services.process.clock, wrong_keys)})
    routes.add("/status", {"GET": Status(services, condition)})
    spoken = {dialect: _by_path(dialect, services) for dialect in {root.dialect for root in ROOTS}}
    for root in ROOTS:
        for path, endpoints in spoken[root.dialect].items():
            routes.add(root.prefix + path, endpoints)
    app = Errors(Authentication(_Router(routes, keyring), keyring, wrong_keys))
    return (proxies or TrustedProxies()).behind(RequestId(app, services.process, AccessLog(access)))


def _by_path(dialect: Dialect, services: Services) -> dict[str, Endpoints]:
    """Return every operation in one dialect, by its path below a root."""
    by_path: dict[str, Endpoints] = {}
    for operation in OPERATIONS:
        endpoint = Endpoint(operation, dialect, services)
        by_path.setdefault(operation.path, {})[operation.method] = endpoint
    return by_path


class _Router:
    """Hands a request to the operation that its method and path name.

    A project in the path must be the key's own, unless that is an operator's: another's might as well not
    exist.
    """

    def __init__(self, routes: Routes, keyring: Keyring) -> None:
        self._routes, self._keyring = routes, keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        found = self._routes.find(path)
        if found is None:
            raise ApiError(404, f"Invalid URL ({method} {path})")
        endpoints, scope["path_params"] = found
        named = scope["path_params"].get("project")
        if named is not None and named != scope["clew.project"]:
            scope["clew.project"] = named_project(named, scope["clew.access"], self._keyring)
        endpoint = endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            raise ApiError(
                405, f"Not allowed to {method} on {path}.", headers={"allow": ", ".join(endpoints)}
            )
        await endpoint(scope, receive, send)


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
            async with asyncio.timeout(_STORE_TIMEOUT):
                await self._services.db.fetch(health.ping)
                if (refusing := self._services.db.refusing()) is not None:
                    await self._services.db.write(health.touch)
        except Exception:
            return self._services.db.refusing() or "the store does not answer"
        return refusing and self._services.db.refusing()


class _Document:
    """``GET /openapi.json``: the OpenAPI document, made when it is first asked for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from clew.http import openapi

        document = openapi.encoded(scope.get("root_path", ""))
        await Response(document, media_type="application/json")(scope, receive, send)
