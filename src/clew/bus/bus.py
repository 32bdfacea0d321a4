"""The bus as a whole: dispatch and events that belong together, in one process or over NATS."""

from collections.abc import Callable
from typing import Protocol

from clew.bus.dispatch import Dispatch, RunWorker
from clew.bus.events import Events
from clew.bus.local_dispatch import LocalDispatch
from clew.bus.local_events import LocalEvents


class ServingDispatch(Dispatch, Protocol):
    """A dispatch as its process starts and ends it."""

    def serve(self, worker: RunWorker | None, look_by: Callable[[int], None]) -> None:
        """Say who works, if anybody does, and who is to be told of times at which something is due."""
        ...

    @property
    def active(self) -> int:
        """How many runs this process works on."""
        ...

    def begin_to_close(self) -> None:
        """Begin nothing new."""
        ...

    async def finish(self, seconds: float) -> None:
        """Give what is under way so much time to end."""
        ...

    async def hand_over(self, run_ids: list[str]) -> None:
        """Have other processes go on with runs that this one has given up."""
        ...

    async def close(self) -> None:
        """Stop all work."""
        ...


class Bus(Protocol):
    """What carries wake-ups and live events."""

    @property
    def dispatch(self) -> ServingDispatch: ...

    @property
    def events(self) -> Events: ...

    @property
    def shared(self) -> bool:
        """Whether other processes are on it too."""
        ...

    @property
    def up(self) -> bool:
        """Whether it carries anything now."""
        ...

    @property
    def dropped(self) -> int:
        """How many messages were dropped, because they are not of this installation or were altered."""
        ...

    async def open(self, lost: Callable[[], None]) -> None:
        """Connect and begin to carry. ``lost`` is called when what was dispatched may have been lost.

        Raises:
            BusError: it can't be reached.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class LocalBus:
    """The bus of a process that is alone on its database.

    Args:
        worker: the id under which this process claims runs.
        limit: how many runs are worked on at once.
        line: how many more may wait.
    """

    shared = False
    up = True
    dropped = 0

    def __init__(self, worker: str, limit: int, line: int = 1000) -> None:
        self.dispatch = LocalDispatch(worker, limit, line)
        self.events = LocalEvents()

    async def open(self, lost: Callable[[], None]) -> None:
        """Nothing is to be connected."""

    async def close(self) -> None:
        """Nothing is to be disconnected."""


class BusError(Exception):
    """The bus cannot be used. The message says what to do."""
