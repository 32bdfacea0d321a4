"""Events: what happens to a run, as readers see it live.

Every event has its position in the run's journal (:mod:`clew.core.journal`). The bus carries the
newest of them; a reader that is further back takes what it missed from the rows.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from clew.bus.feed import Feed
from clew.bus.turnstile import Turnstile
from clew.core.entries import Entry

T = TypeVar("T")
Make: TypeAlias = Callable[[Sequence[Entry]], T]


class Made(NamedTuple, Generic[T]):
    """What was made of some events, and the position of the last of them."""

    end: int
    value: T


class Subscription(Protocol):
    """One reader of a run's live events."""

    def since(self, position: int) -> Sequence[Entry] | None:
        """Return the live events that end after ``position``.

        None means that the bus no longer has, or never had, what comes right after ``position``.
        """
        ...

    def made(self, position: int, make: Make[T]) -> Made[T] | None:
        """Return what ``make`` makes of all events after ``position``.

        Pieces that follow each other are joined where the process, or this reader, is behind.
        It is made once for all readers of the run who stand there and want the same: ``make`` is to be one
        function for all of them. None means what it means in :meth:`since`.
        """
        ...

    @property
    def start(self) -> int | None:
        """The position of the oldest live event; None if there is none."""
        ...

    async def wait(self) -> None:
        """Return when there is something new since the last :meth:`wait`, or :meth:`wake` was called."""
        ...

    def wake(self) -> None:
        """Have :meth:`wait` return."""
        ...

    async def wait_for_commit(self) -> None:
        """Return when something that lasts has happened since the last :meth:`wait_for_commit`."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class Events(Protocol):
    """Carries live events from whoever works on a run to its readers."""

    @property
    def feed(self) -> Feed:
        """What tells of all runs of a project."""
        ...

    @property
    def turnstile(self) -> Turnstile:
        """What holds back pieces and readers while the event loop is behind."""
        ...

    def publish(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Hand over events that follow those handed over before. Never waits for a reader."""
        ...

    def committed(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Hand over the events of a commit: what came before an earlier commit may be forgotten."""
        ...

    def left(self, run_id: str) -> None:
        """Say that this process works on the run no more: whoever goes on with it may be another."""
        ...

    def wake_readers(self) -> None:
        """Have every reader here look, whatever there is."""
        ...

    def subscribe(self, run_id: str) -> Subscription:
        """Start reading a run's live events."""
        ...
