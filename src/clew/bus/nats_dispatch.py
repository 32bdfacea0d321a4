"""Dispatch over NATS JetStream: runs wait in a work queue until a worker of any process has room.

A run that this process can take at once never sees the bus. The others wait in a stream with one
subject a run, so a run that is dispatched again while it waits is there once. A worker asks for as many
as it has room for, claims what it is handed, and then the row says who owns it: the message is
acknowledged, and whether its owner lives is a question of presence (decision 8).

Source: NATS JetStream wire API (reference "JetStream wire API", consumer MSG.NEXT; ADR-13).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError

from clew.bus.bus import BusError
from clew.bus.dispatch import RunWorker
from clew.bus.local_dispatch import LocalDispatch
from clew.bus.nats_link import NatsLink
from clew.core.decisions import RunState

_CONSUMER = "workers"
_MOST_AT_ONCE = 100
_EXPIRY = 2.0
"""Seconds after which a standing request for runs is made anew. The request of a process that stands still
goes on to be answered for so long, and what it is handed then waits for ``_ACK_WAIT`` besides."""

_ACK_WAIT = 2.0
"""Seconds in which whoever is handed a run must have claimed it, or it is handed to another."""

_PUBLISH_TIMEOUT = 2.0
_ANSWER_TIMEOUT = 0.5
"""Seconds in which the process that works on a run says so."""

_PAUSE = 1.0
_ACKS = "$JS.ACK."
_OLDER_WAITS = 10077
"""JetStream's error code for a subject that holds a message already."""

_log = logging.getLogger(__name__)


