"""Sessions at code workers: processes on other machines, reached over the bus.

A code worker that dies ends its sessions; a server that dies does not: whoever goes on with its threads
attaches to them. What workers answer is bounded and checked here as what code says is behind any wall.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from nats.errors import Error as NatsError

from clew.bus.nats_link import NatsLink, NobodyListens
from clew.ids import Ids
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
    Question,
    Room,
    Run,
    Take,
    Trouble,
)
from clew.sandbox.ending import with_ending
from clew.sandbox.frames import MOST_CODE, MOST_PLOT, PIECE, plain
from clew.sandbox.sandbox import LONGEST_CELL, MOST_DISK, MOST_IMAGES, Plot, Ran, SandboxTrouble
from clew.sandbox.session import PNG

PREFIX = "code"
"""What subjects of code workers begin with, behind the installation's own prefix."""

SIGNS = 5.0
"""Seconds between two signs of life of a server."""

_ANSWER = 2.0
"""Seconds for an answer, after which the same is asked again."""

_SILENCE = 15.0
"""Seconds without an answer after which a code worker is dead, while the bus is there."""

_NOBODY = 2.0
"""Seconds for which nobody may listen in its name: it may just be connecting anew."""

_PAUSE = 0.2
_BUS_AWAY = 60.0
"""Seconds for which the bus may be away."""

_ROOM = 60.0
"""Seconds in which a code worker must have room."""

_MORE = 10.0
"""Seconds that a cell may take longer than it should, until its worker is not believed any more."""

_CALLED_OFF = 1.5
_NONE_THERE = "no code worker answers on the bus; on another machine, start one with: clew code-worker"

T = TypeVar("T", bound=Answer)


class _Dead(Exception):
    """A code worker does not answer, or what it answers is nonsense."""


