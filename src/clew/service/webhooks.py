"""Webhooks: set up, read, deleted."""

from functools import partial

from msgspec.structs import replace

from clew.core.errors import NotFound, UrlRefused, WebhookLimit
from clew.core.webhooks import Webhook
from clew.net.guard import UrlBlocked
from clew.net.signature import PREFIX
from clew.service.commands import NewWebhook
from clew.service.context import Services
from clew.service.once import Key, once
from clew.store import webhooks
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction

MOST = 20
"""Webhooks that a project may have."""

_WEBHOOK = "wh_"


async def create(services: Services, project: str, new: NewWebhook, key: Key | None = None) -> Webhook:
    """Have a URL told when runs end or wait for tool outputs; return it with the secret of its own.

    Raises:
        UrlRefused: this server may not ask that URL.
        WebhookLimit: the project has as many as it may.
        KeyReused: the key was used for another request.
    """
    try:
        services.outbound.check(new.url)
    except UrlBlocked as refused:
        raise UrlRefused(str(refused)) from None
    ids = services.process.ids
    webhook_id = ids.new(_WEBHOOK)
    secret = ids.new(PREFIX) + ids.new("")  # letters and digits that are also base64, of 36 bytes
    webhook = Webhook(
        id=webhook_id,
        project=project,
        created_at=services.process.clock.now(),
        url=new.url,
        events=new.events,
        secret=services.vault.seal(secret, webhook_id),
        metadata=new.metadata,
    )
    function = partial(_add, webhook=webhook)
    made = (await once(services, project, key, function, lambda _: webhook, Webhook)).receipt
    return replace(made, secret=services.vault.open(made.secret, made.id))


async def _add(tx: Transaction, webhook: Webhook) -> None:
    if not await webhooks.add(tx, webhook, MOST):
        raise WebhookLimit(MOST)


async def read(services: Services, project: str, webhook_id: str) -> Webhook:
    """Return a webhook; its ``last_error`` says whether it hears what it is told.

    Raises:
        NotFound: there is none.
    """
    found = await services.db.fetch(webhooks.get, project, webhook_id)
    if found is None:
        raise NotFound("webhook", webhook_id)
    return found


async def delete(services: Services, project: str, webhook_id: str) -> None:
    """Delete a webhook. What it was still to be told is forgotten.

    Raises:
        NotFound: there is none.
    """
    if not await services.db.write(webhooks.remove, project, webhook_id):
        raise NotFound("webhook", webhook_id)


async def page(services: Services, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's webhooks."""
    return await services.db.fetch(webhooks.page, project, wanted)
