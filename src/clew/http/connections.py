"""Bounds on connections: how many there are, how long a request may take to come, how slowly it may be read.

Everything here holds before a key is looked at. Once a second all connections are looked at; a request itself
costs two readings of the clock, and no timer.
"""

import asyncio
import logging
import socket
import struct
from collections import Counter
from typing import Any, NamedTuple

from clew.http.coalescing import CoalescingProtocol
from clew.http.proxies import TrustedProxies
from clew.http.wrong_keys import network_of
from clew.wire.errors import ApiError

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's line and headers, and of trailers."""

HEAD_TIME = 15.0
"""Seconds in which a request's head must have come, the first one's since the connection was made."""

BODY_PAUSE, BODY_TIME, BODY_RATE = 30.0, 300.0, 64 * 1024
"""Seconds without a byte of a body, in which all of it must have come, and the bytes a second for which it is
given more: a file takes its time."""

READER_PAUSE = 30.0
"""Seconds in which a reader takes nothing of what waits for it, after which it is cut."""

MOST_WAITING = 64 * 1024 * 1024
"""Bytes that may wait for the readers of one project: beyond, who has stood still longest is cut."""

_LOOK_EVERY = 1.0
_TOLD_EVERY = 60.0
_LET_GO = 5.0
"""Seconds that somebody who is refused is given to read why."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""Has the system forget what waits for a reader, instead of keeping it until it is read."""

_log = logging.getLogger(__name__)


class Caps(NamedTuple):
    """How many connections there may be: in all, and from one address."""

    in_all: int
    an_address: int


class Watch:
    """Watches over the connections of a server.

    Attributes:
        caps: how many there may be.
        met: how often each bound was met.
    """

    def __init__(self, caps: Caps, proxies: TrustedProxies | None = None) -> None:
        """Watch with bounds; the one of an address does not hold for ``proxies``, who speak for many."""
        self.caps = caps
        self._proxies = proxies or TrustedProxies()
        self.met: Counter[str] = Counter()
        self._connections: set[WatchedProtocol] = set()
        self._addresses: Counter[str] = Counter()
        self._told: dict[str, float] = {}

    def enter(self, connection: "WatchedProtocol") -> None:
        """Take a connection in, or refuse it."""
        self._connections.add(connection)
        address = connection.address
        self._addresses[connection.network] += 1
        if len(self._connections) > self.caps.in_all:
            self.tell("connections", f"{self.caps.in_all:,} connections are open; more are refused", address)
        elif self._addresses[connection.network] > self.caps.an_address and address not in self._proxies:
            what = f"{self.caps.an_address:,} connections of one address are open; more of its are refused"
            self.tell("connections of one address", what, address)
        else:
            return
        connection.refuse(503, "The server has as many connections as it takes. Try again in a moment.")

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def leave(self, connection: "WatchedProtocol") -> None:
        """Forget a connection."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._addresses[connection.network] -= 1
        if not self._addresses[connection.network]:
            del self._addresses[connection.network]

    async def run(self) -> None:
        """Look at all connections, again and again."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                self.look(asyncio.get_running_loop().time())
            except Exception:
                _log.exception("the look at the connections broke off")

    def look(self, now: float) -> None:
        """End what takes too long."""
        standing: list[tuple[float, int, str, WatchedProtocol]] = []
        for connection in list(self._connections):
            connection.look(now)
            if (size := connection.waiting_bytes()) > 0:
                standing.append((connection.moved_at, size, connection.project, connection))
        waiting: Counter[str] = Counter()
        for _, size, project, _ in standing:
            waiting[project] += size
        for _, size, project, connection in sorted(standing, key=lambda each: each[0]):
            if waiting[project] > MOST_WAITING:
                waiting[project] -= size
                connection.cut("too much waits for the slow readers of one project; one was cut")

    def tell(self, bound: str, what: str, address: str) -> None:
        """Note that a bound was met; say so once a minute."""
        self.met[bound] += 1
        now = asyncio.get_running_loop().time()
        if now - self._told.get(bound, -_TOLD_EVERY) >= _TOLD_EVERY:
            self._told[bound] = now
            _log.warning("%s (last by %s; %d times since the start)", what, address, self.met[bound])


