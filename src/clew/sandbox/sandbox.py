"""What a sandbox is: a session of Python behind a wall, and who starts one.

Whatever comes out of a session is hostile: the code in it may have taken over everything on its side of the
wall, the kernel that runs cells too. So all that it says is bounded and read as data, and names are never
followed.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

DATA = "/mnt/data"
"""The folder that code finds its files in, and leaves them in: where programs for assistants expect it."""

MOST_LOGS = 1024 * 1024
"""Bytes of what one cell prints; what comes after is dropped, and said to be."""

MOST_IMAGES = 20
"""Plots that one cell may show."""

MOST_FILES = 20
"""Files that are taken out after one cell; more are left inside, and said to be."""

MOST_DISK = 256 * 1024 * 1024
"""Bytes that the files of a session may have in all."""

LONGEST_CELL = 60.0
"""Seconds that one cell may run."""

Ended: TypeAlias = Literal["time", "memory", "output", "cancelled", "died"]
"""Why a session is over: a cell took too long, too much memory, printed without end, was called off and did
not stop by itself, or its process went."""


class Left(Struct, frozen=True):
    """A file in :data:`DATA` that a cell made or changed: its plain name (no folder), and its size."""

    name: str
    size: int


class Plot(Struct, frozen=True):
    """A picture that a cell showed, as PNG."""

    png: bytes


class Ran(Struct, frozen=True, kw_only=True):
    """What came of a cell.

    ``logs`` is what it printed, the last expression's value and, if it ``raised``, the traceback, in the
    order in which they came. ``left`` is what it left in :data:`DATA`, at most :data:`MOST_FILES`;
    ``unseen`` how many more there are. ``ended`` says that the session is over, with all its variables.
    """

    logs: str
    raised: bool = False
    plots: tuple[Plot, ...] = ()
    left: tuple[Left, ...] = ()
    unseen: int = 0
    ended: Ended | None = None


class SandboxTrouble(Exception):
    """A session can't be started, or went. The message is for the operator and for the model."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Session(Protocol):
    """Python behind a wall, whose variables live on from cell to cell. One cell at a time."""

    @property
    def over(self) -> bool:
        """Whether it has ended, by whatever."""
        ...

    async def put(self, name: str, source: Path) -> None:
        """Copy a file into :data:`DATA` under a plain name, replacing what stands there.

        What is put is no news: it is in no :attr:`Ran.left` until code changes it.

        Raises:
            SandboxTrouble: there is no room for it, or the session is over.
        """
        ...

    async def run(self, code: str, seconds: float = LONGEST_CELL) -> Ran:
        """Run a cell. Being cancelled interrupts it; if it has not stopped within a second, the session ends.

        Raises:
            SandboxTrouble: the session was over before.
        """
        ...

    def take(self, name: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a plain file in :data:`DATA`, bounded by :data:`MOST_DISK`.

        Raises:
            SandboxTrouble: it is none any more, or the session is over.
        """
        ...

    async def end(self) -> None:
        """End it, with everything that runs in it. May be called twice, and at any moment."""
        ...


class Driver(Protocol):
    """A way to wall sessions off."""

    @property
    def name(self) -> str:
        """What CLEW_SANDBOX calls it."""
        ...

    async def missing(self) -> str | None:
        """Try it, with attacks of its own; return the one thing it lacks here, and what brings it, if any."""
        ...

    async def start(self, session: str) -> Session:
        """Start a session. ``session`` tells it from others in logs; no two that live have the same.

        Raises:
            SandboxTrouble: it can't be started.
        """
        ...

    async def close(self) -> None:
        """End all its sessions."""
        ...


@runtime_checkable
class SharedSession(Session, Protocol):
    """A session that is not of the process that has begun it: others may go on with it."""

    @property
    def place(self) -> str:
        """Where it is, as rows say it and :meth:`SharedDriver.attach` takes it."""
        ...


@runtime_checkable
class SharedDriver(Driver, Protocol):
    """A driver whose sessions live elsewhere: they stay when this process ends, and :meth:`close` leaves
    them as they are."""

    async def attach(self, session: str, place: str) -> Session | None:
        """Return a session that lives at a place, whoever has begun it; None if it does not any more.

        It is this process' alone from then on. What runs in it is called off.
        """
        ...
