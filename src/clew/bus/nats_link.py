"""This process's connection to NATS: what is published goes out in order, and nobody waits for it.

While the server is away, what is published is held back by the client library as far as its buffer
goes, and lost beyond that: the rows have it all, and the sweep and the readers look there.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.client import JetStreamContext

from clew.bus.bus import BusError

Handler = Callable[[Msg], Awaitable[None]]

_CONNECT_TIMEOUT = 5.0
_MOST_WAITING = 100_000
"""Messages that wait to go out, beyond which the oldest are dropped."""

_log = logging.getLogger(__name__)


class NatsLink:
    """A connection to NATS, made by :meth:`open`; it comes back by itself when it is lost.

    Args:
        url: ``nats://host:4222``, or several such with commas between them.
        prefix: begins every subject and every stream's name, so that installations can share a server.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._servers = [part.strip() for part in url.split(",")]
        self.prefix = prefix
        self._client = Client()
        self._outbox: deque[tuple[str, bytes, str]] = deque(maxlen=_MOST_WAITING)
        self._fresh = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._on_reconnect: list[Callable[[], None]] = []
        self._closing = False

    async def open(self, name: str) -> None:
        """Connect; ``name`` is shown in the server's monitoring.

        Raises:
            BusError: no server answers.
        """
        try:
            await self._connect(name)
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            raise BusError(
                f"No NATS server answers at {', '.join(map(_shown, self._servers))} "
                f"({type(error).__name__}). "
                "Start one with JetStream (nats-server -js), or correct CLEW_BUS_URL."
            ) from error
        self._sender = asyncio.ensure_future(self._send())

    async def _connect(self, name: str) -> None:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await self._client.connect(
                servers=self._servers,
                name=name,
                no_echo=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.5,  # type: ignore[arg-type]  # declared as int, used in asyncio.sleep
                ping_interval=5,
                max_outstanding_pings=2,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
                error_cb=_complain,
            )

    @property
    def up(self) -> bool:
        """Whether the connection stands now."""
        return self._client.is_connected

    @property
    def jetstream(self) -> JetStreamContext:
        return self._client.jetstream()

    @property
    def largest(self) -> int:
        """The bytes of the largest message that the server takes."""
        return self._client.max_payload

    def on_reconnect(self, function: Callable[[], None]) -> None:
        """Have a function called whenever a lost connection has come back."""
        self._on_reconnect.append(function)

    async def _disconnected(self) -> None:
        if not self._closing:
            _log.warning("the bus is away; runs go on, and it is asked again and again")

    async def _reconnected(self) -> None:
        _log.info("the bus is back")
        for function in self._on_reconnect:
            function()

    def send(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Publish soon, after all that was sent before. Never waits, and never fails."""
        self._outbox.append((subject, payload, reply))
        self._fresh.set()

    async def _send(self) -> None:
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            while self._outbox:
                subject, payload, reply = self._outbox.popleft()
                try:
                    await self._client.publish(subject, payload, reply)
                except (NatsError, OSError) as error:
                    _log.warning("the bus does not take a message: %s", error)

    async def ask(self, subject: str, payload: bytes, seconds: float) -> bytes | None:
        """Return the first answer to a request; None if there was none in time."""
        try:
            return (await self._client.request(subject, payload, timeout=seconds)).data
        except (NatsError, NoRespondersError, TimeoutError, OSError):
            return None

    async def listen(self, subject: str, handler: Handler) -> Subscription:
        """Have a handler called with every message of a subject, one after another."""
        return await self._client.subscribe(subject, cb=handler)

    async def ignore(self, subscription: Subscription) -> None:
        """End what :meth:`listen` began."""
        with suppress(NatsError):  # the connection is closed
            await subscription.unsubscribe()

    def new_inbox(self) -> str:
        """Return a subject of this connection's own."""
        return self._client.new_inbox()

    async def close(self) -> None:
        """Send what still waits, then disconnect."""
        self._closing = True
        if self._sender is not None:
            self._sender.cancel()
        if self._client.is_closed:
            return
        while self._outbox and self.up:
            subject, payload, reply = self._outbox.popleft()
            await self._client.publish(subject, payload, reply)
        await self._client.close()


async def _complain(error: Exception) -> None:
    _log.debug("nats: %s", error)


def _shown(url: str) -> str:
    """Return a server's URL without the password in it."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest
