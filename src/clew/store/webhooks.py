"""Webhooks in the store, and the outbox: one row for each event that a webhook is still to be told.

The rows are written in the transaction of what they tell of, so an event is announced if and only if it
has happened. See decision 5.
"""

from typing import NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, null, select, update

from clew.core.entries import ENDINGS
from clew.core.records import Run
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, constant, param
from clew.store.tables import deliveries, webhooks


class DeliveryError(Struct, frozen=True, kw_only=True):
    """Why a webhook could not be told of an event. ``next_attempt_at`` is None once it is given up."""

    at: int
    event: str
    run_id: str
    attempts: int
    status: int | None
    message: str
    next_attempt_at: int | None


class Webhook(Struct, frozen=True, kw_only=True):
    """A URL that is told of runs' events. ``secret`` signs what it is sent."""

    id: str
    project: str
    created_at: int
    url: str
    events: list[str]
    secret: str
    metadata: dict[str, str] = {}
    disabled_at: int | None = None
    last_error: DeliveryError | None = None


class Delivery(NamedTuple):
    """An event that a webhook is to be told. ``position`` is the event's in the run's journal."""

    seq: int
    webhook_seq: int
    project: str
    thread_id: str
    run_id: str
    position: int
    event: str
    created_at: int
    due: int
    attempts: int
    webhook_id: str
    url: str
    secret: str


_WEBHOOK = Mapper(webhooks, Webhook)
_ONE = (webhooks.c.id == param("id"), webhooks.c.project == param("project"))
# SQLite gives the seq of a row that is gone to a new one: a delivery under way must not touch that.
_THIS = (
    deliveries.c.seq == param("delivery_seq"),
    deliveries.c.run_id == param("of_run"),
    deliveries.c.position == param("at_position"),
)
_OF_DELIVERY = [column for column in deliveries.c if column.name in Delivery._fields]


INSERT_WEBHOOK = Statement(insert(webhooks), columns=_WEBHOOK.names)
SELECT_WEBHOOK = Statement(select(*_WEBHOOK.columns).where(*_ONE))
COUNT_WEBHOOKS = Statement(select(func.count()).where(webhooks.c.project == param("project")))
DELETE_WEBHOOK = Statement(delete(webhooks).where(*_ONE))
DISABLE_WEBHOOK = Statement(
    update(webhooks)
    .where(webhooks.c.id == param("webhook_id"))
    .values(disabled_at=param("now"), last_error=param("error"))
)
SAVE_ERROR = Statement(
    update(webhooks).where(webhooks.c.id == param("webhook_id")).values(last_error=param("error"))
)
CLEAR_ERROR = Statement(
    update(webhooks)
    .where(webhooks.c.id == param("webhook_id"), webhooks.c.last_error.is_not(None))
    .values(last_error=null())
)
_OF_NEW = ("project", "thread_id", "run_id", "position", "event", "created_at", "due")
_NEW = ["webhook_seq", *_OF_NEW, "attempts"]
ANNOUNCE = Statement(
    insert(deliveries).from_select(
        _NEW,
        select(
            webhooks.c.seq,
            *(bindparam(name, type_=deliveries.c[name].type, required=True) for name in _OF_NEW),
            constant(0),
        ).where(
            webhooks.c.project == param("project"),
            webhooks.c.disabled_at.is_(None),
            webhooks.c.events.like(param("wanted")),
        ),
    ),
    columns=_NEW,
)
SELECT_NEXT_DUE = Statement(
    select(
        select(func.min(deliveries.c.due)).scalar_subquery(),
        select(func.min(deliveries.c.due)).where(deliveries.c.due > param("now")).scalar_subquery(),
    )
)
SELECT_HEADS = Statement(
    select(
        webhooks.c.seq,
        select(func.min(deliveries.c.due))
        .where(deliveries.c.webhook_seq == webhooks.c.seq)
        .scalar_subquery()
        .label("head"),
    )
)
SELECT_DUE = Statement(
    select(*_OF_DELIVERY, webhooks.c.id.label("webhook_id"), webhooks.c.url, webhooks.c.secret)
    .join(webhooks, webhooks.c.seq == deliveries.c.webhook_seq)
    .where(deliveries.c.webhook_seq == param("webhook_seq"), deliveries.c.due <= param("now"))
    .order_by(deliveries.c.due)
    .limit(param("limit"))
    .offset(constant(0))
)
POSTPONE_DELIVERY = Statement(
    update(deliveries)
    .where(*_THIS)
    .values(due=param("next_due"), attempts=deliveries.c.attempts + constant(1))
)
LEASE_DELIVERY = Statement(
    update(deliveries).where(*_THIS, deliveries.c.due == param("seen_due")).values(due=param("until"))
)
DELETE_DELIVERY = Statement(delete(deliveries).where(*_THIS))
DELETE_OF_WEBHOOK = Statement(delete(deliveries).where(deliveries.c.webhook_seq == param("webhook_seq")))
SELECT_SEQ = Statement(select(webhooks.c.seq).where(*_ONE))


