"""Clew's own client: a URL and a key, nothing else to install."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import httpx2

from clew.toolkit.clients.transport import Answer, Query, Reading, Request
from clew.toolkit.errors import AnswerTimedOut, ConnectionFailed, StreamLost

_SILENCE = 60.0
"""Seconds a connection may stay silent; a stream of Clew sends something at least every 15."""


class ClewTransport:
    """HTTP to any server of this API; one pool of connections for each event loop that uses it."""

    retries = False

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        ca_bundle: Path | str | None = None,
        timeout: float = _SILENCE,
        query: Query | None = None,
        idempotent: bool = True,
    ) -> None:
        """Prepare a transport; nothing is sent yet.

        Args:
            base_url: the root of the API, such as ``http://127.0.0.1:8787/v1``; a project endpoint
                (``.../api/projects/name``) does too.
            api_key: sent as ``Authorization: Bearer``.
            ca_bundle: a PEM file with the authorities to trust, instead of the usual ones.
            timeout: seconds without a byte after which a connection counts as lost.
            query: parameters to add to every request, such as ``{"api-version": "v1"}``.
            idempotent: whether the service honours ``Idempotency-Key``, as Clew does: then a request
                whose answer was lost is repeated without harm.
        """
        self.base_url = base_url.rstrip("/")
        self.idempotent = idempotent
        self._headers = {"OpenAI-Beta": "assistants=v2", "Accept": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._ca_bundle = ca_bundle
        self._timeout = timeout
        self._query = dict(query or {})
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient]
        self._clients = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<ClewTransport {self.base_url}>"

    async def send(self, request: Request) -> Answer:
        with _errors():
            response = await self._client.send(self._built(request))
        return Answer(response.status_code, response.headers, response.content)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Reading]:
        with _errors():
            response = await self._client.send(self._built(request), stream=True)
        try:
            yield Reading(response.status_code, response.headers, self._chunks(response))
        finally:
            await response.aclose()

    @staticmethod
    async def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
        with _errors(streaming=True):
            async for chunk in response.aiter_bytes():
                yield chunk

    async def aclose(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @property
    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx2.AsyncClient(
                base_url=self.base_url,
                headers=self._headers,
                timeout=self._timeout,
                verify=ssl.create_default_context(cafile=self._ca_bundle),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            )
        return self._clients[loop]

    def _built(self, request: Request) -> httpx2.Request:
        return self._client.build_request(
            request.method,
            request.path,
            params={**self._query, **request.query} or None,
            headers=request.headers,
            json=request.body,
        )


@contextmanager
def _errors(*, streaming: bool = False) -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        what = str(error) or type(error).__name__
        if streaming:
            raise StreamLost(f"The stream broke off: {what}") from error
        sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        kind = AnswerTimedOut if isinstance(error, httpx2.TimeoutException) else ConnectionFailed
        raise kind(f"No answer from the service: {what}.", sent=sent) from error
