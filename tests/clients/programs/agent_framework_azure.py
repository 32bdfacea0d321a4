"""What a program with Agent Framework's AzureAIAgentClient does; prints what it saw as JSON."""

import asyncio
import json
import os

from agent_framework_azure_ai import AzureAIAgentClient
from azure.identity.aio import DefaultAzureCredential


def price(dish: str) -> str:
    """The price of a dish."""
    return f"{dish} costs 9 euros"


async def main() -> None:
    """Ask twice, then read a third answer as it is written; all in one session."""
    async with (
        DefaultAzureCredential() as credential,
        AzureAIAgentClient(
            credential=credential,
            project_endpoint=os.environ["AZURE_AI_PROJECT_ENDPOINT"],
            model_deployment_name="any",
            agent_name="Host",
        ) as client,
    ):
        agent = client.as_agent(name="Host", instructions="Be a host.", tools=[price])
        session = agent.create_session()
        first = await agent.run("Who are you?", session=session)
        second = await agent.run("How much is the soup?", session=session)
        updates = agent.run("And the pie?", session=session, stream=True)
        pieces = [update.text async for update in updates if update.text]
    print(json.dumps({"texts": [first.text, second.text], "pieces": pieces}))


asyncio.run(main())
