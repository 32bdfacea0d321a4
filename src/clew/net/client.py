"""Outgoing HTTP to URLs that clients give: guarded, and bounded in time and size."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Mapping
from ssl import SSLContext
from typing import TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from clew.net.guard import Guard

T = TypeVar("T")

BODY_LIMIT = 64 * 1024
"""Bytes of an answer to a POST that are read."""

_PIECE = 64 * 1024

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS = 3


class Reply(Struct, frozen=True):
    """An answer. ``whole`` is false if its body was longer than is read, or broke off."""

    status: int
    body: bytes
    whole: bool


class Unreachable(Exception):
    """There was no answer. The message says why, in words that are fit for clients."""


class GuardedHttp:
    """Asks URLs that its guard lets through.

    Args:
        guard: says where requests may go.
        timeout: seconds that a request may take, from resolving the name to the answer's last byte.
        tls: whom to trust; by default what the system trusts.
    """

    def __init__(self, guard: Guard, *, timeout: float = 10.0, tls: SSLContext | None = None) -> None:
        self.guard = guard
        self._timeout = timeout
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a POST request and return the answer, whatever its status. Redirects are not followed.

        Raises:
            UrlBlocked: the guard does not let the URL through.
            Unreachable: nobody answered in time.
        """
        target = self.guard.check(url)
        try:
            async with self._open().post(
                target, data=body, headers=dict(headers), allow_redirects=False
            ) as response:
                return await _read(response)
        except TimeoutError:
            raise self._too_slow() from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_reason(error)) from None

    async def download(self, url: str, most: int, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes that a URL leads to, in pieces, none of them empty. To be closed.

        Up to three redirects are followed, each of them through the guard, all in the time of one request.

        Raises:
            UrlBlocked: the guard does not let the URL through, or one that it redirects to.
            Unreachable: nobody answered in time and with 200, or with more than ``most`` bytes.
        """
        ends = asyncio.get_running_loop().time() + self._timeout
        try:
            response = await self._get(url, headers, ends)
            try:
                size = response.content_length or 0
                while size <= most and (piece := await _within(ends, response.content.read(_PIECE))):
                    size = response.content.total_bytes
                    if size <= most:
                        yield piece
                if size > most:
                    raise Unreachable(f"it has more than {most // 1_000_000} MB")
            finally:
                response.close()
        except TimeoutError:
            raise self._too_slow() from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_reason(error)) from None

    async def _get(self, url: str, headers: Mapping[str, str], ends: float) -> aiohttp.ClientResponse:
        """Return the answer that a URL leads to in the end, its body unread."""
        for _ in range(_MOST_REDIRECTS + 1):
            target = self.guard.check(url)
            request = self._open().get(target, headers=headers, allow_redirects=False)
            response = await _within(ends, request)
            if response.status == 200:
                return response
            response.close()
            if response.status not in _REDIRECTS:
                raise Unreachable(f"it answered {response.status}")
            url = _redirect(target, response.headers.get("Location"))
        raise Unreachable(f"it redirects more than {_MOST_REDIRECTS} times")

    def _too_slow(self) -> Unreachable:
        return Unreachable(f"it did not answer within {self._timeout:g} s")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self.guard), use_dns_cache=False, limit=0, ssl=self._tls or True
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "clew"},
            )
        return self._session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _CheckedResolver(AbstractResolver):
    """Gives aiohttp none but checked addresses, to which it then connects.

    aiohttp resolves names only; a host that is an address was checked with the URL.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing to close."""


async def _read(response: aiohttp.ClientResponse) -> Reply:
    """Read an answer as far as is allowed; its status counts even if its body breaks off."""
    body = bytearray()
    try:
        while piece := await response.content.read(BODY_LIMIT + 1 - len(body)):
            body += piece
            if len(body) > BODY_LIMIT:
                response.close()
                return Reply(response.status, bytes(body[:BODY_LIMIT]), False)
    except (aiohttp.ClientError, OSError):  # a time-out is an OSError, too
        response.close()
        return Reply(response.status, bytes(body), False)
    return Reply(response.status, bytes(body), True)


async def _within(ends: float, what: Awaitable[T]) -> T:
    """Wait for something until a moment of the loop's time."""
    async with asyncio.timeout_at(ends):
        return await what


def _redirect(source: URL, location: str | None) -> str:
    try:
        return str(source.join(URL(location or "")))
    except ValueError:
        raise Unreachable("it redirects to what is no URL") from None


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name could not be resolved"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "its TLS certificate or its TLS is not in order"
        case aiohttp.ClientConnectorError():
            return "it could not be connected to"
        case aiohttp.ServerDisconnectedError():
            return "it hung up without an answer"
    return "what it said is not HTTP, or broke off"
