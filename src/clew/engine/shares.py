"""Shares of projects: how much of a process each may have, counted in memory."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from clew.bus.dispatch import Dispatch
from clew.core.projects import NO_LIMITS, Project, ProjectLimits
from clew.engine.lifecycle import LoopingService
from clew.engine.presence import Presence
from clew.store import projects, workers
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.store.workers import WorkerRow

_LOOK = 1.0
"""Seconds between two looks at the rows of projects."""

_AT_ONCE = 100
"""Runs of a project that are handed on in one look."""

_log = logging.getLogger(__name__)


class Shares:
    """Counts what each project has of this process.

    Runs at work are counted where there is a limit, under a lock: the store's writer asks too. Readers are
    always counted, so that a limit that is set while they read knows of them.
    """

    def __init__(self) -> None:
        self._limits: Mapping[str, ProjectLimits] = {}
        self.usual_tokens_a_day: int | None = None
        """What projects may use that have no limit of their own."""
        self._workers = 1
        self._lock = threading.Lock()
        self._at_work: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._long_polls: Counter[str] = Counter()
        self.on_room: Callable[[str], None] = lambda _: None
        """Called with a project's name when one of its runs that were counted has left."""

    def set(self, known: Iterable[Project], workers: int) -> None:
        """Know the limits, and how many work."""
        self._limits = {project.name: project.limits for project in known}
        self._workers = max(1, workers)

    def knows(self, project: str) -> bool:
        """Whether a project has a row."""
        return project in self._limits

    def of(self, project: str) -> ProjectLimits:
        """Return a project's limits."""
        return self._limits.get(project, NO_LIMITS)

    def tokens_a_day(self, project: str) -> int | None:
        """Return the tokens that a project's runs may use on one day; None for any number."""
        return self.of(project).tokens_a_day or self.usual_tokens_a_day

    # --- runs at work ---

    def _limit(self, project: str) -> int | None:
        limit = self.of(project).runs
        return None if limit is None else max(1, limit // self._workers)

    def enter(self, run_id: str, project: str) -> bool:
        """Note a run as at work, if its project's share has room for it; say whether it has."""
        if project not in self._limits or (limit := self._limit(project)) is None:
            return True
        with self._lock:
            if run_id in self._at_work:
                return True
            if self._counts[project] >= limit:
                return False
            self._note(run_id, project)
            return True

    def note(self, run_id: str, project: str) -> None:
        """Note a run as at work that goes on, whatever the share."""
        if project in self._limits and self.of(project).runs is not None:
            with self._lock:
                if run_id not in self._at_work:
                    self._note(run_id, project)

    def _note(self, run_id: str, project: str) -> None:
        self._at_work[run_id] = project
        self._counts[project] += 1

    def leave(self, run_id: str) -> None:
        """Note that a run is not at work any more."""
        if run_id not in self._at_work:
            return
        with self._lock:
            project = self._at_work.pop(run_id, None)
            if project is None:
                return
            self._counts[project] -= 1
        self.on_room(project)

    def room(self, project: str) -> int | None:
        """Return how many more runs a project may have at work here; None if it has no limit."""
        limit = self._limit(project)
        return None if limit is None else max(0, limit - self._counts[project])

    # --- readers ---

    def stream(self, project: str, change: int) -> bool:
        """Note a stream that begins (1), if there is room for it, or ends (-1); say whether there was."""
        return _count(self._streams, project, change, self.of(project).streams)

    def long_poll(self, project: str, change: int) -> bool:
        """Note a long-poll that begins (1), if there is room for it, or ends (-1); say whether it is held."""
        return _count(self._long_polls, project, change, self.of(project).long_polls)


def _count(counter: Counter[str], project: str, change: int, limit: int | None) -> bool:
    if change > 0 and limit is not None and counter[project] >= limit:
        return False
    counter[project] += change
    if counter[project] <= 0:
        del counter[project]
    return True


class ShareKeeper(LoopingService):
    """Follows the rows of projects, and hands on runs that wait as their projects' shares get room.

    Args:
        works: whether this process works on runs.
    """

    def __init__(
        self, db: Database, shares: Shares, *, dispatch: Dispatch, presence: Presence, works: bool
    ) -> None:
        self._db, self._shares, self._dispatch = db, shares, dispatch
        self._presence, self._works = presence, works
        self._nudge = asyncio.Event()
        self._may_go_on: set[str] = set()
        """Projects whose runs are handed on next: some of theirs wait, or one has just ended."""
        self._blind = False
        shares.on_room = self._has_room

    def _has_room(self, project: str) -> None:
        self._may_go_on.add(project)
        self._nudge.set()

    async def start(self) -> None:
        """Know the limits before anything is begun."""
        await self._look()
        await super().start()

    async def run(self) -> None:
        """Follow until cancelled."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0, looked + _LOOK - loop.time())):
                    await self._nudge.wait()
            self._nudge.clear()
            if loop.time() >= looked + _LOOK:
                looked = loop.time()
                await self._look()
            if self._works:
                await self._hand_on()

    async def _look(self) -> None:
        try:
            known, there, waiting = await self._db.fetch(_rows)
        except Exception as error:
            if not self._blind:
                _log.warning("the projects can't be looked at, their limits stay: %s", error)
            self._blind = True
            return
        self._blind = False
        gone = self._presence.is_gone
        working = sum(row.works and not gone(row.id, row.beats) for row in there)
        self._shares.set(known, working)
        self._may_go_on.update(waiting)

    async def _hand_on(self) -> None:
        """Have runs worked on that waited, as many as there is room for.

        Only those projects are asked about of which runs may wait: there may be many with a limit. One whose
        limit was lifted while a run of it was being stored to wait is found by the next look.
        """
        wanted, self._may_go_on = self._may_go_on, set()
        for project in wanted:
            room = self._shares.room(project)
            try:
                if room != 0:
                    await self._hand_on_of(project, _AT_ONCE if room is None else min(room, _AT_ONCE))
            except Exception as error:
                _log.warning("runs of %s that wait for its share can't be read: %s", project, error)

    async def _hand_on_of(self, project: str, room: int) -> None:
        found = await self._db.fetch(projects.waiting, project, room)
        for run_id in found:
            if not self._dispatch.works_on(run_id):
                self._dispatch.advance(run_id, project=project)


async def _rows(tx: Transaction) -> tuple[list[Project], list[WorkerRow], list[str]]:
    """Return the projects, the workers where a limit is divided by them, and the projects of which runs wait.

    Those may have no row any more: theirs go on, too.
    """
    known = await projects.every(tx)
    limited = any(project.limits.runs is not None for project in known)
    return known, await workers.all_(tx) if limited else [], await projects.with_waiting(tx)