class NatsDispatch:
    """Works on runs here as far as there is room, and hands the others on.

    Args:
        link: the connection, opened before :meth:`start`.
        worker: the id under which this process claims runs.
        limit: how many runs are worked on at once; 0 for a process that only serves.
        line: how many runs may wait in the queue before it is full.
    """

    def __init__(self, link: NatsLink, worker: str, limit: int, line: int) -> None:
        self._link = link
        self._line, self._waiting = line, 0
        self._local = LocalDispatch(worker, limit)
        self._works = limit > 0
        self._stream = f"{link.prefix}-runs"
        self._queue = f"{link.prefix}.runs"
        self._attention = f"{link.prefix}.attention"
        self._inbox = ""
        self._outstanding = 0
        self._changed = asyncio.Event()
        self._puller: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._ending = asyncio.Event()

    def serve(self, worker: RunWorker | None, look_by: Callable[[int], None]) -> None:
        """Say who works, if anybody does, and who is to be told of times at which something is due."""
        self._local.serve(worker, look_by)

    async def start(self) -> None:
        """Make the queue if it is not there, and begin to take runs from it.

        Raises:
            BusError: the server has no JetStream, or does not permit it.
        """
        try:
            await self._link.permitted(self._make_queue())
        except (NatsError, TimeoutError) as error:
            raise BusError(
                f"The NATS server makes no stream ({type(error).__name__}). "
                "Start it with JetStream: nats-server -js"
            ) from error
        self._link.on_reconnect(self._reconnected)
        if self._works:
            await self._link.listen(self._attention, self._attend)
            self._inbox = self._link.new_inbox()
            await self._link.listen_to_server(self._inbox, self._receive)
            self._local.on_room = self._changed.set
            self._puller = asyncio.ensure_future(self._pull())
        self._in_background(self._watch_queue())

    # --- what a process asks ---------------------------------------------------------------------

    @property
    def claimant(self) -> str | None:
        return self._local.claimant

    @property
    def active(self) -> int:
        """How many runs this process works on."""
        return self._local.active

    @property
    def full(self) -> bool:
        return self._waiting >= self._line and not self._local.room

    @property
    def works(self) -> bool:
        return self._works

    @property
    def waiting(self) -> int:
        return self._waiting + self._local.waiting

    def full_for(self, project: str) -> bool:
        """Whether the queue is full, which nobody knows by project."""
        return self.full

    def advance(self, run_id: str, claimed: RunState | None = None, *, project: str = "") -> None:
        if claimed is not None or self._local.room:
            self._local.advance(run_id, claimed, project=project)
        else:
            self._in_background(self._enqueue(run_id))

    def interrupt(self, run_id: str) -> None:
        if self._local.works_on(run_id):
            self._local.interrupt(run_id)
        else:
            self._in_background(self._interrupt_elsewhere(run_id))

    def wake_at(self, due: int) -> None:
        self._local.wake_at(due)

    def at_work(self) -> set[str]:
        return self._local.at_work()

    def works_on(self, run_id: str) -> bool:
        return self._local.works_on(run_id)

    # --- the queue -------------------------------------------------------------------------------

    async def _make_queue(self) -> None:
        stream = StreamConfig(
            name=self._stream,
            subjects=[f"{self._queue}.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            max_msgs_per_subject=1,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            duplicate_window=0.1,
        )
        consumer = ConsumerConfig(
            durable_name=_CONSUMER,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT,
            max_ack_pending=100_000,
            max_waiting=10_000,
        )
        jetstream = self._link.jetstream
        await jetstream.add_stream(stream)
        await jetstream.add_consumer(self._stream, consumer)

    def _reconnected(self) -> None:
        self._outstanding = 0
        self._changed.set()
        self._in_background(self._remake_queue())

    async def _remake_queue(self) -> None:
        """A server that has come back may have forgotten everything."""
        try:
            await self._make_queue()
        except (NatsError, TimeoutError) as error:
            _log.warning("the queue of runs cannot be made: %s", error)

    async def _enqueue(self, run_id: str) -> None:
        """Put a run into the queue. If that fails, the sweep does it later."""
        subject = f"{self._queue}.{run_id}"
        sealed = self._link.sealed(subject, run_id.encode())
        try:
            await self._link.jetstream.publish(subject, sealed, timeout=_PUBLISH_TIMEOUT)
        except APIError as error:
            if error.err_code != _OLDER_WAITS:
                _log.warning("run %s: the queue does not take it: %s", run_id, error.description)
        except (NatsError, TimeoutError) as error:
            _log.warning("run %s: it could not be queued: %s", run_id, type(error).__name__)

    async def _watch_queue(self) -> None:
        """Know about how many runs wait."""
        while not self._closing:
            with suppress(NatsError, TimeoutError):
                self._waiting = (await self._link.jetstream.stream_info(self._stream)).state.messages
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._ending.wait()

    async def _pull(self) -> None:
        """Keep a request for runs standing, for as many as there is room for."""
        while not self._closing:
            self._changed.clear()
            room = min(self._local.room, _MOST_AT_ONCE)
            if room and not self._outstanding:
                self._outstanding = room
                request = {"batch": room, "expires": int(_EXPIRY * 1e9)}
                subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{_CONSUMER}"
                self._link.command(subject, msgspec.json.encode(request), self._inbox)
            try:
                async with asyncio.timeout(_EXPIRY + _PAUSE):
                    await self._changed.wait()
            except TimeoutError:  # the request, or its end, was lost
                self._outstanding = 0

    async def _receive(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is not None:
            await self._request_ended(status)
            return
        self._outstanding = max(0, self._outstanding - 1)
        if self._outstanding == 0:
            self._changed.set()
        # What is not out of the queue would have us answer on a subject of the sender's choice.
        if not message.reply.startswith(_ACKS):
            self._link.dropped.add(message.subject)
            return
        payload = self._link.opened(message)
        if payload is None:  # nobody else should be handed it
            self._link.command(message.reply, b"+TERM")
            return
        run_id = payload.decode()
        if self._local.works_on(run_id):  # told twice
            self._link.command(message.reply, b"+ACK")
        elif self._closing:
            self._link.command(message.reply, b"-NAK")
        else:
            self._local.deliver(run_id, lambda: self._link.command(message.reply, b"+ACK"))

    async def _request_ended(self, status: str) -> None:
        if status == "100":  # a heartbeat
            return
        if status in ("404", "408"):
            self._outstanding = 0
            self._changed.set()
        else:  # the queue is gone, or moves; it is asked again in a while
            _log.warning("the queue of runs answers %s", status)
            await self._remake_queue()

    # --- interrupting ----------------------------------------------------------------------------

    async def _interrupt_elsewhere(self, run_id: str) -> None:
        """Have the worker of another process look at a run; if none works on it, have it advanced."""
        if await self._link.ask(self._attention, run_id.encode(), _ANSWER_TIMEOUT) is None:
            self.advance(run_id)

    async def _attend(self, message: Msg) -> None:
        run_id = message.data.decode()
        if self._local.works_on(run_id):
            self._local.interrupt(run_id)
            self._link.send(message.reply, b"")

    # --- ending ----------------------------------------------------------------------------------

    def begin_to_close(self) -> None:
        """Take no more runs."""
        self._closing = True
        self._ending.set()
        self._changed.set()
        self._local.begin_to_close()

    async def finish(self, seconds: float) -> None:
        """Give what is under way so much time to end."""
        await self._local.finish(seconds)

    async def hand_over(self, run_ids: list[str]) -> None:
        """Put runs that this process has given up back into the queue."""
        await asyncio.gather(*map(self._enqueue, run_ids))

    async def close(self) -> None:
        """Stop all work. What was in flight goes on elsewhere."""
        self.begin_to_close()
        if self._puller is not None:
            self._puller.cancel()
        await self._local.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
