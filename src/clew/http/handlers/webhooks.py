"""Webhooks: /webhooks. Clew's own; see docs/webhooks.md."""

from typing import get_args

from msgspec.structs import replace

from clew.http.call import Call, page_request
from clew.http.once import once
from clew.net.guard import Refused
from clew.net.signature import PREFIX
from clew.store import webhooks
from clew.store.statement import Transaction
from clew.store.webhooks import Webhook
from clew.wire import objects
from clew.wire.errors import invalid, not_found
from clew.wire.objects import Deleted, ListObject, WebhookObject
from clew.wire.requests import CreateWebhook, EventName
from clew.wire.webhooks import webhook

MOST = 20
"""Webhooks that a project may have."""

_WEBHOOK = "wh_"


async def create(call: Call[CreateWebhook]) -> WebhookObject:
    """Have a URL told when runs end or wait for tool outputs.

    This answer alone holds the secret that signs what the URL is sent.
    """
    url, ids = call.body.url, call.services.ids
    try:
        call.services.outbound.check(url)
    except Refused as refused:
        raise invalid(f"Invalid 'url': {refused}.", param="url", code="invalid_value") from None
    new = Webhook(
        id=ids.new(_WEBHOOK),
        project=call.project,
        created_at=call.now,
        url=url,
        events=list(dict.fromkeys(call.body.events or get_args(EventName))),
        secret=ids.new(PREFIX) + ids.new(""),  # letters and digits that are also base64, of 36 bytes
        metadata=call.body.metadata or {},
    )

    async def add(tx: Transaction) -> None:
        if not await webhooks.add(tx, new, MOST):
            raise invalid(f"A project has at most {MOST} webhooks. Delete one first.")

    shown = replace(webhook(new), secret=new.secret)
    return (await once(call, add, lambda _: shown, WebhookObject)).receipt


async def get(call: Call[None]) -> WebhookObject:
    """Read a webhook; ``last_error`` says whether it hears what it is told."""
    webhook_id = call.path["webhook_id"]
    found = await call.services.db.fetch(webhooks.get, call.project, webhook_id)
    if found is None:
        raise not_found("webhook", webhook_id)
    return webhook(found)


async def delete(call: Call[None]) -> Deleted:
    """Delete a webhook. What it was still to be told is forgotten."""
    webhook_id = call.path["webhook_id"]
    if not await call.services.db.write(webhooks.remove, call.project, webhook_id):
        raise not_found("webhook", webhook_id)
    return Deleted(webhook_id, "webhook.deleted")


async def list_(call: Call[None]) -> ListObject[WebhookObject]:
    """List the project's webhooks."""
    page = await call.services.db.fetch(webhooks.page, call.project, page_request(call))
    return objects.listed([webhook(each) for each in page.items], page.has_more)
