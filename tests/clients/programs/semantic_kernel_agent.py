"""What a program with semantic-kernel's OpenAIAssistantAgent does; prints what it saw as JSON."""

import asyncio
import json
from typing import Annotated, Any

from openai import AsyncOpenAI
from semantic_kernel.agents import AssistantAgentThread, OpenAIAssistantAgent
from semantic_kernel.contents import ChatMessageContent, FunctionCallContent, FunctionResultContent
from semantic_kernel.functions import kernel_function


class Menu:
    """A plugin."""

    @kernel_function(description="The price of a dish.")
    def price(self, dish: Annotated[str, "The dish."]) -> Annotated[str, "The price."]:
        return f"{dish} costs 9 euros"


async def invoke(agent: OpenAIAssistantAgent) -> dict[str, Any]:
    """Ask twice on one thread, which the agent makes and the program deletes."""
    thread: AssistantAgentThread | None = None
    texts = []
    for question in ("Who are you?", "Are you sure?"):
        async for response in agent.invoke(messages=question, thread=thread):
            texts.append(str(response))
            thread = response.thread
    assert thread is not None
    messages = [str(message) async for message in thread.get_messages(sort_order="asc")]
    await thread.delete()
    return {"texts": texts, "messages": messages}


async def invoke_plugin(agent: OpenAIAssistantAgent) -> dict[str, Any]:
    """Let the agent call the plugin while it is polled."""
    between: list[str] = []

    async def on_intermediate(message: ChatMessageContent) -> None:
        between.extend(_name(item) for item in message.items)

    thread = AssistantAgentThread(client=agent.client)
    responses = agent.invoke("How much is the soup?", thread=thread, on_intermediate_message=on_intermediate)
    texts = [str(response) async for response in responses]
    await thread.delete()
    return {"texts": texts, "between": between}


async def stream_plugin(agent: OpenAIAssistantAgent) -> dict[str, Any]:
    """Let the agent call the plugin while its answer is streamed."""
    between: list[str] = []
    thread = AssistantAgentThread(client=agent.client)

    async def on_intermediate(message: ChatMessageContent) -> None:
        between.extend(_name(item) for item in message.items)

    responses = agent.invoke_stream(
        "How much is the pie?", thread=thread, on_intermediate_message=on_intermediate
    )
    pieces = [str(response) async for response in responses]
    await thread.delete()
    return {"pieces": pieces, "between": between}


def _name(item: object) -> str:
    if isinstance(item, FunctionCallContent):
        return f"call {item.name}({item.arguments})"
    if isinstance(item, FunctionResultContent):
        return f"result {item.result}"
    return f"{type(item).__name__} {item}"


async def main() -> None:
    """Run every scenario."""
    async with AsyncOpenAI() as client:
        definition = await client.beta.assistants.create(model="any", name="Host", instructions="Be a host.")
        plain = OpenAIAssistantAgent(client=client, definition=definition)
        waiter = OpenAIAssistantAgent(client=client, definition=definition, plugins=[Menu()])
        result = {
            "invoke": await invoke(plain),
            "plugin": await invoke_plugin(waiter),
            "stream": await stream_plugin(waiter),
            "response": str(await plain.get_response("Goodbye.")),
        }
        await client.beta.assistants.delete(definition.id)
    print(json.dumps(result))


asyncio.run(main())
