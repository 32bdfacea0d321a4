"""Webhooks, and what they are told of runs."""

from typing import NamedTuple

from msgspec import Struct

from clew.core.records import Run, Step

DELIVERY = "webhook"
"""The kind of due work that tells a webhook of an event."""


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


class Delivery(Struct, frozen=True):
    """An event that a webhook is to be told. ``position`` is the event's in the run's journal."""

    thread_id: str
    run_id: str
    position: int
    event: str


class WebhookEvent(NamedTuple):
    """What a webhook is told: an event's id and name, when it was (milliseconds), and the run then."""

    id: str
    name: str
    created_at: int
    run: Run
    open_step: Step | None
