"""Who is calling: authentication, and the token route that Azure's managed-identity credential asks.

Authentication is always on.
"""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew.clock import Clock
from clew.http.keyring import Access, Keyring
from clew.http.wrong_keys import WrongKeys
from clew.wire.errors import forbidden, invalid, not_found, unauthorized

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/msi/token"))
OF_OPERATORS = frozenset(("/status",))
PROJECT_HEADER = b"clew-project"
"""Names the project that an operator's request is for, where the path doesn't."""

_TOKEN_LIFETIME = 24 * 3600
_READING = frozenset(("GET", "HEAD"))


class Authentication:
    """Lets requests through that carry a known key, and says in the scope whose they are."""

    def __init__(self, app: ASGIApp, keyring: Keyring, wrong_keys: WrongKeys) -> None:
        self._app = app
        self._keyring, self._wrong_keys = keyring, wrong_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = scope["clew.headers"] = dict(reversed(scope["headers"]))
            if b"host" not in headers or len(headers) != len(scope["headers"]):
                _check_host(scope)
            if scope["path"] not in OPEN_PATHS:
                access = self._keyring.find(_key_in(headers)) or await self._refuse(headers, scope)
                if access.reads_only or scope["path"] in OF_OPERATORS:
                    _check(access, scope)
                scope["clew.access"], scope["clew.project"] = access, access.project
                if access.operates and PROJECT_HEADER in headers:
                    named = headers[PROJECT_HEADER].decode("latin-1")
                    scope["clew.project"] = named_project(named, access, self._keyring)
                if access.tasks is not None:
                    await self._revocable(access, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _revocable(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that ends when its key is revoked: by an error, or a stream by being cut."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        task = asyncio.current_task()
        assert task is not None and access.tasks is not None  # noqa: PT018
        access.tasks.add(task)
        try:
            await self._app(scope, receive, watch)
        except asyncio.CancelledError:
            if not access.revoked:
                raise
            task.uncancel()
            if started:
                scope["clew.hang_up"]()  # cut: an answer that ends well would pass for a whole one
                raise ClientDisconnect from None
            raise unauthorized("The API key has been revoked or has expired.") from None
        finally:
            access.tasks.discard(task)

    async def _refuse(self, headers: Mapping[bytes, bytes], scope: Scope) -> NoReturn:
        """Refuse a request without a right key: one with a wrong key in a while, if there were many.

        Raises:
            ApiError: always.
        """
        key = _key_in(headers)
        if not key:
            raise unauthorized(
                "You didn't provide an API key. Send it as a header: "
                "'Authorization: Bearer KEY' or 'api-key: KEY'."
            )
        await self._wrong_keys.hold_back(scope)
        raise unauthorized(f"Incorrect API key provided: {_masked(key)}.")


def _check(access: Access, scope: Scope) -> None:
    """Raise ApiError for what a key may not do."""
    if access.reads_only and scope["method"] not in _READING:
        raise forbidden(f"The API key '{access.name}' may only read.")
    if not access.operates and scope["path"] in OF_OPERATORS:
        raise forbidden(
            f"{scope['path']} is for operators: ask with CLEW_API_KEY's key, or one that "
            "`clew keys add --operator` has made."
        )


def named_project(name: str, access: Access, keyring: Keyring) -> str:
    """Return a project that a request names, if its key opens that.

    Raises:
        ApiError: it doesn't; another's project might as well not exist.
    """
    if name == access.project or (access.operates and keyring.knows_project(name)):
        return name
    raise not_found("project", name)


def _key_in(headers: Mapping[bytes, bytes]) -> str:
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key:
        key = headers.get(b"api-key", b"").decode("latin-1")
    return key.strip()


def _check_host(scope: Scope) -> None:
    """Refuse what names no host, or several: who stands between might have read another (RFC 9112, 3.2).

    Raises:
        ApiError: it is such a request.
    """
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    if hosts > 1 or (not hosts and scope["http_version"] != "1.0"):
        raise invalid("A request has one header Host, neither none nor several.")


def _masked(key: str) -> str:
    return f"{key[:4]}{'*' * 8}" if len(key) > 12 else "*" * 8


class TokenRoute:
    """``GET /msi/token``: what azure-identity asks in an App Service, answered with the key itself.

    Source: "How to use managed identities for App Service", section "REST endpoint reference". The
    synchronous client reads ``access_token`` and ``expires_on``; the asynchronous one also wants
    ``resource``.
    """

    def __init__(self, keyring: Keyring, clock: Clock, wrong_keys: WrongKeys) -> None:
        self._keyring, self._wrong_keys = keyring, wrong_keys
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        key = request.headers.get("x-identity-header", "")
        if not key or self._keyring.find(key) is None:
            await self._wrong_keys.hold_back(scope)
            raise unauthorized("The header X-IDENTITY-HEADER must carry your API key. See `clew env`.")
        token = {
            "access_token": key,
            "expires_on": str(self._clock.now() // 1000 + _TOKEN_LIFETIME),
            "expires_in": str(_TOKEN_LIFETIME),
            "resource": request.query_params.get("resource", ""),
            "token_type": "Bearer",
        }
        response = Response(msgspec.json.encode(token), media_type="application/json")
        await response(scope, receive, send)
