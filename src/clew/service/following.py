"""Follows a run's journal from any position: from the bus where it can, from the rows where it must."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from clew.bus.events import Make, Subscription
from clew.core.entries import Entry, trimmed
from clew.core.journal import journal
from clew.core.records import Run
from clew.service.context import Services
from clew.store import messages, runs, steps
from clew.store.statement import Transaction

T = TypeVar("T")


class RunKeys(NamedTuple):
    """Which run: its project, its thread and its own id."""

    project: str
    thread_id: str
    run_id: str


class Follower:
    """One reader of a run. Sees every event after ``seen`` once, in order, whoever works on the run."""

    def __init__(self, services: Services, keys: RunKeys, seen: int) -> None:
        self._db = services.db
        self._keys = keys
        self._seen = seen
        self._live: Subscription = services.events.subscribe(keys.run_id)
        self.over = False
        """Whether the run was found to be over, with nothing more to come."""

    async def look(self, *, long_quiet: bool = False) -> Sequence[Entry]:
        """Return what has happened since, as the rows say, whatever the bus has told.

        With ``long_quiet``, a run without a row is over: whoever deleted it has said all that there is.
        """
        lasting = await self._read_rows(long_quiet)
        return [*lasting, *self._see(self._live.since(self._seen) or ())]

    async def take(self, make: Make[T]) -> T:
        """Return what ``make`` makes of what has happened since: once for all readers who lack the same."""
        made = self._live.made(self._seen, make)
        if made is None:
            return make(await self.look())
        self._seen = made.end
        return made.value

    async def wait(self) -> None:
        """Return when there may be something to read, or :meth:`wake` was called."""
        await self._live.wait()

    def wake(self) -> None:
        """Have :meth:`wait` return."""
        self._live.wake()

    def close(self) -> None:
        """Stop following."""
        self._live.close()

    def _see(self, entries: Sequence[Entry]) -> list[Entry]:
        new = [left for entry in entries if (left := trimmed(entry, self._seen)) is not None]
        if new:
            self._seen = new[-1].end
        return new

    async def _read_rows(self, long_quiet: bool) -> list[Entry]:
        found = await self._db.read(_journal, self._keys)
        if found is None:  # deleted: what is left is what the bus still has to say of it
            start = self._live.start
            self.over = long_quiet or start is None
            self._seen = self._seen if start is None else max(self._seen, start - 1)
            return []
        run, entries = found
        new = self._see(entries)
        self._seen = max(self._seen, run.position)
        self.over = not run.status.live
        return new


async def _journal(tx: Transaction, keys: RunKeys) -> tuple[Run, list[Entry]] | None:
    run = await runs.get(tx, *keys)
    if run is None:
        return None
    return run, journal(run, await steps.of_run(tx, run.id), await messages.of_run(tx, run.id))
