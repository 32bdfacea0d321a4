"""The deliverer: tells webhooks what the outbox holds, until they have heard it or it is given up.

A row of the outbox goes only when its receiver has answered 2xx, so every event is told at least once,
whatever dies in between. Receivers are served side by side: one that is slow or gone holds up nobody.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from clew.clock import Clock
from clew.core.journal import journal
from clew.core.records import Run, Step
from clew.core.states import RunStatus
from clew.engine.lifecycle import LoopingService
from clew.ids import Ids
from clew.net.client import GuardedHttp, Unreachable
from clew.net.guard import Refused
from clew.net.signature import signed_headers
from clew.store import runs, steps, webhooks
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.store.webhooks import Delivery, DeliveryError

DELAYS = (5_000, 30_000, 120_000, 600_000, 3_600_000, 10_800_000, 43_200_000)
"""Milliseconds from each failed attempt to the next; after the last, the delivery is given up."""

_AT_ONCE = 256
"""Requests under way at one time."""

_PER_WEBHOOK = 4
"""Of these, to one webhook."""

_INTERVAL = 30_000
"""Milliseconds between two looks at the outbox, in case a wake-up was lost."""

_PAUSE = 5_000
"""Milliseconds before a delivery whose outcome could not be stored is taken up again."""

_LEASE = 30_000
"""Milliseconds for which a delivery is kept from other processes: longer than a request may take."""

_GONE = 410
_EVENT = "evt_"

_log = logging.getLogger(__name__)


class Event(NamedTuple):
    """What a webhook is told: an event's id and name, when it was (milliseconds), and the run then."""

    id: str
    name: str
    created_at: int
    run: Run
    waiting: Step | None


Encode: TypeAlias = Callable[[Event], bytes]
"""Makes the body that a webhook gets."""

Jitter: TypeAlias = Callable[[Delivery], float]
"""Returns by which part of its delay, from 0 to 1, a delivery's next attempt comes later."""


def spread(delivery: Delivery) -> float:
    """Spread retries over a fifth of their delay: each delivery's own, and always the same."""
    digest = sha256(f"{delivery.webhook_id}/{delivery.run_id}/{delivery.attempts}".encode()).digest()
    return digest[0] / 256 / 5


