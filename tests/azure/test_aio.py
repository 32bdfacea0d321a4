"""The asynchronous client."""

import asyncio
from typing import Any

from azure.ai.agents.models import RunStatus
from azure.core.credentials import AccessToken

from clew.azure.aio import AIProjectClient
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer


class Token:
    """An asynchronous token credential that gives the server's key."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self.key, 2**40)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "Token":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def converse(endpoint: str, credential: Any) -> None:
    async with AIProjectClient(endpoint, credential) as project:
        agents: Any = project.agents
        agent = await agents.create_agent(model="any")
        thread = await agents.threads.create(messages=[{"role": "user", "content": "Hello"}])
        run = await agents.runs.create_and_process(
            thread_id=thread.id, assistant_id=agent.id, polling_interval=0.01
        )
        assert run.status == RunStatus.COMPLETED
        texts = [m.text_messages[0].text.value async for m in agents.messages.list(thread.id)]
        assert texts == ["You said: Hello", "Hello"]
        steps = [step async for step in agents.runs.steps.list(thread.id, run.id)]
        assert len(steps) == 1


def test_a_conversation(clew_server: RunningServer, clew_model: ScriptedModel) -> None:
    asyncio.run(converse(clew_server.project_endpoint, clew_server.api_key))
    asyncio.run(converse(clew_server.project_endpoint, Token(clew_server.api_key)))