class Remote:
    """See :class:`clew.sandbox.sandbox.SharedDriver`.

    Args:
        link: a connection of its own to the bus, which :meth:`missing` opens; its prefix is that of code
            workers, and its secret theirs.
    """

    name = "remote"

    def __init__(self, link: NatsLink, ids: Ids) -> None:
        self.link = link
        self._ids = ids
        self._client = ids.new("server_")
        self._turn = 0
        self._signs: asyncio.Task[None] | None = None
        self.most = PIECE

    async def missing(self) -> str | None:
        """Connect, and see whether anybody is there. Each code worker has tried its own sandbox."""
        try:
            await self._open()
            await self._offer(_ANSWER)
        except SandboxTrouble as trouble:
            return trouble.message
        return None

    async def _open(self) -> None:
        from clew.bus.bus import BusError

        if self._signs is not None:
            return
        try:
            await self.link.open(self._client)
        except BusError as error:
            raise SandboxTrouble(str(error)) from error
        self.most = min(PIECE, self.link.largest - asks.SPARE)
        self._signs = asyncio.create_task(self._show_signs())

    async def _show_signs(self) -> None:
        while True:
            self.link.send(f"{self.link.prefix}.alive", self._client.encode())
            await asyncio.sleep(SIGNS)

    async def start(self, session: str) -> "RemoteSession":
        """Start a session where there is room."""
        until = time.monotonic() + _ROOM
        while True:
            offer = await self._offer(until - time.monotonic())
            self._turn += 1
            begin = Begin(offer.ticket, session, self._client, self._turn)
            try:
                said = await self.ask(offer.worker, begin)
            except _Dead:
                raise SandboxTrouble("The code worker that was to run code has died.") from None
            if isinstance(said, Done):
                return RemoteSession(self, offer.worker, session, self._client, self._turn)
            if isinstance(said, Trouble):
                raise SandboxTrouble(shown(said.message))
            # Somebody else has taken the room.
            if time.monotonic() > until:
                raise SandboxTrouble("All code workers are busy.")

    async def _offer(self, seconds: float) -> Offer:
        until = time.monotonic() + max(seconds, _ANSWER)
        nobody = 0
        while time.monotonic() < until:
            try:
                data = await self.link.answer_to(f"{self.link.prefix}.room", asks.encode(Room()), 1.0)
            except NobodyListens:
                nobody += 1
                if nobody * _PAUSE >= _NOBODY:
                    raise SandboxTrouble(f"code_interpreter is not available: {_NONE_THERE}") from None
                await asyncio.sleep(_PAUSE)
                continue
            except (TimeoutError, NatsError, OSError):
                continue
            said = asks.answer(data)
            if isinstance(said, Offer):
                return said
        raise SandboxTrouble("All code workers are busy.")

    async def attach(self, session: str, place: str) -> "RemoteSession | None":
        """Return a session that lives at a code worker, whoever has begun it. See the protocol."""
        if not asks.is_worker(place):
            return None
        self._turn += 1
        try:
            said = await self.ask(place, Attach(session, self._client, self._turn))
        except _Dead:
            return None
        if not isinstance(said, Done):
            return None
        return RemoteSession(self, place, session, self._client, self._turn)

    async def ask(self, worker: str, what: Question, seconds: float = _BUS_AWAY) -> Answer:
        """Ask until there is an answer.

        Raises:
            _Dead: there is none.
        """
        asked = what
        nobody: float | None = None
        heard, until = time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                data = await self.link.answer_to(
                    f"{self.link.prefix}.at.{worker}", asks.encode(asked), _ANSWER
                )
            except NobodyListens:
                now = time.monotonic()
                nobody = nobody or now
                if now - nobody >= _NOBODY:
                    raise _Dead from None
                await asyncio.sleep(_PAUSE)
                continue
            except (TimeoutError, NatsError, OSError):
                if not self.link.up:
                    heard = time.monotonic()
                    await asyncio.sleep(_PAUSE)
                elif time.monotonic() - heard > _SILENCE:
                    raise _Dead from None
                continue
            said = asks.answer(data)
            if said is None:
                raise _Dead
            if not isinstance(said, Busy):
                return said
            heard, nobody = time.monotonic(), None
            if isinstance(what, Ask):
                asked = Ask(what.session, what.client, what.turn, what.number, Again())
        raise _Dead

    async def close(self) -> None:
        """Let go of all sessions; they live on, for others."""
        if self._signs is not None:
            self._signs.cancel()
            self._signs = None
        await self.link.close()


