"""Outgoing HTTP to URLs that clients give: guarded, bounded in time and size, and without redirects."""

import socket
from collections.abc import Mapping
from ssl import SSLContext

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from clew.net.guard import Guard

BODY_LIMIT = 64 * 1024
"""Bytes of an answer that are read."""


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
            raise Unreachable(f"it did not answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_reason(error)) from None

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
