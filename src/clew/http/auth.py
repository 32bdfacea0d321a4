"""Who is calling: keys, and the token route that Azure's managed-identity credential asks.

Authentication is always on. A key belongs to a project. Keys are kept as SHA-256 digests: they are
256 random bits, so a plain hash is enough (OWASP ASVS 5.0, 6.5.2).
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clew.clock import Clock
from clew.wire.errors import invalid, unauthorized

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/msi/token"))
_TOKEN_LIFETIME = 24 * 3600


class Keyring:
    """The keys a server knows, by digest, each with its project."""

    def __init__(self, projects_by_key: Mapping[str, str]) -> None:
        self._projects = {_digest(key): project for key, project in projects_by_key.items()}

    def project(self, key: str) -> str | None:
        """Return the project that a key belongs to, or None if it is unknown."""
        return self._projects.get(_digest(key))


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


class Authentication:
    """Lets requests through that carry a known key, and says in the scope whose they are."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = scope["clew.headers"] = dict(reversed(scope["headers"]))
            if b"host" not in headers or len(headers) != len(scope["headers"]):
                _check_host(scope)
            if scope["path"] not in OPEN_PATHS:
                scope["clew.project"] = self._authenticate(headers)
        await self._app(scope, receive, send)

    def _authenticate(self, headers: Mapping[bytes, bytes]) -> str:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not key:
            key = headers.get(b"api-key", b"").decode("latin-1")
        if not key:
            raise unauthorized(
                "You didn't provide an API key. Send it as a header: "
                "'Authorization: Bearer KEY' or 'api-key: KEY'."
            )
        project = self._keyring.project(key.strip())
        if project is None:
            raise unauthorized(f"Incorrect API key provided: {_masked(key.strip())}.")
        return project


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

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        key = request.headers.get("x-identity-header", "")
        if not key or self._keyring.project(key) is None:
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
