"""Live events in one process: a short window of each run's journal, shared by its readers.

A reader holds a position and nothing else, so a thousand readers cost as much as one, and a slow one
costs nothing: what has left the window it takes from the rows.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from clew.bus.feed import Feed
from clew.core.entries import ENDINGS, CallPiece, Entry, TextPiece

_MERGE_AT = 4096
"""Pieces of text in a window, beyond which those of one text become one."""


class Window:
    """The newest events of one run."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.readers: set[LocalSubscription] = set()
        self.at_work = True
        self._last_commit = 0

    @property
    def end(self) -> int | None:
        """Where the window ends; None if it is empty."""
        return self.entries[-1].end if self.entries else None

    def begin_anew(self, entries: Sequence[Entry]) -> None:
        """Hold these events and no others."""
        self.entries = list(entries)
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
        self.entries.extend(entries)
        if len(self.entries) > _MERGE_AT:
            self.entries = _merged(self.entries)
        for reader in self.readers:
            reader.wake()

    def commit(self, entries: Sequence[Entry]) -> None:
        """Keep what came since the commit before: that much even a quick reader may still lack."""
        self._close_gap(entries)
        del self.entries[: self._last_commit]
        self._last_commit = len(self.entries)
        self.at_work = entries[-1].kind not in ENDINGS
        self.add(entries)
        for reader in self.readers:
            reader.wake_for_commit()

    def _close_gap(self, entries: Sequence[Entry]) -> None:
        """Hold nothing before a gap: whoever stands there takes what is missing from the rows.

        There is one when this process takes a run over from another that had committed more than it told.
        """
        if self.entries and entries[0].position > self.entries[-1].end + 1:
            self.entries.clear()
            self._last_commit = 0


class LocalSubscription:
    """A reader's view of a window."""

    def __init__(self, window: Window, forget: Callable[["LocalSubscription"], None]) -> None:
        self._window = window
        self._forget = forget
        self._news = asyncio.Event()
        self._commits = asyncio.Event()

    def wake(self) -> None:
        """Say that there is something new."""
        self._news.set()

    def wake_for_commit(self) -> None:
        """Say that something that lasts has happened."""
        self._commits.set()

    @property
    def start(self) -> int | None:
        entries = self._window.entries
        return entries[0].position if entries else None

    def since(self, position: int) -> Sequence[Entry] | None:
        entries = self._window.entries
        if not entries or entries[0].position > position + 1:
            return None
        return entries[bisect_left(entries, position + 1, key=attrgetter("end")) :]

    async def wait(self) -> None:
        await self._news.wait()
        self._news.clear()

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

    def subscribe(self, run_id: str) -> LocalSubscription:
        window = self._made_window(run_id)

        def forget(reader: LocalSubscription) -> None:
            window.readers.discard(reader)
            if not window.readers and self._unread is not None:
                self._unread(run_id)
            self._drop_if_idle(run_id, window)

        subscription = LocalSubscription(window, forget)
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


def _merged(entries: list[Entry]) -> list[Entry]:
    """Join neighbouring pieces of one text, or of one call's arguments."""
    merged: list[Entry] = []
    run: list[Entry] = []
    for entry in entries:
        if run and not _follows(run[-1], entry):
            merged.append(_joined(run))
            run = []
        run.append(entry)
    merged.append(_joined(run))
    return merged


def _follows(before: Entry, entry: Entry) -> bool:
    """Whether an entry only goes on with what the one before it said."""
    match before.subject, entry.subject:
        case TextPiece() as said, TextPiece(first=False) as more:
            return said.message_id == more.message_id and said.refusal == more.refusal
        case CallPiece(id=None) as said, CallPiece(id=None) as more:
            return said.step_id == more.step_id and said.index == more.index
    return False


def _joined(run: list[Entry]) -> Entry:
    first = run[0]
    match first.subject:
        case TextPiece() as piece if len(run) > 1:
            values = [entry.subject.value for entry in run if isinstance(entry.subject, TextPiece)]
            return replace(first, subject=replace(piece, value="".join(values)))
        case CallPiece() as piece if len(run) > 1:
            more = [entry.subject.arguments for entry in run if isinstance(entry.subject, CallPiece)]
            return replace(first, subject=replace(piece, arguments="".join(more)))
    return first
