"""The feed: what the runs of a project become, told to whoever reads it, and kept by nobody.

A reader that lags, or whose bus has lost something, is told so (:meth:`FeedReader.take`) and asks the rows.
Where nobody reads, :attr:`Feed.wanted` is empty, and a commit costs one look at it.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from clew.core.entries import Entry
from clew.core.records import Run

MOST_WAITING = 1000
"""Changes that wait for one reader, beyond which it is told that it has missed some."""


class Change(Struct, frozen=True, array_like=True):
    """What a run has become. ``version`` is the row's after the commit."""

    run: str
    thread: str
    agent: str
    status: str
    version: int


class FeedReader:
    """One reader of a project's feed.

    Args:
        now: tells the time, in milliseconds since the epoch, at which each change is heard of.
        forget: called when it reads no more.
    """

    def __init__(self, now: Callable[[], int], forget: Callable[["FeedReader"], None]) -> None:
        self._now, self._forget = now, forget
        self._waiting: list[tuple[Change, int]] = []
        self._lost = False
        self._news = asyncio.Event()
        self.ended = False
        """Whether nothing more will be told, because the process is about to stop."""
        self.ready: asyncio.Event = asyncio.Event()
        """Set when every change from now on is heard of: the rows read after that miss nothing."""

    def add(self, change: Change) -> None:
        """Tell a change. Never waits: with too many unread ones, all are forgotten."""
        if self._lost:
            return
        if len(self._waiting) == MOST_WAITING:
            self.lose()
            return
        self._waiting.append((change, self._now()))
        self._news.set()

    def lose(self) -> None:
        """Say that changes may be missing."""
        self._waiting.clear()
        self._lost = True
        self._news.set()

    def end(self) -> None:
        """Say that nothing more will be told."""
        self.ended = True
        self.ready.set()
        self._news.set()

    def take(self) -> list[tuple[Change, int]] | None:
        """Return what has come since the last look, each with its time; None if some of it is missing."""
        self._news.clear()
        if self._lost:
            self._lost = False
            return None
        taken, self._waiting = self._waiting, []
        return taken

    async def wait(self) -> None:
        """Return when there is something to take."""
        await self._news.wait()

    def close(self) -> None:
        """Stop reading."""
        self._forget(self)


class Feed:
    """The feeds of all projects in one process."""

    def __init__(self) -> None:
        self.wanted: dict[str, set[FeedReader]] = {}
        """The readers here of each project that is read anywhere. Empty if nobody reads."""

    def subscribe(self, project: str, now: Callable[[], int]) -> FeedReader:
        """Begin to read a project's feed."""

        def forget(reader: FeedReader) -> None:
            self._forget(project, reader)

        reader = FeedReader(now, forget)
        self.wanted.setdefault(project, set()).add(reader)
        reader.ready.set()
        return reader

    def end(self) -> None:
        """Let every reader go: the process is about to stop, and waits for those that still read."""
        for readers in self.wanted.values():
            for reader in readers:
                reader.end()

    def _forget(self, project: str, reader: FeedReader) -> None:
        readers = self.wanted.get(project, set())
        readers.discard(reader)
        if not readers:
            self.wanted.pop(project, None)

    def tell(self, entries: Sequence[Entry]) -> None:
        """Tell what a commit has made of its run, if it has made anything of it."""
        run = next((entry.subject for entry in reversed(entries) if isinstance(entry.subject, Run)), None)
        if run is not None and run.project in self.wanted:
            self._tell(run.project, change_of(run, committed=entries[0].position == 1))

    def tell_of(self, run: Run) -> None:
        """Tell of a run whose commit its journal says nothing of; ``run`` is as it is since then."""
        if run.project in self.wanted:
            self._tell(run.project, change_of(run, committed=True))

    def _tell(self, project: str, change: Change) -> None:
        for reader in self.wanted[project]:
            reader.add(change)


def change_of(run: Run, *, committed: bool) -> Change:
    """Return what is told of a run: as it is since its commit, or as that makes it, one version newer."""
    version = run.version if committed else run.version + 1
    return Change(run.id, run.thread_id, run.assistant_id or "", run.status, version)
