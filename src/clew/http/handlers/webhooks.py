"""Webhooks: /webhooks. Clew's own; see docs/webhooks.md."""

from msgspec.structs import replace

from clew.http.answers import Json
from clew.http.call import Call, page_request
from clew.http.idempotency import key_of
from clew.service import webhooks
from clew.wire import objects
from clew.wire.bodies import new_webhook
from clew.wire.objects import Deleted, ListObject, WebhookObject
from clew.wire.requests import CreateWebhook
from clew.wire.webhooks import webhook


async def create(call: Call[CreateWebhook]) -> Json[WebhookObject]:
    """Have a URL told when runs end or wait for tool outputs.

    This answer alone holds the secret that signs what the URL is sent.
    """
    made = await webhooks.create(call.services, call.project, new_webhook(call.body), key_of(call))
    return Json(replace(webhook(made), secret=made.secret))


async def get(call: Call[None]) -> Json[WebhookObject]:
    """Read a webhook; ``last_error`` says whether it hears what it is told."""
    return Json(webhook(await webhooks.read(call.services, call.project, call.path["webhook_id"])))


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete a webhook. What it was still to be told is forgotten."""
    webhook_id = call.path["webhook_id"]
    await webhooks.delete(call.services, call.project, webhook_id)
    return Json(Deleted(webhook_id, "webhook.deleted"))


async def list_(call: Call[None]) -> Json[ListObject[WebhookObject]]:
    """List the project's webhooks."""
    page = await webhooks.page(call.services, call.project, page_request(call))
    return Json(objects.listed([webhook(each) for each in page.items], page.has_more))
