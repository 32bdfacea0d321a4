"""Who is calling: keys, and the token route that Azure's managed-identity credential asks.

Authentication is always on. A key belongs to a project. Keys are kept as SHA-256 digests: they are
256 random bits, so a plain hash is enough (OWASP ASVS 5.0, 6.5.2).
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew.clock import Clock
from clew.store import keys
from clew.store.database import Database
from clew.store.keys import PROJECT, READ, KeyRow
from clew.wire.errors import forbidden, invalid, unauthorized

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/msi/token"))
_TOKEN_LIFETIME = 24 * 3600
_READING = frozenset(("GET", "HEAD"))

_LOOK = 0.5
"""Seconds between two looks at the rows: a key that is revoked opens nothing a second later."""

_TO_END = 2.0
"""Seconds that requests under way are given when their key is revoked."""

_log = logging.getLogger(__name__)


class Access:
    """What a key opens: its project, and the requests that it has under way, which end when it is revoked.

    A key without a row, CLEW_API_KEY's or the first start's, can't be revoked while the server runs.
    """

    __slots__ = ("name", "project", "reads_only", "revoked", "tasks")

    def __init__(self, project: str, name: str, *, role: str = PROJECT, in_rows: bool = False) -> None:
        self.project, self.name, self.reads_only = project, name, role == READ
        self.revoked = False
        self.tasks: set[asyncio.Task[Any]] | None = set() if in_rows else None


class Keyring:
    """The keys a server knows, by digest: those it was started with, and those of the rows.

    Args:
        projects_by_key: the keys it was started with, each with its project.
    """

    def __init__(self, projects_by_key: Mapping[str, str]) -> None:
        self._fixed = {_digest(key): Access(project, "") for key, project in projects_by_key.items()}
        self._known = dict(self._fixed)
        self._rows: dict[bytes, Access] = {}
        self._blind = False
        """Whether the store did not answer when it was last asked; said once."""

    def find(self, key: str) -> Access | None:
        """Return what a key opens, or None if it is unknown, expired or revoked."""
        return self._known.get(_digest(key))

    def take(self, rows: Iterable[KeyRow], now: int) -> list[Access]:
        """Know the keys of the rows, and no others; return those that hold no more."""
        before, self._rows = self._rows, {}
        for row in rows:
            if row.expires_at is None or row.expires_at > now:
                digest = bytes.fromhex(row.digest)
                held = before.pop(digest, None)
                self._rows[digest] = held or Access(row.project, row.name, role=row.role, in_rows=True)
        self._known = self._rows | self._fixed
        for access in before.values():
            access.revoked = True
        return list(before.values())

    async def follow(self, db: Database, clock: Clock) -> None:
        """Look at the rows twice a second, until cancelled.

        While the store doesn't answer, the keys that were known stay known.
        """
        while True:
            await self.look(db, clock)
            await asyncio.sleep(_LOOK)

    async def look(self, db: Database, clock: Clock) -> None:
        """Look at the rows now. What keys that hold no more have under way is given a moment, then ended."""
        try:
            gone = self.take(await db.fetch(keys.every), clock.now())
        except Exception as error:
            if not self._blind:
                _log.warning("the keys can't be looked at, those known stay: %s", error)
            self._blind = True
            return
        self._blind = False
        loop = asyncio.get_running_loop()
        for access in gone:
            _log.info("the key %s of %s holds no more", access.name, access.project)
            loop.call_later(_TO_END, _end, access)


def _end(access: Access) -> None:
    for task in list(access.tasks or ()):
        task.cancel()


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
                access = self._authenticate(headers)
                if access.reads_only and scope["method"] not in _READING:
                    raise forbidden(f"The API key '{access.name}' may only read.")
                scope["clew.project"], scope["clew.key"] = access.project, access.name
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
                raise ClientDisconnect from None
            raise unauthorized("The API key has been revoked or has expired.") from None
        finally:
            access.tasks.discard(task)

    def _authenticate(self, headers: Mapping[bytes, bytes]) -> Access:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not key:
            key = headers.get(b"api-key", b"").decode("latin-1")
        if not key:
            raise unauthorized(
                "You didn't provide an API key. Send it as a header: "
                "'Authorization: Bearer KEY' or 'api-key: KEY'."
            )
        access = self._keyring.find(key.strip())
        if access is None:
            raise unauthorized(f"Incorrect API key provided: {_masked(key.strip())}.")
        return access


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
        if not key or self._keyring.find(key) is None:
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