class RemoteSession:
    """See :class:`clew.sandbox.sandbox.SharedSession`."""

    def __init__(self, driver: Remote, place: str, session: str, client: str, turn: int) -> None:
        self.place = place
        self._driver, self._session = driver, session
        self._client, self._turn_of_ours = client, turn
        self._number = 0
        self._over = False
        self._turn = asyncio.Lock()

    @property
    def over(self) -> bool:
        """Whether it is known to have ended."""
        return self._over

    async def put(self, name: str, source: Path) -> None:
        """Copy a file in."""
        if not plain(name):
            raise SandboxTrouble(f"{name!r} is no plain name of a file.")
        async with self._turn:
            self._living()
            with await asyncio.to_thread(source.open, "rb") as file:
                first, last = True, False
                while not last:
                    piece = await asyncio.to_thread(file.read, self._driver.most)
                    last = len(piece) < self._driver.most
                    await self._asked(Done, Put(name, piece, first, last))
                    first = False

    async def take(self, name: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file."""
        if not plain(name):
            raise SandboxTrouble(f"{name!r} is no plain name of a file.")
        async with self._turn:
            self._living()
            size, first, piece = 0, True, None
            while piece is None or len(piece) == self._driver.most:
                said = await self._asked(Bytes, Take(name, self._driver.most, first))
                piece, first = said.piece, False
                size += len(piece)
                if size > MOST_DISK:
                    raise SandboxTrouble(f"{name} can't be taken out: it is too large")
                if piece:
                    yield piece

    async def run(self, code: str, seconds: float = LONGEST_CELL) -> Ran:
        """Run a cell."""
        sent = code.encode("utf-8", "replace")
        if len(sent) > MOST_CODE:
            return Ran(logs=f"The code is longer than {MOST_CODE} bytes.\n", raised=True)
        async with self._turn:
            self._living()
            try:
                async with asyncio.timeout(seconds + _MORE + _BUS_AWAY):
                    return await self._run(sent, seconds)
            except asyncio.CancelledError:
                await asyncio.shield(asyncio.ensure_future(self._call_off()))
                raise
            except (_Dead, TimeoutError):
                self._over = True
                return Ran(logs=with_ending("", "died"), raised=True, ended="died")

    async def _run(self, code: bytes, seconds: float) -> Ran:
        most = self._driver.most
        *before, last = [code[at : at + most] for at in range(0, len(code), most)] or [b""]
        for piece in before:
            await self._exchange(Code(piece))
        said = await self._exchange(Run(last, seconds), seconds + _MORE)
        if isinstance(said, Gone):
            self._over = True
            raise SandboxTrouble("The sandbox has ended.")
        if not isinstance(said, Cell):
            raise _Dead
        self._over = said.ended is not None
        logs = said.logs
        if said.sizes[0] > len(logs):
            logs = await self._fetched(0, said.sizes[0])
        if len(logs) > asks.MOST_SAID or any(size > MOST_PLOT for size in said.sizes[1:]):
            raise _Dead
        plots = [await self._fetched(at, size) for at, size in enumerate(said.sizes[1:], 1)]
        if len(plots) > MOST_IMAGES or not all(each.startswith(PNG) for each in plots):
            raise _Dead
        return Ran(
            logs=logs.decode("utf-8", "replace").replace("\x00", "\ufffd"),
            raised=said.raised,
            plots=tuple(map(Plot, plots)),
            left=said.files(),
            unseen=said.unseen,
            ended=said.ended,
        )

    async def _fetched(self, part: int, size: int) -> bytes:
        """Return a part of what came of the last cell, whose size was told."""
        got = bytearray()
        while len(got) < size:
            wanted = min(self._driver.most, size - len(got))
            said = await self._exchange(Fetch(part, len(got), wanted))
            if not isinstance(said, Bytes) or len(said.piece) != wanted:
                raise _Dead
            got += said.piece
        return bytes(got)

    async def _call_off(self) -> None:
        """Interrupt what runs; a session that does not say that it goes on is over."""
        try:
            said = await self._driver.ask(self.place, self._ask(Interrupt()), _CALLED_OFF)
        except _Dead:
            said = Gone()
        self._over = not isinstance(said, Done)

    async def _asked(self, kind: type[T], do: Put | Take) -> T:
        """Return the answer of a kind to something about a file.

        Raises:
            SandboxTrouble: it is another.
        """
        try:
            said = await self._exchange(do)
        except _Dead:
            said = Gone()
        if isinstance(said, Trouble):
            raise SandboxTrouble(shown(said.message))
        if not isinstance(said, kind):
            self._over = True
            raise SandboxTrouble("The sandbox ended.")
        return said

    async def _exchange(self, do: Code | Run | Put | Take | Fetch, seconds: float = _BUS_AWAY) -> Answer:
        self._number += 1
        return await self._driver.ask(self.place, self._ask(do), seconds)

    def _ask(self, do: Code | Run | Put | Take | Fetch | Interrupt | End) -> Ask:
        return Ask(self._session, self._client, self._turn_of_ours, self._number, do)

    def _living(self) -> None:
        if self._over:
            raise SandboxTrouble("The sandbox has ended.")

    async def end(self) -> None:
        """End it, wherever it is."""
        if self._over:
            return
        self._over = True
        self._number += 1
        with contextlib.suppress(_Dead):
            await self._driver.ask(self.place, self._ask(End()), _CALLED_OFF)


def shown(message: str) -> str:
    """Return what a code worker says, as far as it can be shown."""
    return "".join(each if each.isprintable() else " " for each in message)[:500]
