"""What every client is reduced to: send a request, read a stream. The vendor's client signs it,
retries it and knows where the service is; what the answers mean is the same for all of them.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias

from msgspec import Struct

from clew.daemons import in_daemon_thread
from clew.toolkit.records import Json

Query: TypeAlias = Mapping[str, str | int]


class Request(Struct, frozen=True, kw_only=True):
    """A request below the API's root.

    Attributes:
        path: such as ``/threads/thread_x``.
        key: sent as ``Idempotency-Key``, the same for every attempt.
    """

    method: str
    path: str
    query: Query = {}
    body: Json | None = None
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that belong to this request."""
        return {} if self.key is None else {"Idempotency-Key": self.key}


class Answer(Struct, frozen=True):
    """A whole answer; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reading(Struct, frozen=True):
    """An answer that is still being read."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """One client's way to the service.

    Both methods raise :class:`clew.toolkit.errors.ConnectionFailed` when there is no answer; an
    answer with an error status is an answer.
    """

    retries: bool
    """Whether the client repeats failed requests by itself, as the vendors' do."""

    idempotent: bool
    """Whether the service is known to carry out requests with the same key only once."""

    async def send(self, request: Request) -> Answer:
        """Send a request and return the whole answer."""
        ...

    def open(self, request: Request) -> AbstractAsyncContextManager[Reading]:
        """Send a request whose answer is read piece by piece."""
        ...

    async def aclose(self) -> None:
        """Close what this transport opened itself. A client that was given stays open."""
        ...


class PlainReading(Struct, frozen=True):
    """A :class:`Reading` of a synchronous client. ``close`` may be called from another thread."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


class PlainClient(Protocol):
    """A synchronous client, as plain blocking functions."""

    def send(self, request: Request) -> Answer:
        """Like :meth:`Transport.send`."""
        ...

    def open(self, request: Request) -> PlainReading:
        """Like :meth:`Transport.open`."""
        ...


class ThreadTransport:
    """A synchronous client as a transport: every request runs in a thread of its own."""

    retries = True
    idempotent = False

    def __init__(self, client: PlainClient) -> None:
        self._client = client

    async def send(self, request: Request) -> Answer:
        return await in_daemon_thread(self._client.send, request)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Reading]:
        opening = _Opening(self._client, request)
        try:
            plain = await in_daemon_thread(opening.open)
        except BaseException:
            opening.leave()
            raise
        pump = _Pump(plain)
        try:
            yield Reading(plain.status, plain.headers, pump.chunks())
        finally:
            pump.stop()

    async def aclose(self) -> None:
        pass


class _Opening:
    """A stream being opened in a thread, which whoever wanted it may leave meanwhile."""

    def __init__(self, client: PlainClient, request: Request) -> None:
        self._client = client
        self._request = request
        self._lock = threading.Lock()
        self._left = False
        self._plain: PlainReading | None = None

    def open(self) -> PlainReading:
        plain = self._client.open(self._request)
        with self._lock:
            self._plain = plain
            if self._left:
                plain.close()
        return plain

    def leave(self) -> None:
        """Close the stream, now or as soon as it is there."""
        with self._lock:
            self._left = True
            if self._plain is not None:
                self._plain.close()


class _Pump:
    """Moves the pieces of a blocking stream from one thread into the event loop.

    The queue is unbounded: what it may hold is one run's stream, and a reader that is slow for a
    moment must not keep the connection from being read.
    """

    def __init__(self, plain: PlainReading) -> None:
        self._plain = plain
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._stopped = False
        self._task = asyncio.ensure_future(in_daemon_thread(self._read))

    async def chunks(self) -> AsyncIterator[bytes]:
        while (piece := await self._queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def stop(self) -> None:
        """Stop to read. The thread notices at the next piece, which a keep-alive brings at the latest."""
        self._stopped = True
        self._task.cancel()

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for piece in self._plain.chunks:
                if self._stopped:
                    return
                self._put(piece)
        except Exception as error:
            end = error
        finally:
            self._plain.close()
            self._put(end)

    def _put(self, piece: bytes | BaseException | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)
