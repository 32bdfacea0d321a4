"""Sessions of code: one a thread, kept while it is used, with the thread's files in it.

A session is memory of one process; a row says which one is a thread's, so that a process whose session has
been overtaken by another's knows (docs/decisions/0032). After a crash there is nothing to end: a sandbox
ends with the process that has started it.

Where sessions live at code workers, they are nobody's in particular: the row says where, and whoever has a
run of the thread attaches to its session. Code workers bound their number, and end them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from clew.blobs.blobs import BlobMissing, Blobs
from clew.core.code import DATA, Inside
from clew.ids import Ids
from clew.process import Process
from clew.sandbox.chosen import Chosen
from clew.sandbox.sandbox import (
    MOST_DISK,
    Driver,
    SandboxTrouble,
    Session,
    SharedDriver,
    SharedSession,
)
from clew.store import code, files
from clew.store.database import Database

IDLE = 3_600_000
"""Milliseconds for which a session is kept that nobody uses."""

LOOK = 60_000
"""Milliseconds after which it is seen that a session's thread, or a file in it, has been deleted."""

_log = logging.getLogger(__name__)


class Seat:
    """A thread's place for a session.

    Attributes:
        session: the session, if one has been started.
        news: what the next output is to say of it first.
        has: the files in it, by name.
        stored: those of them that rows have named: what code has just left is not stored yet.
        counted: whether it is one of those that a process has at most.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self.lock = asyncio.Lock()
        self.id = ""
        self.session: Session | None = None
        self.news: list[str] = []
        self.has: dict[str, str] = {}
        self.stored: set[str] = set()
        self.wanted, self.used_at = 0, 0
        self.counted = False

    @property
    def idle(self) -> bool:
        """Whether its session could end now."""
        return self.session is not None and not self.wanted

    def left(self, name: str, file_id: str) -> None:
        """Note that code has left a file, which is kept under an id."""
        self.has[name] = file_id


class Sessions:
    """The sessions of this process, ``most`` at once: for one more, the one ends that was used least lately.

    Args:
        chosen: what starts them, as soon as it is known to hold.
        place: what this process is called in rows.
    """

    def __init__(
        self,
        db: Database,
        blobs: Blobs,
        chosen: Chosen,
        *,
        process: Process,
        place: str,
        most: int,
    ) -> None:
        self._db, self._blobs, self.chosen = db, blobs, chosen
        self._clock, self._place, self.most = process.clock, place, most
        self._ids: Ids = process.ids
        self._seats: dict[str, Seat] = {}
        self._freed = asyncio.Condition()
        self._count = 0
        self._sweeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, project: str, thread_id: str, given: Sequence[str]) -> AsyncIterator[Seat]:
        """Give a thread's session, alone and in the order of asking, with all its files in it.

        Raises:
            SandboxTrouble: there can be none.
        """
        seat = self._seats.setdefault(thread_id, Seat(project))
        seat.wanted += 1
        try:
            async with seat.lock:
                inside = await self._db.read(code.inside, project, thread_id, given)
                if await self._has_deleted(seat, seat.stored - {each.file_id for each in inside}):
                    await self._end(seat)
                session = await self._session(seat, thread_id)
                await self._fill(seat, session, inside)
                yield seat
        finally:
            seat.wanted, seat.used_at = seat.wanted - 1, self._clock.now()
            if seat.session is not None and seat.session.over:
                await self._let_go(seat)
            self._drop(thread_id, seat)
            await self._tell_freed()

    @property
    def live(self) -> int:
        """How many there are."""
        return sum(seat.session is not None for seat in self._seats.values())

    async def close(self) -> None:
        """End all sessions of this process."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        for seat in list(self._seats.values()):
            await self._let_go(seat)
        await self.chosen.close()

    # --- beginning and ending --------------------------------------------------------------------

    async def _session(self, seat: Seat, thread_id: str) -> Session:
        current = await self._db.read(code.current, thread_id)
        driver = await self.chosen.driver()
        if isinstance(driver, SharedDriver):
            session = await self._attached(driver, seat, current)
        else:
            session = seat.session if current == (seat.id, self._place) else None
        if session is not None and not session.over:
            return session
        await self._end(seat)
        return await self._begun(driver, seat, thread_id)

    async def _attached(
        self, driver: SharedDriver, seat: Seat, current: tuple[str, str] | None
    ) -> Session | None:
        """Return a thread's session, wherever it lives and whoever has begun it."""
        if current is None:
            return None
        session = await driver.attach(*current)
        if seat.id != current[0]:
            await self._end(seat)
            seat.id = current[0]
        seat.session = session
        self._watch()
        return session

    async def _begun(self, driver: Driver, seat: Seat, thread_id: str) -> Session:
        """Start a session, and say in rows that it is the thread's."""
        session_id = self._ids.new("session_")
        if isinstance(driver, SharedDriver):
            session = await driver.start(session_id)
        else:
            await self._make_room(seat)
            try:
                session = await driver.start(session_id)
            except BaseException:
                await self._uncount(seat)
                raise
        seat.session, seat.id = session, session_id
        place = session.place if isinstance(session, SharedSession) else self._place
        if await self._db.write(code.begin, thread_id, session_id, place):
            seat.news.append(
                "The variables of earlier code are gone: this is a new session, with the thread's files."
            )
        self._watch()
        return session

    def _watch(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.ensure_future(self._sweep())

    async def _make_room(self, seat: Seat) -> None:
        """Wait until there may be one session more, and count it."""
        while self._count >= self.most:
            idle = [(thread_id, each) for thread_id, each in self._seats.items() if each.idle]
            if idle:
                thread_id, least = min(idle, key=lambda each: each[1].used_at)
                await self._end(least)
                self._drop(thread_id, least)
                continue
            async with self._freed:
                await self._freed.wait()
        self._count += 1  # before anything else is waited for: others look too
        seat.counted = True

    async def _end(self, seat: Seat) -> None:
        session, seat.session, seat.has, seat.stored = seat.session, None, {}, set()
        if session is not None:
            try:
                await session.end()
            finally:
                await self._uncount(seat)

    async def _uncount(self, seat: Seat) -> None:
        if seat.counted:
            seat.counted = False
            self._count -= 1
            await self._tell_freed()

    async def _tell_freed(self) -> None:
        async with self._freed:
            self._freed.notify_all()

    def _drop(self, thread_id: str, seat: Seat) -> None:
        """Forget a place that nobody has anything at."""
        if seat.session is None and not seat.wanted and self._seats.get(thread_id) is seat:
            del self._seats[thread_id]

    async def _let_go(self, seat: Seat) -> None:
        """End a session that is this process' own; leave one that lives elsewhere to others."""
        if isinstance(seat.session, SharedSession):
            seat.session, seat.has, seat.stored = None, {}, set()
        await self._end(seat)

    async def _sweep(self) -> None:
        """End what has been idle for long, or has nothing to be for any more."""
        while True:
            await self._clock.sleep(LOOK)
            for thread_id, seat in list(self._seats.items()):
                try:
                    await self._look(thread_id, seat)
                except Exception:
                    _log.exception("it could not be seen whether a session of code must end")

    async def _look(self, thread_id: str, seat: Seat) -> None:
        now, session_id = self._clock.now(), seat.id
        if not seat.idle:
            return
        current = await self._db.read(code.current, thread_id)
        unused = seat.used_at <= now - IDLE or (current is not None and current[0] != session_id)
        over = current is None
        if not over and not unused and seat.used_at <= now - LOOK:
            over = await self._has_deleted(seat, set(seat.has.values()))
        if not seat.idle or seat.id != session_id or not (over or unused):
            return  # it has been wanted meanwhile
        await (self._end(seat) if over else self._let_go(seat))
        self._drop(thread_id, seat)

    async def _has_deleted(self, seat: Seat, file_ids: set[str]) -> bool:
        """Whether files that a session has had are deleted: what code made of them goes with them."""
        if seat.session is None or not file_ids:
            return False
        return await self._db.read(files.lacks, seat.project, sorted(file_ids))

    # --- files -------------------------------------------------------------------------------------

    async def _fill(self, seat: Seat, session: Session, inside: Sequence[Inside]) -> None:
        """Put into a session what it lacks of a thread's files: by name, and by id while there is room."""
        lacking = [each for each in inside if seat.has.get(each.name) != each.file_id]
        twice = 2 * sum(each.bytes for each in inside) <= MOST_DISK // 2
        names = {each.name for each in inside}
        seat.stored.update(each.file_id for each in inside)
        for each in lacking:
            try:
                if each.bytes > MOST_DISK:
                    raise SandboxTrouble(f"it has {each.bytes:,} bytes, and {MOST_DISK:,} have room")
                async with self._blobs.local(each.blob) as path:
                    await session.put(each.name, path)
                    if twice and each.file_id not in names:
                        await session.put(each.file_id, path)
            except BlobMissing:
                _log.warning("the bytes of %s are lost", each.file_id)
            except SandboxTrouble as trouble:
                if session.over:
                    raise
                seat.news.append(f"{each.name} is not in {DATA}: {trouble.message}")
            seat.has[each.name] = each.file_id
