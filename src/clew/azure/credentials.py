"""What a client may prove itself with: a key, or any of Azure's token credentials."""

import ipaddress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from azure.core.credentials import AzureKeyCredential, TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AzureKeyCredentialPolicy,
    BearerTokenCredentialPolicy,
)

Credential: TypeAlias = str | AzureKeyCredential | TokenCredential | AsyncTokenCredential

_SCOPES = ("https://ai.azure.com/.default",)


class _Bearer(BearerTokenCredentialPolicy[Any, Any]):
    """Sends its token over http too, which azure-core allows by a keyword of each single call."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options["enforce_https"] = False
        super().on_request(request)


class _AsyncBearer(AsyncBearerTokenCredentialPolicy[Any, Any]):
    async def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options["enforce_https"] = False
        await super().on_request(request)


def authentication(endpoint: str, credential: Credential, options: dict[str, Any], *, is_async: bool) -> Any:
    """Return the credential for the vendor's client, and add to ``options`` the policy it needs.

    Args:
        endpoint: where the client will talk to.
        credential: a key, as str or AzureKeyCredential, or a token credential.
        options: the client's keywords. ``enforce_https=False`` is taken out: it permits http to any
            host; without it only to this machine.
        is_async: whether the client is of the ``aio`` kind.

    Raises:
        ValueError: a key would go over the network in clear.
    """
    open_road = _may_use_http(endpoint, options.pop("enforce_https", True))
    if isinstance(credential, str):
        credential = AzureKeyCredential(credential)
    if "authentication_policy" in options:
        return credential
    if isinstance(credential, AzureKeyCredential):
        if urlsplit(endpoint).scheme == "http" and not open_road:
            raise ValueError(
                f"{endpoint} is plain http on another machine: anybody in between could read the key. "
                "Use https, or say enforce_https=False where the network is yours."
            )
        options["authentication_policy"] = AzureKeyCredentialPolicy(credential, "api-key")
    elif open_road and urlsplit(endpoint).scheme == "http":
        policy: Any = _AsyncBearer if is_async else _Bearer
        scopes = options.get("credential_scopes", _SCOPES)
        options["authentication_policy"] = policy(credential, *scopes)
    return credential


def _may_use_http(endpoint: str, enforce_https: bool) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return not enforce_https or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
