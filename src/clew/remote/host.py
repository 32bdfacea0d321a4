"""A code worker: runs sessions for servers that ask for them over the bus, and knows nothing else of them.

It holds no key but that of code workers. What servers ask has numbers (asks.py); a session is that server's
who has attached to it last. Sessions end when nobody uses them for an hour, when there is no room and another
is wanted, and when no server of the installation has shown a sign of life for half a minute.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, cast

from nats.aio.msg import Msg

from clew.bus.nats_link import NatsLink
from clew.process import Process
from clew.remote import asks
from clew.remote.asks import (
    Again,
    Answer,
    Ask,
    Attach,
    Begin,
    Busy,
    Bytes,
    Cell,
    Code,
    Done,
    End,
    Fetch,
    Gone,
    Interrupt,
    Offer,
    Put,
    Room,
    Run,
    Take,
    Trouble,
)
from clew.sandbox.frames import MOST_CODE
from clew.sandbox.sandbox import LONGEST_CELL, MOST_DISK, Driver, SandboxTrouble, Session

IDLE = 3_600_000
"""Milliseconds for which a session is kept that nobody uses."""

LEASE = 30_000
"""Milliseconds without a sign of life of any server, after which all sessions end."""

UNASKED = 10_000
"""Milliseconds after which something that nobody asks about any more is called off."""

_USED = 5_000
"""Milliseconds for which a session stays after its use, though there is no room for another."""

_BUSY = 1.0
"""Seconds after which what is under way is said to be."""

_SHY = 0.02
"""Seconds that a worker without room waits with an offer, less as it has more: so the others come first."""

_MOST_ASKED = 200
"""Questions that are looked into at once; more are dropped, and asked again."""

_MOST_KNOWN = 1000
"""Tickets, and askers of a session, that are remembered."""

_SWEEP = 1_000

_log = logging.getLogger(__name__)


class Host:
    """Sessions of one process.

    Args:
        link: the connection to the bus, opened before :meth:`serve`.
        driver: what walls the sessions off.
        most: how many there may be at once.
        folder: where files lie on their way in.
        once: whether this process ends with its first session, which has left traces in it.
    """

    def __init__(
        self, link: NatsLink, driver: Driver, *, process: Process, most: int, folder: Path, once: bool = False
    ) -> None:
        self._link, self._driver = link, driver
        self._clock, self._ids = process.clock, process.ids
        self._most, self._folder, self._once = 1 if once else most, folder, once
        self.name = process.ids.new(asks.WORKER)
        self._tickets: OrderedDict[str, asyncio.Task[Answer] | None] = OrderedDict()
        self._held: dict[str, Held] = {}
        self._starting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sign = 0
        self._ran = False
        self.over = asyncio.Event()
        """Set when this process is to end."""

    async def serve(self) -> None:
        """Begin to answer."""
        self._sign = self._clock.now()
        prefix = self._link.prefix
        await self._link.listen(f"{prefix}.alive", self._signed)
        await self._link.listen(f"{prefix}.at.{self.name}", self._received)
        await self._link.listen(f"{prefix}.room", self._received)
        self._spawn(self._sweep())

    async def close(self) -> None:
        """End all sessions."""
        for task in list(self._tasks):
            task.cancel()
        for held in list(self._held.values()):
            await self._end(held)
        await self._driver.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _signed(self, message: Msg) -> None:
        self._sign = self._clock.now()

    async def _received(self, message: Msg) -> None:
        asked = asks.question(message.data)
        if asked is None or not message.reply or len(self._tasks) > _MOST_ASKED:
            return
        self._sign = self._clock.now()
        self._spawn(self._answer(asked, message.reply))

    async def _answer(self, asked: asks.Question, reply: str) -> None:
        if isinstance(asked, Room):
            said = await self._offer()
        elif isinstance(asked, Begin):
            said = await self._begin(asked)
        elif isinstance(asked, Attach):
            said = await self._attach(asked)
        else:
            said = await self._asked(asked)
        if said is not None:
            self._link.send(reply, asks.encode(said))

    # --- beginning and ending -------------------------------------------------------------------------

    @property
    def _used(self) -> int:
        return self._starting + sum(not held.session.over for held in self._held.values())

    def _least(self) -> "Held | None":
        """The session that could end for another: the one that was used least lately, if that was not now."""
        before = self._clock.now() - _USED
        idle = [each for each in self._held.values() if each.idle and each.used_at <= before]
        return min(idle, key=lambda each: each.used_at, default=None)

    async def _offer(self) -> Answer | None:
        used = self._used
        if self._once and self._ran:
            least = self._least()
            if least is not None:
                await self._end(least)  # and so this process: the next has room
            return None
        if used >= self._most and self._least() is None:
            return None
        await asyncio.sleep(_SHY * used / self._most)
        ticket = self._ids.new("room_")
        self._tickets[ticket] = None
        while len(self._tickets) > _MOST_KNOWN:
            self._tickets.popitem(last=False)
        return Offer(self.name, ticket)

    async def _begin(self, asked: Begin) -> Answer:
        if asked.ticket not in self._tickets:
            return Gone()
        starting = self._tickets[asked.ticket]
        if starting is None:
            starting = self._tickets[asked.ticket] = asyncio.create_task(self._start(asked))
        return await _soon(starting)

    async def _start(self, asked: Begin) -> Answer:
        if self._once and self._ran:
            return Gone()
        if self._used >= self._most:
            least = self._least()
            if least is None:
                return Gone()
            await self._end(least)
        if asked.session in self._held:
            return Gone()
        self._starting += 1
        self._ran = True
        try:
            session = await self._driver.start(asked.session)
        except SandboxTrouble as trouble:
            _log.warning("a session could not be started: %s", trouble.message)
            self._ended()
            return Trouble(trouble.message[:1000])
        finally:
            self._starting -= 1
        held = Held(asked.session, session, Path(tempfile.mkdtemp(dir=self._folder)), self._clock.now)
        held.attach(asked.client, asked.turn)
        self._held[asked.session] = held
        return Done()

    async def _attach(self, asked: Attach) -> Answer:
        held = self._held.get(asked.session)
        if held is None or held.session.over:
            return Gone()
        if held.is_of(asked.client, asked.turn):
            return Done()
        if held.turns.get(asked.client, -1) >= asked.turn:
            return Gone()
        held.attach(asked.client, asked.turn)
        await held.call_off()
        return Gone() if held.session.over else Done()

    async def _end(self, held: "Held") -> None:
        self._held.pop(held.id, None)
        await held.end()
        self._ended()

    def _ended(self) -> None:
        if self._once:
            self.over.set()

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP)
            now = self._clock.now()
            if not self._link.up:
                self._sign = now  # nobody's signs could come
            alone = now - self._sign > LEASE
            for held in list(self._held.values()):
                since = now - held.used_at
                if alone or since > (UNASKED if held.session.over else IDLE):
                    await self._end(held)
                elif not held.idle and now - held.asked_at > UNASKED:
                    await held.call_off()
            if alone and self._held:
                _log.warning("no server has shown a sign of life: sessions have been ended")

    # --- what is asked of a session --------------------------------------------------------------------

    async def _asked(self, asked: Ask) -> Answer:
        held = self._held.get(asked.session)
        if held is None or not held.is_of(asked.client, asked.turn):
            return Gone()
        if isinstance(asked.do, End):
            await self._end(held)
            return Done()
        return await held.ask(asked)


class Held:
    """A session that this process has, and what is under way in it."""

    def __init__(self, session_id: str, session: Session, folder: Path, now: Callable[[], int]) -> None:
        self.id, self.session, self._folder, self._now = session_id, session, folder, now
        self.turns: OrderedDict[str, int] = OrderedDict()
        self._owner: tuple[str, int] = ("", 0)
        self._number = 0
        self._under_way: asyncio.Task[Answer] | None = None
        self._code = bytearray()
        self._parts: list[bytes] = []
        self._taking: AsyncGenerator[bytes, None] | None = None
        self._rest = b""
        self.used_at = self.asked_at = now()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._under_way is None or self._under_way.done()

    def is_of(self, client: str, turn: int) -> bool:
        """Whether it is an asker's, in this turn."""
        return self._owner == (client, turn)

    def attach(self, client: str, turn: int) -> None:
        """Give it to an asker, who counts from 1 again."""
        self._owner, self._number = (client, turn), 0
        self.turns[client] = turn
        self.turns.move_to_end(client)
        while len(self.turns) > _MOST_KNOWN:
            self.turns.popitem(last=False)
        self.used_at = self.asked_at = self._now()

    async def ask(self, asked: Ask) -> Answer:
        """Do something, once; say what came of it as often as it is asked."""
        self.used_at = self.asked_at = self._now()
        if asked.number < self._number or (asked.number > self._number and isinstance(asked.do, Again)):
            return Gone()
        if isinstance(asked.do, Interrupt):
            self._number = asked.number
            await self.call_off()
            return Gone() if self.session.over else Done()
        if asked.number > self._number:
            former, self._number = self._under_way, asked.number
            self._under_way = asyncio.create_task(self._do(former, asked.do))
        if self._under_way is None:
            return Gone()
        said = await _soon(self._under_way)
        self.used_at = self._now()
        return said

    async def call_off(self) -> None:
        """Cancel what is under way, and wait for it."""
        task = self._under_way
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
        await self._stop_taking()

    async def end(self) -> None:
        """End it, with all that is under way."""
        await self.session.end()
        await self.call_off()
        await asyncio.to_thread(_removed, self._folder)

    async def _do(self, former: "asyncio.Task[Answer] | None", do: object) -> Answer:
        if former is not None and not former.done():  # its asker has given up
            former.cancel()
            await asyncio.wait({former})
        if not isinstance(do, Take):
            await self._stop_taking()
        try:
            if isinstance(do, Code):
                return self._add(do.piece)
            if isinstance(do, Run):
                return await self._run(do)
            if isinstance(do, Put):
                return await self._put(do)
            if isinstance(do, Take):
                return await self._take(do)
            if isinstance(do, Fetch):
                whole = self._parts[do.part] if do.part < len(self._parts) else b""
                return Bytes(whole[do.at : do.at + do.size])
        except SandboxTrouble as trouble:
            return Gone() if self.session.over else Trouble(trouble.message[:1000])
        return Gone()

    def _add(self, piece: bytes) -> Answer:
        if len(self._code) + len(piece) > MOST_CODE:
            self._code.clear()
            return Trouble("The code is too long.")
        self._code += piece
        return Done()

    async def _run(self, do: Run) -> Answer:
        if isinstance(said := self._add(do.piece), Trouble):
            return said
        code = self._code.decode("utf-8", "replace")
        self._code.clear()
        ran = await self.session.run(code, min(do.seconds, LONGEST_CELL))
        logs = ran.logs.encode("utf-8", "replace")
        self._parts = [logs, *(each.png for each in ran.plots)]
        return Cell(
            raised=ran.raised,
            ended=ran.ended,
            left=[(each.name, each.size) for each in ran.left],
            unseen=ran.unseen,
            logs=logs if len(logs) <= _SHORT else b"",
            sizes=[len(each) for each in self._parts],
        )

    async def _put(self, do: Put) -> Answer:
        """Keep a piece of a file, and put it in when it is whole."""
        waiting = self._folder / "in"

        def kept() -> bool:
            with waiting.open("wb" if do.first else "ab") as file:
                file.write(do.piece)
                return file.tell() <= MOST_DISK

        try:
            fits = await asyncio.to_thread(kept)
        except OSError as error:
            raise SandboxTrouble(f"the code worker's disk does not take it ({error.strerror})") from error
        try:
            if not fits:
                raise SandboxTrouble("it is too large")
            if do.last:
                await self.session.put(do.name, waiting)
        finally:
            if do.last or not fits:
                await asyncio.to_thread(waiting.unlink, missing_ok=True)
        return Done()

    async def _take(self, do: Take) -> Answer:
        """Give the next piece of a file."""
        if do.first:
            await self._stop_taking()
            self._taking = cast("AsyncGenerator[bytes, None]", self.session.take(do.name))
        if self._taking is None:
            raise SandboxTrouble("it was not begun")
        while len(self._rest) < do.size:
            try:
                self._rest += await anext(self._taking)
            except StopAsyncIteration:
                break
        piece, self._rest = self._rest[: do.size], self._rest[do.size :]
        if len(piece) < do.size:
            await self._stop_taking()
        return Bytes(piece)

    async def _stop_taking(self) -> None:
        taking, self._taking, self._rest = self._taking, None, b""
        if taking is not None:
            with contextlib.suppress(SandboxTrouble):
                await taking.aclose()


_SHORT = 32 * 1024
"""Bytes of what a cell printed that come with its end."""


async def _soon(task: "asyncio.Task[Answer]") -> Answer:
    """Return what comes of a task, or that it is under way."""
    await asyncio.wait({task}, timeout=_BUSY)
    if not task.done():
        return Busy()
    return Gone() if task.cancelled() else task.result()


def _removed(folder: Path) -> None:
    for each in folder.glob("*"):
        each.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
