"""Live events in one process: a short window of each run's journal, shared by its readers.

A reader holds a position and nothing else, so a thousand readers cost as much as one, and a slow one
costs nothing: what has left the window it takes from the rows.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from clew.bus.events import Made, Make
from clew.bus.feed import Feed
from clew.bus.turnstile import Turnstile
from clew.core.entries import ENDINGS, Entry, joined, trimmed

_APART = 64
"""Events that a reader gets one by one, if it lacks no more."""

_MADE_KEPT = 8
"""Positions for which what was made is kept: nearly all readers stand at one, and others as they join."""

_MERGE_AT = 4096
"""Pieces of text in a window, beyond which those of one text become one."""


class Window:
    """The newest events of one run."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.readers: set[LocalSubscription] = set()
        self.at_work = True
        self._ends: list[int] = []
        """Where each of the events ends."""
        self._last_commit = 0
        self._newest: Sequence[Entry] = ()
        self._before: int | None = None
        """Where what stood here ended before the newest events were added; None if that is not known."""
        self._made: dict[tuple[int, Make[Any]], Made[Any]] = {}
        """What was made of the events behind a position, for the next who stands there."""

    @property
    def end(self) -> int | None:
        """Where the window ends; None if it is empty."""
        return self._ends[-1] if self._ends else None

    def since(self, position: int) -> Sequence[Entry] | None:
        """Return the events that end after a position; None if the one right after it is not here."""
        if not self.entries or self.entries[0].position > position + 1:
            return None
        return self.entries[bisect_left(self._ends, position + 1) :]

    def made(self, position: int, make: Make[Any], *, merge: bool) -> Made[Any] | None:
        """Return what is made of the events after a position, made once for all who stand there.

        Pieces that follow each other become one with ``merge``, or if they are many.
        """
        if (known := self._made.get((position, make))) is not None:
            return known
        if position == self._before:  # where nearly all readers stand
            left: Sequence[Entry] | None = self._newest
        elif (left := self.since(position)) is not None:
            left = [rest for entry in left if (rest := trimmed(entry, position)) is not None]
        if left is None:
            return None
        end = self._ends[-1] if left else position
        if merge or len(left) > _APART:
            left = joined(left)
        if len(self._made) >= _MADE_KEPT:
            self._made.clear()
        known = self._made[position, make] = Made(end, make(left))
        return known

    def begin_anew(self, entries: Sequence[Entry]) -> None:
        """Hold these events and no others."""
        self._hold(entries)
        self._last_commit = 0
        self.wake()

    def wake(self) -> None:
        """Have every reader look."""
        for reader in self.readers:
            reader.wake()
            reader.wake_for_commit()

    def add(self, entries: Sequence[Entry]) -> None:
        """Hold these events too."""
        self._close_gap(entries)
        follows = entries[0].position - 1
        self._before = follows if not self._ends or self._ends[-1] == follows else None
        self._newest = entries
        self.entries.extend(entries)
        self._ends.extend([entry.end for entry in entries])
        if len(self.entries) > _MERGE_AT:
            self._hold(joined(self.entries))
        self._made.clear()
        for reader in self.readers:
            reader.wake()

    def commit(self, entries: Sequence[Entry]) -> None:
        """Keep what came since the commit before: that much even a quick reader may still lack."""
        self._close_gap(entries)
        self._begin_with(self.entries[self._last_commit :], self._ends[self._last_commit :])
        self._last_commit = len(self.entries)
        self.at_work = entries[-1].kind not in ENDINGS
        self.add(entries)
        for reader in self.readers:
            reader.wake_for_commit()

    def _hold(self, entries: Sequence[Entry]) -> None:
        self._begin_with(list(entries), [entry.end for entry in entries])

    def _begin_with(self, entries: list[Entry], ends: list[int]) -> None:
        self.entries, self._ends = entries, ends
        self._before = None
        self._made.clear()

    def _close_gap(self, entries: Sequence[Entry]) -> None:
        """Hold nothing before a gap: whoever stands there takes what is missing from the rows.

        There is one when this process takes a run over from another that had committed more than it told.
        """
        if self._ends and entries[0].position > self._ends[-1] + 1:
            self._hold(())
            self._last_commit = 0


class LocalSubscription:
    """A reader's view of a window."""

    def __init__(
        self, window: Window, turnstile: Turnstile, forget: Callable[["LocalSubscription"], None]
    ) -> None:
        self._window, self._turnstile, self._forget = window, turnstile, forget
        self._called = self._late = False
        self._waiter: asyncio.Future[None] | None = None
        self._commits = asyncio.Event()

    def wake(self) -> None:
        """Say that there is something new."""
        if self._called:
            return
        self._called = True
        if self._waiter is not None:
            self._late = self._turnstile.full
            self._turnstile.enter(self._go)

    def _go(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def wake_for_commit(self) -> None:
        """Say that something that lasts has happened."""
        self._commits.set()

    @property
    def start(self) -> int | None:
        entries = self._window.entries
        return entries[0].position if entries else None

    def since(self, position: int) -> Sequence[Entry] | None:
        return self._window.since(position)

    def made(self, position: int, make: Make[Any]) -> Made[Any] | None:
        return self._window.made(position, make, merge=self._late)

    async def wait(self) -> None:
        self._late = False
        if not self._called:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._called = False

    async def wait_for_commit(self) -> None:
        await self._commits.wait()
        self._commits.clear()

    def close(self) -> None:
        self._forget(self)


class LocalEvents:
    """Windows of the runs that this process works on or that somebody here reads."""

    def __init__(self, unread: Callable[[str], None] | None = None) -> None:
        """Hold nothing yet. ``unread`` is called when a run's last reader here has gone."""
        self._windows: dict[str, Window] = {}
        self._unread = unread
        self.feed = Feed()
        self.turnstile = Turnstile()

    def window(self, run_id: str) -> Window | None:
        """Return the window of a run, if there is one here."""
        return self._windows.get(run_id)

    def left(self, run_id: str) -> None:
        """Where there is one process, it is the one that goes on."""

    def publish(self, run_id: str, entries: Sequence[Entry]) -> None:
        if entries:
            self._made_window(run_id).add(entries)

    def committed(self, run_id: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if self.feed.wanted:
            self.feed.tell(entries)
        window = self._made_window(run_id)
        window.commit(entries)
        self._drop_if_idle(run_id, window)

    def wake_readers(self) -> None:
        for window in self._windows.values():
            window.wake()

    def subscribe(self, run_id: str) -> LocalSubscription:
        window = self._made_window(run_id)

        def forget(reader: LocalSubscription) -> None:
            window.readers.discard(reader)
            if not window.readers and self._unread is not None:
                self._unread(run_id)
            self._drop_if_idle(run_id, window)

        subscription = LocalSubscription(window, self.turnstile, forget)
        window.readers.add(subscription)
        return subscription

    def _made_window(self, run_id: str) -> Window:
        window = self._windows.get(run_id)
        if window is None:
            window = self._windows[run_id] = Window()
        return window

    def drop(self, run_id: str) -> None:
        """Forget a run's window: whoever works on it is elsewhere."""
        self._windows.pop(run_id, None)

    def _drop_if_idle(self, run_id: str, window: Window) -> None:
        """Forget a window that nobody reads and nobody fills; the rows have it all."""
        idle = not window.readers and not (window.entries and window.at_work)
        if idle and self._windows.get(run_id) is window:
            del self._windows[run_id]
