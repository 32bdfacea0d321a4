"""Live events over NATS: any process can serve a reader of any run.

Whoever works on a run publishes its events; a process with a reader of that run listens, and asks once
for the window of what came before. So the bus keeps nothing: windows are kept by those who work and by
those who read, positions tell what follows on what, and where something is missing the rows have it.
A run whose readers can only be here is not published at all.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
from nats.aio.msg import Msg

from clew.bus import packets
from clew.bus.local_events import LocalEvents, LocalSubscription, Window
from clew.bus.nats_feed import NatsFeed
from clew.bus.nats_link import NatsLink
from clew.core.entries import ENDINGS, Entry

_WINDOW_TIMEOUT = 0.25
"""Seconds in which whoever works on a run sends its window."""

_GRACE = 0.2
"""Seconds in which the readers of a run that is over, or waits, have left."""

_log = logging.getLogger(__name__)


class NatsEvents:
    """Windows of runs that this process works on, or that somebody here reads wherever they are worked on.

    Args:
        link: the connection, opened before :meth:`start`.
        works_on: tells whether this process works on a run.
    """

    def __init__(self, link: NatsLink, works_on: Callable[[str], bool]) -> None:
        self.link, self.works_on = link, works_on
        self.local = LocalEvents(self._unread)
        self.turnstile = self.local.turnstile
        self.feed = NatsFeed(link)
        self.subject = f"{link.prefix}.events"
        self.windows = f"{link.prefix}.windows"
        self._ends: dict[str, int] = {}
        self._private: set[str] = set()
        self._remote: dict[str, _Remote] = {}

    async def start(self) -> None:
        """Begin to tell other processes what they ask for."""
        await self.link.listen(self.windows, self._tell_window)
        self.link.on_reconnect(self._reconnected)
        await self.feed.start()

    # --- those who work --------------------------------------------------------------------------

    def publish(self, run_id: str, entries: Sequence[Entry]) -> None:
        if entries:
            self.local.publish(run_id, entries)
            self._send(run_id, entries, commit=False)

    def committed(self, run_id: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if self.feed.wanted:
            self.feed.tell(entries)
        works_here = self.works_on(run_id)
        if works_here and entries[0].position == 1:  # it was made here: nobody elsewhere knows of it
            self._private.add(run_id)
        if works_here or self.local.window(run_id) is not None:
            self.local.committed(run_id, entries)
        self._send(run_id, entries, commit=True)
        if entries[-1].kind in ENDINGS:
            self._forget(run_id)

    def left(self, run_id: str) -> None:
        self._forget(run_id)
        window = self.local.window(run_id)
        if window is not None:
            # Most readers are about to leave too: the run is over, or waits.
            asyncio.get_running_loop().call_later(_GRACE, self._join_if_read, run_id, window)

    def _join_if_read(self, run_id: str, window: Window) -> None:
        if window is not self.local.window(run_id) or self.works_on(run_id):
            return
        if window.readers:
            self._join(run_id)
        else:
            self.local.drop(run_id)

    def _forget(self, run_id: str) -> None:
        self._ends.pop(run_id, None)
        self._private.discard(run_id)

    def _send(self, run_id: str, entries: Sequence[Entry], *, commit: bool) -> None:
        before = self._ends.get(run_id, entries[0].position - 1)
        if self.works_on(run_id):
            self._ends[run_id] = entries[-1].end
        if run_id in self._private:
            return
        data = packets.encode(before, entries, commit=commit)
        if len(data) > self.link.largest:
            data = packets.encode(before, (), commit=commit)
        self.link.send(f"{self.subject}.{run_id}", data)

    async def _tell_window(self, message: Msg) -> None:
        """Send the window of a run that this process works on. From now on it has readers elsewhere."""
        run_id = message.data.decode()
        window = self.local.window(run_id)
        if window is None or not self.works_on(run_id):
            return
        self._private.discard(run_id)
        data = packets.encode(0, window.entries, commit=True)
        if len(data) <= self.link.largest:
            self.link.send(message.reply, data)

    # --- those who read --------------------------------------------------------------------------

    def wake_readers(self) -> None:
        self.local.wake_readers()

    def subscribe(self, run_id: str) -> LocalSubscription:
        subscription = self.local.subscribe(run_id)
        if not self.works_on(run_id):
            self._join(run_id)
        return subscription

    def _join(self, run_id: str) -> None:
        if run_id not in self._remote:
            self._remote[run_id] = _Remote(self, run_id)

    def _unread(self, run_id: str) -> None:
        """Nobody here reads the run any more."""
        if (remote := self._remote.pop(run_id, None)) is not None:
            remote.close()
            if not self.works_on(run_id):
                self.local.drop(run_id)

    def _reconnected(self) -> None:
        for remote in self._remote.values():
            remote.look_again()


class _Remote:
    """A run that is read here and, as far as is known, worked on elsewhere."""

    def __init__(self, events: NatsEvents, run_id: str) -> None:
        self._events, self._run_id = events, run_id
        self._missing = asyncio.Event()
        self._task = asyncio.ensure_future(self._follow())

    def look_again(self) -> None:
        """Ask for the window once more: something may have been missed."""
        self._missing.set()

    def close(self) -> None:
        """Listen no more."""
        self._task.cancel()

    async def _follow(self) -> None:
        link, subject = self._events.link, f"{self._events.subject}.{self._run_id}"
        subscription = await link.listen(subject, self._receive)
        try:
            while True:
                await self._ask()
                await self._missing.wait()
                self._missing.clear()
        finally:
            await link.ignore(subscription)

    async def _ask(self) -> None:
        """Take over the window of whoever works on the run. What is published later follows on it."""
        window = self._events.local.window(self._run_id)
        before = None if window is None else window.end
        asked = self._run_id.encode()
        data = await self._events.link.ask(self._events.windows, asked, _WINDOW_TIMEOUT)
        window = self._events.local.window(self._run_id)
        if window is None:
            return
        entries = [] if data is None else packets.decode(data).entries()
        if entries and entries[-1].end >= (window.end or 0):
            window.begin_anew(entries)
        elif window.end == before:  # nobody works on it now: the rows say what happened meanwhile
            window.begin_anew(())

    async def _receive(self, message: Msg) -> None:
        window = self._events.local.window(self._run_id)
        if window is None or self._events.works_on(self._run_id):
            return
        try:
            packet = packets.decode(message.data)
            entries = packet.entries()
        except (msgspec.MsgspecError, KeyError):
            _log.warning("run %s: another process tells of it in words unknown here", self._run_id)
            return
        end = window.end
        new = [entry for entry in entries if end is None or entry.end > end]
        if entries and not new:
            return
        if not entries or (end is not None and packet.before > end):  # something is missing here
            window.begin_anew(new)
            self._missing.set()
        elif packet.commit:
            window.commit(new)
        else:
            window.add(new)
