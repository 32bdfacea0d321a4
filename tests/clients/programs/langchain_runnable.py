"""What a program with langchain's OpenAIAssistantRunnable does; prints what it saw as JSON."""

import asyncio
import json
from typing import Any

from langchain_classic.agents import AgentExecutor
from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable
from langchain_core.agents import AgentFinish
from langchain_core.tools import tool

POLL = 50.0


@tool
def multiply(first: int, second: int) -> str:
    """Multiply two numbers."""
    return str(first * second)


def loop_by_hand(agent: OpenAIAssistantRunnable) -> dict[str, Any]:
    """Run the loop that langchain's documentation shows, then go on with the thread."""
    response = agent.invoke({"content": "What is 6 times 7?"})
    logs = []
    while not isinstance(response, AgentFinish):
        logs.append([[action.tool, action.tool_input] for action in response])
        outputs = [
            {"output": multiply.invoke(action.tool_input), "tool_call_id": action.tool_call_id}
            for action in response
        ]
        first = response[0]
        response = agent.invoke(
            {"tool_outputs": outputs, "run_id": first.run_id, "thread_id": first.thread_id}
        )
    later = agent.invoke({"content": "Thank you.", "thread_id": response.thread_id})
    return {"calls": logs, "output": response.return_values["output"], "later": later.return_values["output"]}


def loop_by_executor(agent: OpenAIAssistantRunnable) -> str:
    """Let langchain's executor run the loop."""
    executor = AgentExecutor(agent=agent, tools=[multiply])
    return str(executor.invoke({"content": "What is 2 times 3?"})["output"])


def plain_messages(assistant_id: str) -> list[str]:
    """Use it as a plain runnable, which gives the API's own messages."""
    runnable = OpenAIAssistantRunnable(assistant_id=assistant_id, check_every_ms=POLL)
    messages = runnable.invoke({"content": "Say hello.", "instructions": "Be brief."})
    return [message.content[0].text.value for message in messages]


async def loop_async() -> dict[str, Any]:
    """Run the loop without blocking, up to the answer."""
    agent = await OpenAIAssistantRunnable.acreate_assistant(
        name="Async",
        instructions="Be kind.",
        tools=[multiply],
        model="any",
        as_agent=True,
        check_every_ms=POLL,
    )
    [action] = await agent.ainvoke({"content": "What is 3 times 4?"})
    outputs = [{"output": "12", "tool_call_id": action.tool_call_id}]
    try:
        answer = await agent.ainvoke(
            {"tool_outputs": outputs, "run_id": action.run_id, "thread_id": action.thread_id}
        )
    except AttributeError as error:
        return {"input": action.tool_input, "problem": str(error)}
    return {"input": action.tool_input, "output": answer.return_values["output"]}


def main() -> None:
    """Run every scenario."""
    agent = OpenAIAssistantRunnable.create_assistant(
        name="Calculator",
        instructions="Use the tool.",
        tools=[multiply],
        model="any",
        as_agent=True,
        check_every_ms=POLL,
    )
    result = {
        "by_hand": loop_by_hand(agent),
        "by_executor": loop_by_executor(agent),
        "plain": plain_messages(agent.assistant_id),
        "async": asyncio.run(loop_async()),
    }
    print(json.dumps(result))


main()
