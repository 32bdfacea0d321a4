"""Webhooks as clients see them, and what webhooks are sent. Pure: records in, wire out."""

import msgspec
from msgspec import Struct

from clew.core.webhooks import DeliveryError, Webhook, WebhookEvent
from clew.wire import objects
from clew.wire.objects import RunObject, WebhookErrorObject, WebhookObject


class EventObject(Struct, frozen=True):
    """The body that a webhook gets: what has happened to which run."""

    id: str
    type: str
    created_at: int
    data: RunObject


def event(told: WebhookEvent) -> bytes:
    """Return the body that tells a webhook of an event."""
    run = objects.run(told.run, told.open_step)
    return msgspec.json.encode(EventObject(told.id, told.name, told.created_at // 1000, run))


def webhook(record: Webhook) -> WebhookObject:
    """Return a webhook as clients see it, without its secret."""
    return WebhookObject(
        id=record.id,
        created_at=record.created_at // 1000,
        url=record.url,
        events=record.events,
        status="enabled" if record.disabled_at is None else "disabled",
        last_error=None if record.last_error is None else _error(record.last_error),
        metadata=record.metadata,
    )


def _error(error: DeliveryError) -> WebhookErrorObject:
    return WebhookErrorObject(
        at=error.at // 1000,
        event=error.event,
        run_id=error.run_id,
        attempts=error.attempts,
        status_code=error.status,
        message=error.message,
        next_attempt_at=None if error.next_attempt_at is None else error.next_attempt_at // 1000,
    )
