"""What a program with langchain-azure-ai's AgentServiceFactory does; prints what it saw as JSON."""

import json
import os

from azure.identity import DefaultAzureCredential
from langchain_azure_ai.agents.v1 import AgentServiceFactory
from langchain_core.messages import HumanMessage


def price(dish: str) -> str:
    """The price of a dish."""
    return f"{dish} costs 9 euros"


factory = AgentServiceFactory(
    project_endpoint=os.environ["AZURE_AI_PROJECT_ENDPOINT"], credential=DefaultAzureCredential()
)
agent = factory.create_prompt_agent(name="host", model="any", instructions="Be a host.", tools=[price])
seen = []
for question in ("Who are you?", "How much is the soup?"):
    state = agent.invoke({"messages": [HumanMessage(content=question)]})
    seen.append([[type(message).__name__, message.content] for message in state["messages"]])
factory.delete_agent(agent)
print(json.dumps({"seen": seen}))
