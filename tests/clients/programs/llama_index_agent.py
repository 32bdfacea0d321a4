"""What a program with LlamaIndex's OpenAIAssistantAgent does; prints what it saw as JSON."""

import json

from llama_index.agent.openai import OpenAIAssistantAgent
from llama_index.core.tools import FunctionTool


def price(dish: str) -> str:
    """The price of a dish."""
    return f"{dish} costs 9 euros"


agent = OpenAIAssistantAgent.from_new(
    name="Host", instructions="Be a host.", tools=[FunctionTool.from_defaults(fn=price)], model="any"
)
texts = [str(agent.chat(question)) for question in ("Who are you?", "How much is the soup?")]
history = [str(message.content) for message in agent.chat_history]
print(json.dumps({"texts": texts, "history": history}))
