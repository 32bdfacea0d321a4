"""Due work: does at its time what rows say is to be done, until it is done, given up or called off.

One kernel for every kind of work that is no run: a kind says how a piece of its work is performed, how much
of it at once, and when what failed is tried again. The kernel finds what is due, gives turns, claims, settles
together with the kind's result, and takes back what a process left that has gone.

Where several processes share a database, whoever performs work has claimed its row; the row's epoch fences
off an owner that was taken for gone, and presence tells who is (decision 8), so no clocks are compared. The
only process on a database holds in memory what is under way, which saves the claim.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from clew.core.due import Lane, Limits, Load, Turns, Work
from clew.engine.lifecycle import LoopingService
from clew.engine.presence import Presence
from clew.process import Process
from clew.store import due_work
from clew.store.database import CommitUnknown, Database, P, StoreFunction, T, is_full, is_passing
from clew.store.due_work import Owned, Result, Superseded
from clew.store.statement import Transaction

_INTERVAL = 30_000
"""Milliseconds between two looks at the rows, in case a wake-up was lost."""

_PAUSE = 5_000
"""Milliseconds before work whose outcome could not be stored is taken up again."""

_log = logging.getLogger(__name__)

FailedResult: TypeAlias = Callable[[Transaction, int | None], Awaitable[None]]
"""What else is written when an attempt has failed. It is given when the next is due; None: there is none."""


Stored: TypeAlias = Callable[[int | None], None]
"""Called once an outcome is stored, with the time of the next attempt: for those who watch."""


class Done(NamedTuple):
    """The work is over. ``result`` writes what came of it, in the transaction that deletes the work."""

    result: Result | None = None
    stored: Stored | None = None


class Later(NamedTuple):
    """This time it is done; it is due again at ``due``, its attempts and progress begin anew."""

    due: int
    result: Result | None = None
    stored: Stored | None = None


class Failed(NamedTuple):
    """An attempt was in vain. The kind's delay says when the next is due; there is none after a ``final``."""

    error: str
    result: FailedResult | None = None
    stored: Stored | None = None
    final: bool = False


Outcome: TypeAlias = Done | Later | Failed


class Context:
    """What work that is performed may ask of the kernel."""

    def __init__(self, db: Database, work: Work, *, noted: int) -> None:
        self._db, self._noted = db, noted
        self.work = work

    async def progress(self, progress: Any, result: Result | None = None) -> None:
        """Store how far the work got (JSON), so that the next attempt can go on from there.

        Attempts before this are forgotten: only those that get no further are counted.

        Args:
            result: writes what else came of it, in the same transaction.

        Raises:
            Superseded: it is not ours any more; stop.
        """
        if not await self._db.write(due_work.save_progress, self.work, progress, self._noted, result):
            raise Superseded
        self.work = replace(self.work, progress=progress, attempts=0)

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write something on the way, in a transaction of its own, while the work is still ours.

        Raises:
            Superseded: it is not ours any more, and nothing was written; stop.
        """

        async def if_ours(tx: Transaction) -> T:
            if not await due_work.hold(tx, self.work):
                raise Superseded
            return await function(tx, *args, **kwargs)

        return await self._db.write(if_ours)


class Kind(ABC):
    """A kind of due work.

    Attributes:
        name: stands in its rows.
        limits: how much of it one process does at once.
        notes_attempts: whether an attempt is noted before it begins, so that one that kills its process
            counts. Such work is always claimed, also by the only process, which costs a commit more; and it
            is interrupted when its row is deleted. For anything that takes long.
    """

    name: str
    limits: Limits
    notes_attempts = False

    @abstractmethod
    async def perform(self, work: Work, context: Context) -> Outcome:
        """Do a piece of work. It may have been done in part before: by an attempt that broke off.

        What is raised is a failed attempt, except for trouble of the store itself, after which the work is
        taken up again. Being cancelled means that the process stops, or that nobody wants the work any more.
        """

    @abstractmethod
    def delay(self, work: Work) -> int | None:
        """Return how many milliseconds after a failed attempt the next is due; None: there is none.

        ``work.attempts`` are those that had failed before.
        """

    def broken_off(self, work: Work) -> Failed:
        """Return what an attempt is that ended without an outcome: it raised, or its process has gone."""
        return Failed("The server could not finish it. Its log says more.")

    def standing(self, now: int) -> Work | None:
        """Return work that is to be there whenever a process begins; None if there is none."""
        return None

    @abstractmethod
    async def close(self) -> None:
        """Let go of what the kind holds; nothing of it will be performed any more."""


class DueWork:
    """Performs due work of several kinds, each on its own.

    Args:
        kinds: those that this process performs; work of others is left for those who do.
        shared: whether other processes work on the same database.
    """

    def __init__(
        self, db: Database, kinds: Sequence[Kind], *, presence: Presence, process: Process, shared: bool
    ) -> None:
        self._runners = {
            kind.name: _Runner(db, kind, presence=presence, process=process, shared=shared) for kind in kinds
        }

    def wake(self, kind: str) -> None:
        """Look soon for work of a kind that has just been added."""
        if (runner := self._runners.get(kind)) is not None:
            runner.wake()

    def look_at_owners(self, kind: str | None = None) -> None:
        """Look soon at claimed work: its owner may have gone, or it was called off."""
        for name, runner in self._runners.items():
            if kind in (None, name):
                runner.look_at_owners()

    async def start(self) -> None:
        """Perform what is due from now on."""
        for runner in self._runners.values():
            await runner.start()

    async def stop(self) -> None:
        """Break off what is under way, and give it back: that it was broken off counts as no attempt."""
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))


class _UnderWay:
    """A piece of work that this process performs."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.claimed = False
        """Whether its row may say that it is ours: set before the claim."""
        self.performed = False
        """Whether the kind is at it: it may be interrupted then."""
        self.task: asyncio.Task[None] | None = None


