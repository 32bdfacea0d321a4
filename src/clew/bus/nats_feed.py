"""The feed across processes: a subject a project, on which only what somebody wants to hear is told.

A process with a reader announces its interest, at once and every few seconds. Who hears that tells the
project's changes from then on, says so once, and stops when no announcement has come for a while. So
processes need not know each other: one that starts asks who reads, and one that has heard late, whatever
the reason, says so late, upon which the readers look at the rows again.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from clew.bus.feed import Change, Feed, FeedReader
from clew.bus.nats_link import NatsLink

ANNOUNCED_EVERY = 5.0
"""Seconds between two announcements of an interest."""

_EXPIRES = 3 * ANNOUNCED_EVERY
_UNTIL_READY = 0.25
"""Seconds in which the other processes say that they tell. Who is later makes readers look again."""

_WHO_READS = b""
_I_TELL = b""

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Change)
_log = logging.getLogger(__name__)


class NatsFeed(Feed):
    """The feeds of all projects, over a connection that is opened before :meth:`start`."""

    def __init__(self, link: NatsLink) -> None:
        super().__init__()
        self._link = link
        self._subject, self._interest = f"{link.prefix}.feed", f"{link.prefix}.feed-interest"
        self._elsewhere: dict[str, float] = {}
        """The projects that other processes read, each with the time at which that expires."""
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._expiring: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to hear who reads."""
        await self._link.listen(self._interest, self._hear_interest)
        self._link.on_reconnect(self._reconnected)
        self._link.send(self._interest, _WHO_READS)

    def _reconnected(self) -> None:
        """What was told meanwhile is lost, and so may be the interest of others."""
        for project in self._listening:
            self._lose(project)
            self._link.send(self._interest, project.encode())
        self._link.send(self._interest, _WHO_READS)

    def _lose(self, project: str) -> None:
        for reader in self.wanted.get(project, ()):
            reader.lose()

    # --- those who tell --------------------------------------------------------------------------

    async def _hear_interest(self, message: Msg) -> None:
        if message.data == _WHO_READS:
            for project in self._listening:
                self._link.send(self._interest, project.encode())
            return
        project = message.data.decode()
        if project not in self._elsewhere:
            self.wanted.setdefault(project, set())
            self._link.send(self._subject_of(project), _I_TELL)
        self._elsewhere[project] = asyncio.get_running_loop().time() + _EXPIRES
        self._expire_later()

    def _expire_later(self) -> None:
        if self._expiring is None and self._elsewhere:
            self._expiring = asyncio.get_running_loop().call_at(min(self._elsewhere.values()), self._expire)

    def _expire(self) -> None:
        self._expiring = None
        now = asyncio.get_running_loop().time()
        for project in [each for each, until in self._elsewhere.items() if until <= now]:
            del self._elsewhere[project]
            if not self.wanted.get(project):
                self.wanted.pop(project, None)
        self._expire_later()

    def _tell(self, project: str, change: Change) -> None:
        super()._tell(project, change)
        if project in self._elsewhere:
            self._link.send(self._subject_of(project), _encode(change))

    def _subject_of(self, project: str) -> str:
        """Return the project's subject; its name may hold what ends a part of a subject."""
        return f"{self._subject}.{project.encode().hex()}"

    # --- those who read --------------------------------------------------------------------------

    def subscribe(self, project: str, now: Callable[[], int]) -> FeedReader:
        reader = super().subscribe(project, now)
        reader.ready.clear()
        if project not in self._listening:
            self._listening[project] = asyncio.ensure_future(self._listen(project))
        else:
            asyncio.get_running_loop().call_later(_UNTIL_READY, reader.ready.set)
        return reader

    def _forget(self, project: str, reader: FeedReader) -> None:
        readers = self.wanted.get(project, set())
        readers.discard(reader)
        if readers:
            return
        if (listening := self._listening.pop(project, None)) is not None:
            listening.cancel()
        if project not in self._elsewhere:
            self.wanted.pop(project, None)

    async def _listen(self, project: str) -> None:
        async def hear(message: Msg) -> None:
            self._hear(project, message.data)

        subscription = await self._link.listen(self._subject_of(project), hear)
        try:
            self._link.send(self._interest, project.encode())
            await asyncio.sleep(_UNTIL_READY)
            for reader in self.wanted.get(project, ()):
                reader.ready.set()
            while True:
                await asyncio.sleep(ANNOUNCED_EVERY)
                self._link.send(self._interest, project.encode())
        finally:
            await self._link.ignore(subscription)

    def _hear(self, project: str, data: bytes) -> None:
        readers = self.wanted.get(project, ())
        if data == _I_TELL:
            for reader in readers:
                if reader.ready.is_set():  # it has read the rows, and this process had told nothing yet
                    reader.lose()
            return
        try:
            change = _decoder.decode(data)
        except msgspec.MsgspecError:
            _log.warning("project %s: another process tells of a run in words unknown here", project)
            return
        for reader in readers:
            reader.add(change)
