"""Due work that tells webhooks of events, until they have heard them or the event is given up.

The work goes only when its receiver has answered 2xx, so every event is told at least once, whatever dies
in between. Receivers are served side by side: one that is slow or gone holds up nobody.
"""

import logging
import traceback
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import msgspec

from clew.core.due import Limits, Work, spread
from clew.core.journal import journal
from clew.core.records import Run, Step
from clew.core.states import RunStatus
from clew.core.webhooks import DELIVERY, Delivery, DeliveryError, Webhook, WebhookEvent
from clew.engine.due_work import Context, Done, Failed, Kind, Outcome
from clew.hooks import DeliveryTried
from clew.net.client import GuardedHttp, Unreachable
from clew.net.guard import UrlBlocked
from clew.net.signature import signed_headers
from clew.process import Process
from clew.store import runs, steps, webhooks
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.vault import Unreadable, Vault

DELAYS = (5_000, 30_000, 120_000, 600_000, 3_600_000, 10_800_000, 43_200_000)
"""Milliseconds from each failed attempt to the next; after the last, the delivery is given up."""

_GONE = 410
_EVENT = "evt_"

_log = logging.getLogger(__name__)

Encode: TypeAlias = Callable[[WebhookEvent], bytes]
"""Makes the body that a webhook gets."""

Jitter: TypeAlias = Callable[[Work], float]
"""Returns by which part of its delay, from 0 to 1, a delivery's next attempt comes later."""


class _Subject(NamedTuple):
    """Who is told, and of what: the run as it was at the event, and the step that it waited for."""

    webhook: Webhook
    run: Run
    open_step: Step | None


class WebhookDeliveries(Kind):
    """Tells webhooks of events. A webhook's work is a lane.

    Args:
        encode: makes an event's body; wire knows how.
        vault: opens their secrets.
        jitter: spreads retries.
    """

    name = DELIVERY
    limits = Limits(in_all=256, per_project=80, per_lane=4)

    def __init__(
        self,
        db: Database,
        *,
        http: GuardedHttp,
        encode: Encode,
        process: Process,
        vault: Vault,
        jitter: Jitter = spread,
    ) -> None:
        self._db, self._http, self._encode = db, http, encode
        self._clock, self._ids, self._hooks = process.clock, process.ids, process.hooks
        self._jitter, self._vault = jitter, vault

    def delay(self, work: Work) -> int | None:
        if work.attempts >= len(DELAYS):
            return None
        return int(DELAYS[work.attempts] * (1 + self._jitter(work)))

    async def perform(self, work: Work, context: Context) -> Outcome:
        """Make one attempt. What was deleted meanwhile, webhook or run, is told no more."""
        delivery = msgspec.convert(work.payload, Delivery)
        subject = await self._db.read(_subject, work, delivery)
        if subject is None:
            return Done()
        status, problem = await self._tell(work, delivery, subject)
        webhook_id, gone = work.lane, status == _GONE
        tried = partial(self._tried, work, delivery, status, problem)
        if status is not None and 200 <= status < 300:
            return Done(partial(webhooks.heard, webhook_id=webhook_id), tried)
        error = DeliveryError(
            at=self._clock.now(),
            event=delivery.event,
            run_id=delivery.run_id,
            attempts=work.attempts + 1,
            status=status,
            message=problem,
            next_attempt_at=None,
        )
        store = webhooks.disable if gone else webhooks.not_heard
        return Failed(problem, partial(store, webhook_id=webhook_id, error=error), tried, final=gone)

    def _tried(
        self, work: Work, delivery: Delivery, status: int | None, problem: str, again: int | None
    ) -> None:
        """Tell those who watch what has become of an attempt."""
        if not self._hooks.delivery_tried:
            return
        heard = status is not None and 200 <= status < 300
        failed = "disabled" if status == _GONE else "given up" if again is None else "will be told again"
        self._hooks.tell(
            DeliveryTried(
                project=work.project,
                webhook_id=work.lane,
                event=delivery.event,
                run_id=delivery.run_id,
                attempts=work.attempts + 1,
                status=status,
                problem=None if heard else problem,
                outcome="told" if heard else failed,
            )
        )

    async def _tell(self, work: Work, delivery: Delivery, subject: _Subject) -> tuple[int | None, str]:
        """Ask the URL; return the answer's status, None if there was none, and what is wrong."""
        webhook, run, open_step = subject
        event_id = self._ids.derived(_EVENT, delivery.run_id, str(delivery.position))
        try:
            body = self._encode(WebhookEvent(event_id, delivery.event, work.created_at, run, open_step))
            secret = self._vault.open(webhook.secret, webhook.id)
            signed = signed_headers(secret, event_id, self._clock.now() // 1000, body)
            headers = {"Content-Type": "application/json", **signed}
            reply = await self._http.post(webhook.url, body, headers)
        except Unreadable:
            return None, (
                "Its secret was sealed with another secret of this installation: give the server the former "
                "secret.key, or make the webhook anew."
            )
        except UrlBlocked as refused:
            return None, f"The URL is not asked: {refused}."
        except Unreachable as unreachable:
            return None, f"The URL gave no answer: {unreachable}."
        except Exception as error:  # what it says might hold the URL; where it was raised does not
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("webhook %s: %s at\n%s", webhook.id, type(error).__name__, where)
            return None, "The server could not send the event. Its log says more."
        hint = " Redirects are not followed." if 300 <= reply.status < 400 else ""
        return reply.status, f"The URL answered {reply.status}.{hint}"

    async def close(self) -> None:
        await self._http.aclose()


async def _subject(tx: Transaction, work: Work, delivery: Delivery) -> _Subject | None:
    """Return who is told of what; None if either was deleted, or the webhook disabled.

    A run that is over does not change. One that required action may have gone on since: what it was
    then, its journal tells.
    """
    webhook = await webhooks.get(tx, work.project, work.lane)
    run = await runs.get(tx, work.project, delivery.thread_id, delivery.run_id)
    if webhook is None or webhook.disabled_at is not None or run is None:
        return None
    if delivery.event != f"run.{RunStatus.REQUIRES_ACTION}":
        return _Subject(webhook, run, None)
    for entry in journal(run, await steps.of_run(tx, run.id), ()):
        if entry.position == delivery.position and isinstance(entry.subject, Run):
            return _Subject(webhook, entry.subject, entry.open_step)
    return None
