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
from clew.store import code
from clew.store.database import Database

IDLE = 3_600_000
"""Milliseconds for which a session is kept that nobody uses."""

_log = logging.getLogger(__name__)


class Seat:
    """A thread's place for a session.

    Attributes:
        session: the session, if one has been started.
        news: what the next output is to say of it first.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.id = ""
        self.session: Session | None = None
        self.news: list[str] = []
        self.has: dict[str, str] = {}
        self.wanted, self.used_at = 0, 0

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
        self._sweeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, project: str, thread_id: str, given: Sequence[str]) -> AsyncIterator[Seat]:
        """Give a thread's session, alone and in the order of asking, with all its files in it.

        Raises:
            SandboxTrouble: there can be none.
        """
        seat = self._seats.setdefault(thread_id, Seat())
        seat.wanted += 1
        try:
            async with seat.lock:
                session = await self._session(seat, thread_id)
                await self._fill(seat, session, await self._db.read(code.inside, project, thread_id, given))
                yield seat
        finally:
            seat.wanted, seat.used_at = seat.wanted - 1, self._clock.now()
            if seat.session is not None and seat.session.over:
                seat.session = None
            if seat.session is None and not seat.wanted:
                self._seats.pop(thread_id, None)
            async with self._freed:
                self._freed.notify_all()

    @property
    def live(self) -> int:
        """How many there are."""
        return sum(seat.session is not None for seat in self._seats.values())

    async def close(self) -> None:
        """End all sessions of this process."""
        if self._sweeper is not None:
            self._sweeper.cancel()
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
        if not isinstance(driver, SharedDriver):
            await self._make_room()
        session_id = self._ids.new("session_")
        seat.session = session = await driver.start(session_id)
        seat.id, seat.has = session_id, {}
        place = session.place if isinstance(session, SharedSession) else self._place
        if await self._db.write(code.begin, thread_id, session_id, place):
            seat.news.append(
                "The variables of earlier code are gone: this is a new session, with the same files."
            )
        self._watch()
        return session

    def _watch(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.ensure_future(self._sweep())

    async def _make_room(self) -> None:
        while len(live := [seat for seat in self._seats.values() if seat.session is not None]) >= self.most:
            idle = [seat for seat in live if seat.idle]
            if idle:
                await self._end(min(idle, key=lambda seat: seat.used_at))
                continue
            async with self._freed:
                await self._freed.wait()

    async def _end(self, seat: Seat) -> None:
        session, seat.session, seat.has = seat.session, None, {}
        if session is not None:
            await session.end()

    async def _let_go(self, seat: Seat) -> None:
        """End a session that is this process' own; leave one that lives elsewhere to others."""
        if isinstance(seat.session, SharedSession):
            seat.session, seat.has = None, {}
        await self._end(seat)

    async def _sweep(self) -> None:
        """End what has been idle for long."""
        while True:
            await self._clock.sleep(IDLE // 60)
            before = self._clock.now() - IDLE
            for thread_id, seat in list(self._seats.items()):
                if seat.idle and seat.used_at <= before:
                    del self._seats[thread_id]
                    with suppress(Exception):
                        await self._let_go(seat)

    # --- files -------------------------------------------------------------------------------------

    async def _fill(self, seat: Seat, session: Session, inside: Sequence[Inside]) -> None:
        """Put into a session what it lacks of a thread's files: by name, and by id while there is room."""
        lacking = [each for each in inside if seat.has.get(each.name) != each.file_id]
        twice = 2 * sum(each.bytes for each in inside) <= MOST_DISK // 2
        for each in lacking:
            try:
                async with self._blobs.local(each.blob) as path:
                    await session.put(each.name, path)
                    if twice:
                        await session.put(each.file_id, path)
            except BlobMissing:
                _log.warning("the bytes of %s are lost", each.file_id)
            except SandboxTrouble as trouble:
                if session.over:
                    raise
                seat.news.append(f"{each.name} is not in {DATA}: {trouble.message}")
            seat.has[each.name] = each.file_id
