"""Clients of every kind against one server, and a proxy that breaks connections when told to."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import openai
import pytest
import stamina
from azure.ai.agents import AgentsClient
from azure.ai.agents.aio import AgentsClient as AsyncAgentsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

from clew.azure import AIProjectClient
from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import Service, connect
from clew.toolkit._blocking import run
from clew.toolkit.clients.clew import ClewTransport
from clew.toolkit.records import Agent, Thread
from tests.support.server import KEYS, Server
from tests.toolkit.proxy import Proxy

KEY = KEYS["alpha"]

CLIENTS = (
    "url",
    "openai",
    "openai-async",
    "azure-openai",
    "azure-agents",
    "azure-agents-aio",
    "clew-azure",
)


class Opened(NamedTuple):
    """A client of some kind, and how to close it."""

    client: Any
    close: Callable[[], object]


def open_client(kind: str, url: str, *, max_retries: int = 0, timeout: float = 60.0) -> Opened:
    """Return a client of a kind, for the server at ``url``, that waits so many seconds for a byte."""
    root, project = f"{url}/v1", f"{url}/api/projects/alpha"
    if kind == "url":
        service = Service(ClewTransport(root, KEY, timeout=timeout))
        return Opened(service, service.close)
    if kind == "openai":
        client = openai.OpenAI(base_url=root, api_key=KEY, max_retries=max_retries, timeout=timeout)
        return Opened(client, client.close)
    if kind == "openai-async":
        asynchronous = openai.AsyncOpenAI(
            base_url=root, api_key=KEY, max_retries=max_retries, timeout=timeout
        )
        return Opened(asynchronous, lambda: run(asynchronous.close()))
    if kind == "azure-openai":
        azure = openai.AzureOpenAI(
            azure_endpoint=url,
            api_key=KEY,
            api_version="2024-05-01-preview",
            max_retries=max_retries,
            timeout=timeout,
        )
        return Opened(azure, azure.close)
    credential: Any = AzureKeyCredential(KEY)
    if kind == "clew-azure":
        forgiving = AIProjectClient(
            endpoint=project, credential=KEY, read_timeout=timeout, retry_total=max_retries
        )
        return Opened(forgiving, forgiving.close)
    policy: Any = AzureKeyCredentialPolicy(credential, "api-key")
    settings: Any = {"authentication_policy": policy, "retry_total": max_retries, "read_timeout": timeout}
    if kind == "azure-agents":
        agents = AgentsClient(project, credential, **settings)
        return Opened(agents, agents.close)
    aio = AsyncAgentsClient(project, credential, **settings)
    return Opened(aio, lambda: run(aio.close()))


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Retries don't wait in tests; they are counted."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture(params=CLIENTS)
def each_client(request: pytest.FixtureRequest, server: Server, model: ScriptedModel) -> Iterator[Any]:
    """A client of each kind in turn."""
    opened = open_client(request.param, server.url)
    yield opened.client
    opened.close()


@pytest.fixture
def service(server: Server, model: ScriptedModel) -> Iterator[Service]:
    """The service through Clew's own client."""
    with connect(f"{server.url}/v1", KEY) as opened:
        yield opened


@pytest.fixture
def agent(service: Service) -> Iterator[Agent]:
    """An agent without tools."""
    created = service.create_agent("scripted")
    yield created
    service.delete_agent(created.id)


@pytest.fixture
def thread(service: Service) -> Thread:
    """A thread with one message."""
    return service.create_thread(messages=[{"role": "user", "content": "Hello"}])


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(server.url) as between:
        yield between


@pytest.fixture
def through_proxy(proxy: Proxy, model: ScriptedModel) -> Iterator[Service]:
    """The service through the proxy."""
    with connect(f"{proxy.url}/v1", KEY) as opened:
        yield opened