# --- webhooks --------------------------------------------------------------------------------------


async def add(tx: Transaction, webhook: Webhook, most: int) -> bool:
    """Store a new webhook, unless its project has ``most`` already; return whether it was stored."""
    row = await tx.one(COUNT_WEBHOOKS, {"project": webhook.project})
    if row is not None and row[0] >= most:
        return False
    await tx.run(INSERT_WEBHOOK, _WEBHOOK.params(webhook))
    return True


async def get(tx: Transaction, project: str, webhook_id: str) -> Webhook | None:
    """Return a webhook of the project, or None."""
    row = await tx.one(SELECT_WEBHOOK, {"id": webhook_id, "project": project})
    return None if row is None else _WEBHOOK.read(row)


async def page(tx: Transaction, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's webhooks."""
    return await pages.page(tx, _WEBHOOK, wanted, project=project)


async def remove(tx: Transaction, project: str, webhook_id: str) -> bool:
    """Delete a webhook with all that it was still to be told. Return whether there was one."""
    keys = {"id": webhook_id, "project": project}
    row = await tx.one(SELECT_SEQ, keys)
    if row is None:
        return False
    await tx.run(DELETE_OF_WEBHOOK, {"webhook_seq": row[0]})
    return await tx.run(DELETE_WEBHOOK, keys) > 0


# --- the outbox ------------------------------------------------------------------------------------


def event_of(before: Run, after: Run) -> str | None:
    """Return what webhooks are told of a run's change; None unless it has ended, or waits for a client."""
    event = f"run.{after.status}"
    return event if after.status != before.status and event in ENDINGS else None


def announcement(before: Run, after: Run, now: int) -> Write | None:
    """Return what has a run's change told to the webhooks that want it, if it is one that they are told."""
    if (event := event_of(before, after)) is None:
        return None
    row = {
        "project": after.project,
        "thread_id": after.thread_id,
        "run_id": after.id,
        "position": after.position,
        "event": event,
        "created_at": now,
        "due": now,
        "wanted": f'%"{event}"%',
    }
    return Write(ANNOUNCE, row)


async def next_due(tx: Transaction, now: int) -> tuple[int | None, int | None]:
    """Return when the first delivery is or was due, and when the first that is not due yet."""
    row = await tx.one(SELECT_NEXT_DUE, {"now": now})
    return (None, None) if row is None else (row[0], row[1])


async def waiting(tx: Transaction, now: int) -> list[int]:
    """Return the webhooks (by ``seq``) that are to be told something by ``now``."""
    return [seq for seq, head in await tx.all(SELECT_HEADS, {}) if head is not None and head <= now]


async def due(tx: Transaction, webhook_seq: int, now: int, limit: int) -> list[Delivery]:
    """Return what a webhook is to be told by ``now``, longest due first."""
    keys = {"webhook_seq": webhook_seq, "now": now, "limit": limit}
    return [Delivery(*row) for row in await tx.all(SELECT_DUE, keys)]


async def lease(tx: Transaction, delivery: Delivery, until: int) -> bool:
    """Keep a delivery from other processes until a time; say whether nobody else was quicker."""
    keys = {**_keys(delivery), "seen_due": delivery.due, "until": until}
    return await tx.run(LEASE_DELIVERY, keys) > 0


async def delivered(tx: Transaction, delivery: Delivery) -> None:
    """Forget a delivery that was told."""
    await tx.run(DELETE_DELIVERY, _keys(delivery))
    await tx.run(CLEAR_ERROR, {"webhook_id": delivery.webhook_id})


async def drop(tx: Transaction, delivery: Delivery) -> None:
    """Forget a delivery whose run was deleted."""
    await tx.run(DELETE_DELIVERY, _keys(delivery))


async def failed(tx: Transaction, delivery: Delivery, error: DeliveryError) -> None:
    """Try again when the error says, or give the delivery up; its webhook says what went wrong."""
    if error.next_attempt_at is None:
        await tx.run(DELETE_DELIVERY, _keys(delivery))
    else:
        await tx.run(POSTPONE_DELIVERY, {**_keys(delivery), "next_due": error.next_attempt_at})
    await tx.run(SAVE_ERROR, {"webhook_id": delivery.webhook_id, "error": _encoded(error)})


async def disable(tx: Transaction, delivery: Delivery, error: DeliveryError) -> None:
    """Tell a webhook nothing any more: it said that it is gone."""
    values = {"webhook_id": delivery.webhook_id, "now": error.at, "error": _encoded(error)}
    if await tx.run(DISABLE_WEBHOOK, values):
        await tx.run(DELETE_OF_WEBHOOK, {"webhook_seq": delivery.webhook_seq})


def _keys(delivery: Delivery) -> dict[str, object]:
    return {"delivery_seq": delivery.seq, "of_run": delivery.run_id, "at_position": delivery.position}


def _encoded(error: DeliveryError) -> str:
    return msgspec.json.encode(error).decode()
