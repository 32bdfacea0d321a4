"""Azure's clients: AgentsClient of azure-ai-agents and AIProjectClient of azure-ai-projects, and theirs
in ``.aio``; also ``clew.azure.AIProjectClient``.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from clew.toolkit.clients.transport import (
    Answer,
    PlainReading,
    Reading,
    Request,
    ThreadTransport,
    Transport,
)
from clew.toolkit.errors import AnswerTimedOut, AuthenticationFailed, ConnectionFailed, StreamLost

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest

_API_VERSION = "v1"


def adapt(client: Any) -> Transport | None:
    """Return a transport for one of Azure's clients, or None for anything else."""
    if "azure.core" not in sys.modules:  # whoever holds such a client has imported it
        return None
    agents = getattr(client, "agents", client)
    send_request = getattr(agents, "send_request", None)
    if send_request is None:
        return None
    if inspect.iscoroutinefunction(send_request) or ".aio" in _home(agents):
        return AsyncAzureTransport(agents)
    return ThreadTransport(_PlainAzure(agents))


def _home(client: object) -> str:
    """Return the modules of a client's class and of what it inherits."""
    return " ".join(f"{base.__module__}." for base in type(client).__mro__ if base is not object)


class AsyncAzureTransport:
    """A client from ``.aio``. It belongs to the event loop in which it is first used."""

    retries = True
    idempotent = False

    def __init__(self, agents: Any) -> None:
        self._agents = agents

    async def send(self, request: Request) -> Answer:
        with _errors():
            response = await self._agents.send_request(_built(self._agents, request))
            content = await response.read()
            return Answer(response.status_code, _lower(response.headers), content)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Reading]:
        with _errors():
            response = await self._agents.send_request(_built(self._agents, request), stream=True)
        try:
            yield Reading(response.status_code, _lower(response.headers), self._chunks(response))
        finally:
            await response.close()

    @staticmethod
    async def _chunks(response: Any) -> AsyncIterator[bytes]:
        with _errors(streaming=True):
            async for chunk in response.iter_bytes():
                yield chunk

    async def aclose(self) -> None:
        pass


class _PlainAzure:
    """A synchronous client."""

    def __init__(self, agents: Any) -> None:
        self._agents = agents

    def send(self, request: Request) -> Answer:
        with _errors():
            response = self._agents.send_request(_built(self._agents, request))
            return Answer(response.status_code, _lower(response.headers), response.read())

    def open(self, request: Request) -> PlainReading:
        with _errors():
            response = self._agents.send_request(_built(self._agents, request), stream=True)
        return PlainReading(
            response.status_code, _lower(response.headers), self._chunks(response), response.close
        )

    @staticmethod
    def _chunks(response: Any) -> Iterator[bytes]:
        with _errors(streaming=True):
            yield from response.iter_bytes()


def _built(agents: Any, request: Request) -> "HttpRequest":
    from azure.core.rest import HttpRequest

    configuration = getattr(agents, "_config", None)
    version = getattr(configuration, "api_version", None) or _API_VERSION
    params = {"api-version": version, **{name: str(value) for name, value in request.query.items()}}
    headers = {"Accept": "application/json", **request.headers}
    body: dict[str, Any] = {} if request.body is None else {"json": request.body}
    return HttpRequest(request.method, request.path, params=params, headers=headers, **body)


def _lower(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


@contextmanager
def _errors(*, streaming: bool = False) -> Iterator[None]:
    """Raise what isn't an answer as the toolkit's own error."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        ServiceRequestError,
        ServiceRequestTimeoutError,
        ServiceResponseTimeoutError,
    )

    try:
        yield
    except ClientAuthenticationError as error:  # no token: the request was never made
        raise AuthenticationFailed(f"No token for the service: {error.message}", status=401) from error
    except AzureError as error:
        if streaming:
            raise StreamLost(f"The stream broke off: {error.message}") from error
        sent = not isinstance(error, ServiceRequestError)
        silent = isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError)
        kind = AnswerTimedOut if silent else ConnectionFailed
        raise kind(f"No answer from the service: {error.message}", sent=sent) from error