class WatchedProtocol(CoalescingProtocol):
    """One connection, with its bounds."""

    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch
        self._request: Any = None
        self._received = 0
        self._since = self._heard_at = self.moved_at = 0.0
        self._left: int | None = None
        """Bytes that waited for the reader when it was last looked at."""
        self._refused = False
        self._answering: Any = None
        """The request whose answer is under way: of several that came at once not the last, which is read."""
        self.network = ""
        """What counts as one address."""

    @property
    def address(self) -> str:
        """Whose connection it is."""
        return self.client[0] if self.client else "a local socket"

    @property
    def project(self) -> str:
        """The project whose answer is under way, if that is known."""
        return "" if self._answering is None else str(self._answering.scope.get("clew.project", ""))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self._heard_at = self.loop.time()
        self.network = network_of(self.address)
        self._watch.enter(self)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        cycle.scope["clew.hang_up"] = self._hang_up
        super()._start_asgi_task(cycle, app)

    def _hang_up(self) -> None:
        """Break the connection in the middle of an answer."""
        self._answering.disconnected = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        self._heard_at = self.loop.time()
        if self.scope is not self._request:
            self._request, self._received, self._since = self.scope, 0, self._heard_at
        self._received += len(data)
        if self._received > HEAD_LIMIT:
            self._check_head()

    @property
    def _in_head(self) -> bool:
        return self.scope is None or "method" not in self.scope

    def _check_head(self) -> None:
        """Refuse a head, or trailers, without end; called where more has come than a head may have."""
        size = sum(len(name) + len(value) for name, value in self.headers or ())
        if self._in_head or size > HEAD_LIMIT:
            self._watch.tell("a request's head", "a request's head was too long", self.address)
            self.refuse(431, f"The line and headers of a request may have {HEAD_LIMIT:,} bytes.")

    def look(self, now: float) -> None:
        """End what takes too long."""
        cycle = self.cycle
        if self._refused:
            if now - self._since > _LET_GO:
                self.transport.abort()
        elif self._in_head:
            if now - self._since > HEAD_TIME:
                self._refuse_slow("a request's head", "a request's head did not come in time")
        elif cycle is None or cycle.response_complete:
            if self.timeout_keep_alive_task is None and now - self._heard_at > self.timeout_keep_alive:
                self.transport.close()
        elif (
            cycle.more_body
            and not self.flow.read_paused
            and (now - self._heard_at > BODY_PAUSE or now - self._since > self._time_for_body())
        ):
            self._refuse_slow("a request's body", "a request's body did not come in time")
        self._look_at_reader(now)

    def _time_for_body(self) -> float:
        return BODY_TIME + self._received / BODY_RATE

    def _look_at_reader(self, now: float) -> None:
        left = self.waiting_bytes()
        if self._left is None or left < self._left or not left:
            self.moved_at = now
        self._left = left
        if left and now - self.moved_at > READER_PAUSE:
            self.cut("a reader took nothing for too long, and was cut")

    def waiting_bytes(self) -> int:
        """Return how many bytes wait for a reader who is behind."""
        if self.flow is None or not self.flow.write_paused or self.transport.is_closing():
            return 0
        return int(self.transport.get_write_buffer_size())

    def cut(self, why: str) -> None:
        """End the connection of a reader who is too slow."""
        self._watch.tell("slow readers", why, self.address)
        if (connected := self.transport.get_extra_info("socket")) is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def _refuse_slow(self, bound: str, what: str) -> None:
        self._watch.tell(bound, what, self.address)
        self.refuse(408, "Your request did not come in time.")

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error, if nothing was answered yet, and end the connection."""
        self._refused, self._since = True, self.loop.time()
        if self._may_answer():
            body = ApiError(status, message).encode()
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        self.transport.close()

    def _may_answer(self) -> bool:
        """Whether what is written now is the answer to what is read now, and not a part of another."""
        under_way = self._answering
        if under_way is None or under_way.response_complete:
            return True
        return under_way is self.cycle and not under_way.response_started and not self._in_head


_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}
