"""Webhooks in the store, and what they are still to be told: due work, a row for each event and webhook.

The rows are written in the transaction of what they tell of, so an event is announced if and only if it
has happened. See decision 5.
"""

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, delete, func, insert, null, select, update

from clew.core.entries import ENDINGS
from clew.core.records import Run
from clew.core.webhooks import DELIVERY, Delivery, DeliveryError, Webhook
from clew.store import due_work as due_work_rows
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, constant, param
from clew.store.tables import due_work, webhooks
from clew.vault import Unreadable, Vault

_WEBHOOK = Mapper(webhooks, Webhook)
_ONE = (webhooks.c.id == param("id"), webhooks.c.project == param("project"))

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
SELECT_SECRETS = Statement(select(webhooks.c.id, webhooks.c.secret))
SAVE_SECRET = Statement(
    update(webhooks).where(webhooks.c.id == param("webhook_id")).values(secret=param("sealed"))
)
CLEAR_ERROR = Statement(
    update(webhooks)
    .where(webhooks.c.id == param("webhook_id"), webhooks.c.last_error.is_not(None))
    .values(last_error=null())
)
_NEW = ("kind", "id", "project", "lane", "created_at", "due", "attempts", "epoch", "payload")
ANNOUNCE = Statement(
    insert(due_work).from_select(
        _NEW,
        select(
            constant(DELIVERY),
            webhooks.c.id + bindparam("key", type_=due_work.c.id.type, required=True),
            webhooks.c.project,
            webhooks.c.id,
            *(bindparam(name, type_=due_work.c[name].type, required=True) for name in ("created_at", "due")),
            constant(0),
            constant(0),
            bindparam("payload", type_=due_work.c.payload.type, required=True),
        ).where(
            webhooks.c.project == param("project"),
            webhooks.c.disabled_at.is_(None),
            webhooks.c.events.like(param("wanted")),
        ),
    ),
    columns=_NEW,
)


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
    if not await tx.run(DELETE_WEBHOOK, {"id": webhook_id, "project": project}):
        return False
    await due_work_rows.cancel_lane(tx, DELIVERY, webhook_id)
    return True


async def reseal(tx: Transaction, before: Vault, after: Vault) -> list[str]:
    """Seal the secrets of all webhooks anew; return those whose secret can't be read, and stays as it is."""
    lost = []
    for webhook_id, sealed in await tx.all(SELECT_SECRETS, {}):
        try:
            secret = before.open(sealed, webhook_id)
        except Unreadable:
            lost.append(webhook_id)
            continue
        await tx.run(SAVE_SECRET, {"webhook_id": webhook_id, "sealed": after.seal(secret, webhook_id)})
    return lost


# --- what they are told ------------------------------------------------------------------------------


def event_of(before: Run, after: Run) -> str | None:
    """Return what webhooks are told of a run's change; None unless it has ended, or waits for a client."""
    event = f"run.{after.status}"
    return event if after.status != before.status and event in ENDINGS else None


def announcement(before: Run, after: Run, now: int) -> Write | None:
    """Return what has a run's change told to the webhooks that want it, if it is one that they are told."""
    if (event := event_of(before, after)) is None:
        return None
    row = {
        "key": f"/{after.id}/{after.position}",
        "project": after.project,
        "created_at": now,
        "due": now,
        "payload": _encode(Delivery(after.thread_id, after.id, after.position, event)).decode(),
        "wanted": f'%"{event}"%',
    }
    return Write(ANNOUNCE, row)


async def heard(tx: Transaction, webhook_id: str) -> None:
    """Have a webhook that was told something forget why it was not before."""
    await tx.run(CLEAR_ERROR, {"webhook_id": webhook_id})


async def not_heard(tx: Transaction, again: int | None, *, webhook_id: str, error: DeliveryError) -> None:
    """Have a webhook say why it could not be told something, and when it will be told ``again``."""
    told = replace(error, next_attempt_at=again)
    await tx.run(SAVE_ERROR, {"webhook_id": webhook_id, "error": _encode(told).decode()})


async def disable(tx: Transaction, again: int | None, *, webhook_id: str, error: DeliveryError) -> None:
    """Tell a webhook nothing any more: it said that it is gone."""
    values = {"webhook_id": webhook_id, "now": error.at, "error": _encode(error).decode()}
    if await tx.run(DISABLE_WEBHOOK, values):
        await due_work_rows.cancel_lane(tx, DELIVERY, webhook_id)


_encode = msgspec.json.Encoder().encode
