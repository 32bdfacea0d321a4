"""The bus of processes that share a database, over NATS."""

from collections.abc import Callable

from clew.bus.nats_access import BusAddress
from clew.bus.nats_dispatch import NatsDispatch
from clew.bus.nats_events import NatsEvents
from clew.bus.nats_link import NatsLink


class NatsBus:
    """Dispatch over JetStream, events over plain NATS.

    Args:
        address: where the servers are, and how this process gets in.
        prefix: begins every subject, so that installations can share a server.
        secret: the installation's; messages that were not made with it are dropped.
        worker: the id under which this process claims runs.
        limit: how many runs are worked on at once; 0 for a process that only serves.
        line: how many runs may wait for a worker with room.
    """

    shared = True

    def __init__(
        self, address: BusAddress, *, prefix: str, secret: bytes, worker: str, limit: int, line: int = 1000
    ) -> None:
        self._worker = worker
        self._link = NatsLink(address, prefix, secret)
        self.dispatch = NatsDispatch(self._link, worker, limit, line)
        self.events = NatsEvents(self._link, self.dispatch.works_on)

    @property
    def up(self) -> bool:
        """Whether the connection stands now."""
        return self._link.up

    @property
    def dropped(self) -> int:
        """How many messages were not of this installation, or altered."""
        return self._link.dropped.count

    async def open(self, lost: Callable[[], None]) -> None:
        """Connect, and begin to take runs. ``lost`` is called when a lost connection has come back.

        Raises:
            BusError: no server answers, or it has no JetStream.
        """
        await self._link.open(self._worker)
        await self.events.start()
        await self.dispatch.start()
        self._link.on_reconnect(lost)

    async def close(self) -> None:
        """Send what still waits, and disconnect."""
        await self._link.close()
