"""What a program with AutoGen's two assistant agents does; prints what it saw as JSON."""

import asyncio
import json
import os
from typing import Any

from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.agents.azure import AzureAIAgent
from autogen_ext.agents.openai import OpenAIAssistantAgent
from azure.ai.projects.aio import AIProjectClient
from azure.identity.aio import DefaultAzureCredential
from openai import AsyncOpenAI


async def price(dish: str) -> str:
    """The price of a dish."""
    return f"{dish} costs 9 euros"


async def ask(agent: Any, *questions: str) -> list[str]:
    """Ask one question after another; return what is answered."""
    texts = []
    for question in questions:
        said = TextMessage(content=question, source="user")
        response = await agent.on_messages([said], CancellationToken())
        texts.append(response.chat_message.content)
    return texts


async def main() -> None:
    """Ask the agent of Azure, then that of OpenAI."""
    described = {"name": "host", "description": "A host", "instructions": "Be a host.", "tools": [price]}
    endpoint = os.environ["AZURE_AI_PROJECT_ENDPOINT"]
    async with (
        DefaultAzureCredential() as credential,
        AIProjectClient(credential=credential, endpoint=endpoint) as project,
    ):
        of_azure = AzureAIAgent(project_client=project, deployment_name="any", **described)
        azure = await ask(of_azure, "Who are you?", "How much is the soup?")
    of_openai = OpenAIAssistantAgent(client=AsyncOpenAI(), model="any", **described)
    openai = await ask(of_openai, "Hello.", "And the pie?")
    await of_openai.delete_assistant(CancellationToken())
    print(json.dumps({"azure": azure, "openai": openai}))


asyncio.run(main())
