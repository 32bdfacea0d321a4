"""The door: any client in, a :class:`~clew.toolkit.service.Service` out."""

from pathlib import Path
from typing import Any, TypeAlias

from clew.toolkit.clients import azure, openai
from clew.toolkit.clients.clew import ClewTransport
from clew.toolkit.service import Service

AnyClient: TypeAlias = Any
"""A Service; an OpenAI, AsyncOpenAI or AzureOpenAI client; an AgentsClient or AIProjectClient of Azure,
synchronous or from ``.aio``; ``clew.azure.AIProjectClient``; or the URL of a Clew server's API."""


def connect(client: AnyClient, api_key: str | None = None, *, ca_bundle: Path | str | None = None) -> Service:
    """Return the service behind a client.

    A client that is given keeps its own settings (authentication, retries, time-outs) and stays
    open. A synchronous one is used from threads; an asynchronous one belongs to one event loop: use
    either the waiting forms or the ``a...`` forms with it, not both.

    Args:
        client: a client, or a URL such as ``http://127.0.0.1:8787/v1``.
        api_key: the key, for a URL.
        ca_bundle: a PEM file with the authorities to trust, for an https URL.

    Raises:
        TypeError: no adapter knows this client.
    """
    if isinstance(client, Service):
        return client
    if isinstance(client, str):
        return Service(ClewTransport(client, api_key, ca_bundle=ca_bundle))
    transport = openai.adapt(client) or azure.adapt(client)
    if transport is None:
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise TypeError(
            f"the toolkit doesn't know {kind}: give it an openai client, an azure-ai-agents or "
            "azure-ai-projects client, or the URL of a Clew server"
        )
    return Service(transport)