class Deliverer(LoopingService):
    """Tells webhooks of events.

    Args:
        encode: makes an event's body; wire knows how.
        jitter: spreads retries.
        shared: whether other processes deliver from the same outbox.
    """

    def __init__(
        self,
        db: Database,
        *,
        http: GuardedHttp,
        encode: Encode,
        clock: Clock,
        ids: Ids,
        jitter: Jitter = spread,
        shared: bool = False,
    ) -> None:
        self._db, self._http, self._encode = db, http, encode
        self._clock, self._ids, self._jitter = clock, ids, jitter
        self._shared = shared
        self._under_way: dict[int, dict[int, asyncio.Task[None]]] = {}
        self._count = 0
        self._last_served = 0
        self._nudge = asyncio.Event()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0

    def wake(self) -> None:
        """Look at the outbox soon."""
        self._nudge.set()

    async def run(self) -> None:
        """Deliver until cancelled. What was under way then is told again after the next start."""
        try:
            while True:
                self._nudge.clear()
                now = self._clock.now()
                try:
                    upcoming = await self._look(now)
                except Exception:
                    _log.exception("the outbox could not be read; the next look follows in %d ms", _PAUSE)
                    upcoming = now + _PAUSE
                await self._wait(min(upcoming or now + _INTERVAL, now + _INTERVAL))
        finally:
            tasks = [task for lane in self._under_way.values() for task in lane.values()]
            tasks += [self._alarm] if self._alarm is not None else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._http.aclose()

    async def _wait(self, until: int) -> None:
        """Return when woken, or at ``until`` at the latest. An alarm that comes too early does no harm."""
        if self._alarm is None or self._alarm.done() or until < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_at = asyncio.ensure_future(self._ring(until)), until
        await self._nudge.wait()

    async def _ring(self, at: int) -> None:
        await self._clock.sleep(at - self._clock.now())
        self._nudge.set()

    # --- what is due ---------------------------------------------------------------------------

    async def _look(self, now: int) -> int | None:
        """Start what is due and has room; return when the next delivery will be due, if one will."""
        first, upcoming = await self._db.fetch(webhooks.next_due, now)
        if first is not None and first <= now:
            waiting = await self._db.scan(webhooks.waiting, now)
            for webhook_seq in sorted(waiting, key=self._turn):
                await self._fill(webhook_seq, now)
        return upcoming

    def _turn(self, webhook_seq: int) -> tuple[int, bool]:
        """Say whose turn it is: first who has the fewest requests under way; among equals, in a round."""
        return len(self._under_way.get(webhook_seq, ())), webhook_seq <= self._last_served

    async def _fill(self, webhook_seq: int, now: int) -> None:
        """Start as many of a webhook's deliveries as there is room for. Each that ends makes room."""
        lane = self._under_way.get(webhook_seq, {})
        room = min(_PER_WEBHOOK - len(lane), _AT_ONCE - self._count)
        if room <= 0:
            return
        found = await self._db.fetch(webhooks.due, webhook_seq, now, len(lane) + room)
        for delivery in [each for each in found if each.seq not in lane][:room]:
            task = asyncio.ensure_future(self._deliver(delivery))
            self._under_way.setdefault(webhook_seq, {})[delivery.seq] = task
            self._count, self._last_served = self._count + 1, webhook_seq
            task.add_done_callback(partial(self._ended, delivery))

    def _ended(self, delivery: Delivery, _: "asyncio.Task[None]") -> None:
        self._count -= 1
        lane = self._under_way[delivery.webhook_seq]
        del lane[delivery.seq]
        if not lane:
            del self._under_way[delivery.webhook_seq]
        self.wake()

    # --- one delivery --------------------------------------------------------------------------

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            until = self._clock.now() + _LEASE
            if self._shared and not await self._db.write(webhooks.lease, delivery, until):
                return
            subject = await self._db.read(_subject, delivery)
            if subject is None:
                await self._db.write(webhooks.drop, delivery)
                return
            status, problem = await self._tell(delivery, *subject)
            await self._settle(delivery, status, problem)
        except Exception:
            _log.exception("webhook %s: what became of a delivery is not stored", delivery.webhook_id)
            await self._clock.sleep(_PAUSE)

    async def _tell(self, delivery: Delivery, run: Run, waiting: Step | None) -> tuple[int | None, str]:
        """Make one attempt; return the answer's status, None if there was none, and what is wrong."""
        event_id = self._ids.derived(_EVENT, delivery.run_id, str(delivery.position))
        try:
            body = self._encode(Event(event_id, delivery.event, delivery.created_at, run, waiting))
            signed = signed_headers(delivery.secret, event_id, self._clock.now() // 1000, body)
            headers = {"Content-Type": "application/json", **signed}
            reply = await self._http.post(delivery.url, body, headers)
        except Refused as refused:
            return None, f"The URL is not asked: {refused}."
        except Unreachable as unreachable:
            return None, f"The URL gave no answer: {unreachable}."
        except Exception as error:  # what it says might hold the URL; where it was raised does not
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("webhook %s: %s at\n%s", delivery.webhook_id, type(error).__name__, where)
            return None, "The server could not send the event. Its log says more."
        hint = " Redirects are not followed." if 300 <= reply.status < 400 else ""
        return reply.status, f"The URL answered {reply.status}.{hint}"

    async def _settle(self, delivery: Delivery, status: int | None, problem: str) -> None:
        if status is not None and 200 <= status < 300:
            await self._db.write(webhooks.delivered, delivery)
            return
        now, attempts = self._clock.now(), delivery.attempts + 1
        gone = status == _GONE
        again = None if gone or attempts > len(DELAYS) else now + self._delay(delivery)
        error = DeliveryError(
            at=now,
            event=delivery.event,
            run_id=delivery.run_id,
            attempts=attempts,
            status=status,
            message=problem,
            next_attempt_at=again,
        )
        await self._db.write(webhooks.disable if gone else webhooks.failed, delivery, error)
        level = logging.INFO if again else logging.WARNING
        outcome = "disabled" if gone else "will be told again" if again else "given up"
        told = (delivery.webhook_id, delivery.event, delivery.run_id, attempts, problem, outcome)
        _log.log(level, "webhook %s, %s of %s, attempt %d: %s %s", *told)

    def _delay(self, delivery: Delivery) -> int:
        return int(DELAYS[delivery.attempts] * (1 + self._jitter(delivery)))


async def _subject(tx: Transaction, delivery: Delivery) -> tuple[Run, Step | None] | None:
    """Return the run as it was at the event, with the step it waited for; None if it was deleted.

    A run that is over does not change. One that required action may have gone on since: what it was
    then, its journal tells.
    """
    run = await runs.get(tx, delivery.project, delivery.thread_id, delivery.run_id)
    if run is None or delivery.event != f"run.{RunStatus.REQUIRES_ACTION}":
        return None if run is None else (run, None)
    for entry in journal(run, await steps.of_run(tx, run.id), ()):
        if entry.position == delivery.position and isinstance(entry.subject, Run):
            return entry.subject, entry.open_step
    return None
