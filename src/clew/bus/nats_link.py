"""This process's connection to NATS: what is published goes out in order, and nobody waits for it.

What processes tell each other is sealed (:mod:`clew.bus.seal`); what is not, never reaches a handler. Only
what is said to and by the server itself, JetStream's commands, is not.

While the server is away, what is published is held back by the client library as far as its buffer
goes, and lost beyond that: the rows have it all, and the sweep and the readers look there.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from clew.bus.bus import BusError
from clew.bus.nats_access import BusAddress, Refusals, StrictClient, options, shown, what_to_do
from clew.bus.seal import TAG, Dropped, Seal

Handler = Callable[[Msg], Awaitable[None]]

_CONNECT_TIMEOUT = 5.0
_MOST_WAITING = 100_000
"""Messages that wait to go out, beyond which the oldest are dropped."""

_NOBODY_LISTENS = "503"
"""The server's answer to a request on a subject without listeners."""

_log = logging.getLogger(__name__)


class NobodyListens(Exception):
    """A request on a subject on which nobody listens."""


class NatsLink:
    """A connection to NATS, made by :meth:`open`; it comes back by itself when it is lost.

    Args:
        address: where the servers are.
        prefix: begins every subject and every stream's name, so that installations can share a server.
        secret: the installation's, which tells its own messages from those of others.
    """

    def __init__(self, address: BusAddress, prefix: str, secret: bytes) -> None:
        self._address = address
        self.prefix = prefix
        self._seal = Seal(secret)
        self.dropped = Dropped(time.monotonic)
        self._client = StrictClient()
        self._outbox: deque[tuple[str, bytes, str]] = deque(maxlen=_MOST_WAITING)
        self._fresh = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._on_reconnect: list[Callable[[], None]] = []
        self._closing = False
        self._begun = False
        self._refusals = Refusals(len(address.servers))

    async def open(self, name: str) -> None:
        """Connect; ``name`` is shown in the server's monitoring.

        Raises:
            BusError: no server answers, or none lets us in.
        """
        try:
            access = options(self._address)
        except (OSError, ValueError) as error:
            raise BusError(str(error)) from error
        self._begun = True
        try:
            await self._connect(name, access)
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            servers = ", ".join(map(shown, self._address.servers))
            why = self._refusals.last or error
            raise BusError(what_to_do(servers, why)) from why
        self._sender = asyncio.ensure_future(self._send())

    async def _connect(self, name: str, access: dict[str, Any]) -> None:
        """Connect to whichever server answers first.

        Raises:
            TimeoutError: none does, or each has turned us away.
        """
        connecting = self._client.connect(
            servers=self._address.servers,
            name=name,
            no_echo=True,
            inbox_prefix=f"{self.prefix}.inbox",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # declared as int, used in asyncio.sleep
            ping_interval=5,
            max_outstanding_pings=2,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            error_cb=self._refusals.add,
            **access,
        )
        await _unless(self._refusals.by_all, connecting, _CONNECT_TIMEOUT)

    async def permitted(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the server may not permit: it says so, but not in answer to what was asked.

        Raises:
            BusError: it has said so.
        """
        try:
            await _unless(self._refusals.forbidden, work)
        except TimeoutError:
            if not self._refusals.forbidden.is_set():
                raise
            raise BusError(
                f"The NATS server does not permit what Clew needs ({self._refusals.forbidden_what}). "
                "docs/operations.md has an example of its configuration."
            ) from None

    @property
    def up(self) -> bool:
        """Whether the connection stands now."""
        return self._client.is_connected

    @property
    def jetstream(self) -> JetStreamContext:
        return self._client.jetstream()

    @property
    def largest(self) -> int:
        """The bytes of the largest message that the server takes from us."""
        return self._client.max_payload - TAG

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

    def send(self, subject: str, payload: bytes) -> None:
        """Tell other processes something soon, after all that was sent before. Never waits, never fails."""
        self.command(subject, self._seal.close(subject, payload))

    def command(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Tell the server itself something, just so."""
        self._outbox.append((subject, payload, reply))
        self._fresh.set()

    def sealed(self, subject: str, payload: bytes) -> bytes:
        """Return a message as :meth:`send` would send it."""
        return self._seal.close(subject, payload)

    def opened(self, message: Msg, reply: str = "") -> bytes | None:
        """Return what a process of ours has sent; None, and it is counted, if none has sent this.

        ``reply`` is where it wanted answers.
        """
        payload = self._seal.open(message.subject, message.data, reply)
        if payload is None:
            self.dropped.add(message.subject)
        return payload

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
        """Return the first answer of ours to a request; None if there was none in time."""
        try:
            return await self.answer_to(subject, payload, seconds)
        except (NatsError, TimeoutError, OSError, NobodyListens):
            return None

    async def answer_to(self, subject: str, payload: bytes, seconds: float) -> bytes:
        """Return the first answer of ours to a request.

        Raises:
            NobodyListens: there is nobody who could answer.
            TimeoutError: nobody has answered in time.
            NatsError, OSError: it could not be sent.
        """
        inbox = self.new_inbox()
        answers = await self._client.subscribe(inbox)
        try:
            await self._client.publish(subject, self._seal.close(subject, payload, inbox), inbox)
            async with asyncio.timeout(seconds):
                return await self._first_answer(answers)
        finally:
            await self.ignore(answers)

    async def _first_answer(self, answers: Subscription) -> bytes:
        while True:
            answer = await answers.next_msg(timeout=None)
            if (answer.headers or {}).get("Status") == _NOBODY_LISTENS:
                raise NobodyListens
            if (payload := self.opened(answer)) is not None:
                return payload

    async def listen(self, subject: str, handler: Handler) -> Subscription:
        """Have a handler called with every message of ours on a subject, one after another."""

        async def check(message: Msg) -> None:
            payload = self.opened(message, message.reply)
            if payload is not None:
                message.data = payload
                await handler(message)

        return await self.listen_to_server(subject, check)

    async def listen_to_server(self, subject: str, handler: Handler) -> Subscription:
        """Have a handler called with whatever comes on a subject: the server's own words are not sealed."""
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
        if self._client.is_closed or not self._begun:
            return
        while self._outbox and self.up:
            subject, payload, reply = self._outbox.popleft()
            await self._client.publish(subject, payload, reply)
        await self._client.close()


async def _unless(
    event: asyncio.Event, work: Coroutine[Any, Any, None], seconds: float | None = None
) -> None:
    """Do some work, as long as something has not happened.

    Raises:
        TimeoutError: it has, or so many seconds are over.
    """
    working, happening = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((working, happening), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise TimeoutError
        await working
    finally:
        for task in (working, happening):
            task.cancel()
        await asyncio.gather(working, happening, return_exceptions=True)