class _Runner(LoopingService):
    """Performs due work of one kind."""

    def __init__(
        self, db: Database, kind: Kind, *, presence: Presence, process: Process, shared: bool
    ) -> None:
        self._db, self._kind, self._presence, self._clock = db, kind, presence, process.clock
        self._claims = shared or kind.notes_attempts
        self._noted = int(kind.notes_attempts)
        self._stands = False
        self._under_way: dict[int, _UnderWay] = {}
        self._load = Load()
        self._last_served = ""
        self._owners_at = 0
        self._nudge = asyncio.Event()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0

    def wake(self) -> None:
        self._nudge.set()

    def look_at_owners(self) -> None:
        self._owners_at = 0
        self._nudge.set()

    async def run(self) -> None:
        """Perform until cancelled."""
        try:
            while True:
                self._nudge.clear()
                now = self._clock.now()
                try:
                    if not self._stands and (standing := self._kind.standing(now)) is not None:
                        await self._db.write(due_work.add_if_new, standing)
                    self._stands = True
                    upcoming = await self._look(now)
                except Exception as error:
                    if not is_full(error):  # of that the store has told
                        _log.error(
                            "%s: due work could not be read (%s); again in %d ms",
                            self._kind.name,
                            error,
                            _PAUSE,
                            exc_info=not is_passing(error),
                        )
                    upcoming, self._owners_at = now + _PAUSE, 0
                await self._wait(min(upcoming or now + _INTERVAL, now + _INTERVAL))
        finally:
            await self._break_off()
            await self._kind.close()

    async def _wait(self, until: int) -> None:
        """Return when woken, or at ``until`` at the latest. An alarm that comes too early does no harm."""
        if self._alarm is None or self._alarm.done() or until < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_at = asyncio.ensure_future(self._ring(until)), until
        await self._nudge.wait()

    async def _ring(self, at: int) -> None:
        await self._clock.sleep(at - self._clock.now())
        self._nudge.set()

    async def _break_off(self) -> None:
        """End what is under way, and give back what is claimed."""
        ways = list(self._under_way.values())
        tasks = [way.task for way in ways if way.task is not None]
        tasks += [self._alarm] if self._alarm is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if claimed := [way.work for way in ways if way.claimed]:
            try:
                await self._db.write(due_work.release, claimed, self._presence.worker)
            except Exception:
                _log.exception("%s: work could not be given back; others take it up", self._kind.name)

    # --- what is due ---------------------------------------------------------------------------

    async def _look(self, now: int) -> int | None:
        """Begin what is due and has room; return when more will be due, if it will."""
        if now >= self._owners_at:
            self._owners_at = now + _INTERVAL
            await self._take_back()
        first, upcoming = await self._db.fetch(due_work.next_due, self._kind.name, now)
        if first is not None and first <= now and self._load.total < self._kind.limits.in_all:
            await self._fill(await self._db.scan(due_work.lanes, self._kind.name, now), now)
        return upcoming

    async def _fill(self, lanes: list[Lane], now: int) -> None:
        """Begin as much as there is room for, in turn. Whatever ends makes room."""
        turns = Turns(lanes, self._load, self._kind.limits, self._last_served)
        found: dict[str, deque[Work]] = {}
        while (lane := turns.next()) is not None:
            if lane.name not in found:
                found[lane.name] = await self._due(lane, now)
            elif found[lane.name]:
                self._begin(found[lane.name].popleft())
            else:
                turns.leave(lane)

    async def _due(self, lane: Lane, now: int) -> deque[Work]:
        most = self._load.lane(lane.name) + self._kind.limits.per_lane
        before = set(self._under_way)  # what ends while we look may still be among what was found
        found = await self._db.fetch(due_work.due, self._kind.name, lane.name, now, most)
        return deque(work for work in found if work.seq not in before | self._under_way.keys())

    def _begin(self, work: Work) -> None:
        way = self._under_way[work.seq] = _UnderWay(work)
        self._load.add(work)
        self._last_served = work.lane
        way.task = asyncio.ensure_future(self._attempt(way))
        way.task.add_done_callback(partial(self._ended, work))

    def _ended(self, work: Work, _: "asyncio.Task[None]") -> None:
        del self._under_way[work.seq]
        self._load.remove(work)
        self.wake()

    # --- one attempt ---------------------------------------------------------------------------

    async def _attempt(self, way: _UnderWay) -> None:
        try:
            if self._claims and not await self._claim(way):
                return
            outcome = await self._perform(way)
            await self._store(way.work, outcome)
        except Superseded:
            _log.info("%s %s: it was called off, or is another process's now", self._kind.name, way.work.id)
        except Exception as error:
            if not is_full(error):
                _log.error(
                    "%s %s: what became of it is not stored: %s",
                    self._kind.name,
                    way.work.id,
                    error,
                    exc_info=not is_passing(error),
                )
            await self._clock.sleep(_PAUSE)
            self._owners_at = 0  # the row may still say that it is ours

    async def _claim(self, way: _UnderWay) -> bool:
        """Become the owner; say whether nobody else was quicker."""
        work, owner = way.work, self._presence.worker
        way.claimed = True  # from here on it may be; giving back what is not ours changes nothing
        way.work = replace(work, epoch=work.epoch + 1)
        return await self._db.write(due_work.claim, work, owner, work.attempts + self._noted)

    async def _perform(self, way: _UnderWay) -> Outcome:
        context = Context(self._db, way.work, noted=self._noted)
        way.performed = True
        try:
            return await self._kind.perform(way.work, context)
        except Exception as error:
            if isinstance(error, Superseded) or is_passing(error):
                raise
            _log.exception("%s %s: an attempt broke off", self._kind.name, way.work.id)
            return self._kind.broken_off(context.work)
        finally:
            way.performed, way.work = False, context.work

    async def _store(self, work: Work, outcome: Outcome) -> None:
        """Settle; an outcome that can't be stored is a failed attempt, so that it doesn't go on for ever."""
        broken_off = self._kind.broken_off(work)
        for each in (outcome, broken_off, broken_off._replace(result=None)):
            try:
                await self._settle(work, each)
            except Exception as error:
                if isinstance(error, Superseded | CommitUnknown) or is_passing(error):
                    raise
                _log.exception("%s %s: its outcome can't be stored", self._kind.name, work.id)
            else:
                return

    async def _settle(self, work: Work, outcome: Outcome) -> None:
        """Write an outcome, with the kind's result in the same transaction.

        Raises:
            Superseded: it is not ours any more; nothing was written.
        """
        again, attempts = None, 0
        if isinstance(outcome, Later):
            again = outcome.due
        elif isinstance(outcome, Failed):
            attempts = work.attempts + 1
            delay = None if outcome.final else self._kind.delay(work)
            again = None if delay is None else self._clock.now() + delay
        result = _result(outcome, again)
        if again is None:
            stored = await self._db.write(due_work.finish, work, result)
        else:
            stored = await self._db.write(due_work.postpone, _next(work, outcome, again, attempts), result)
        if not stored:
            raise Superseded
        if outcome.stored is not None:
            outcome.stored(again)
        elif isinstance(outcome, Failed):
            level, then = (logging.WARNING, "no more") if again is None else (logging.INFO, "again later")
            _log.log(
                level, "%s %s, attempt %d: %s %s", self._kind.name, work.id, attempts, outcome.error, then
            )

    # --- owners --------------------------------------------------------------------------------

    async def _take_back(self) -> None:
        """Take back what belongs to nobody who works on it, and break off what was called off."""
        before = [way for way in self._under_way.values() if way.claimed and way.performed]
        owned = await self._db.scan(due_work.owned, self._kind.name)
        epochs = {each.work.seq: each.work.epoch for each in owned}
        for way in before:
            if way.performed and way.task is not None and epochs.get(way.work.seq) != way.work.epoch:
                way.task.cancel()
        for each in owned:
            await self._look_at(each)

    async def _look_at(self, owned: Owned) -> None:
        """Take work back if its owner has gone, or if it is ours and nobody here is at it."""
        work = replace(owned.work, attempts=owned.work.attempts - self._noted)
        if owned.owner == self._presence.worker:
            if work.seq not in self._under_way:  # its outcome could not be stored: no fault of its own
                await self._db.write(due_work.release, [work], owned.owner)
        elif self._presence.is_gone(owned.owner, owned.beats):
            _log.info("%s %s: its owner has gone", self._kind.name, work.id)
            if not self._kind.notes_attempts:
                await self._db.write(due_work.release, [work], owned.owner)
                return
            with suppress(Superseded):  # another process was quicker, or the owner had not gone
                await self._store(work, self._kind.broken_off(work))


def _result(outcome: Outcome, again: int | None) -> Result | None:
    """Return what an outcome writes besides the work itself."""
    if not isinstance(outcome, Failed):
        return outcome.result
    write = outcome.result
    if write is None:
        return None

    async def result(tx: Transaction) -> None:
        await write(tx, again)

    return result


def _next(work: Work, outcome: Outcome, again: int, attempts: int) -> Work:
    """Return the work as it is due again."""
    if isinstance(outcome, Failed):
        return replace(work, due=again, attempts=attempts, last_error=outcome.error)
    return replace(work, due=again, attempts=0, last_error=None, progress=None)
