"""What a program with litellm's assistants does; prints what it saw as JSON."""

import asyncio
import json
from typing import Any

import litellm


def create() -> str:
    """Create an assistant, and find it in the list."""
    assistant = litellm.create_assistants(
        custom_llm_provider="openai", model="any", instructions="Be brief.", name="Lite"
    )
    listed = litellm.get_assistants(custom_llm_provider="openai")
    assert assistant.id in [entry.id for entry in listed.data]
    return str(assistant.id)


def run(assistant_id: str) -> dict[str, Any]:
    """Ask, wait, and read the thread."""
    message = {"role": "user", "content": "Say hello."}
    thread = litellm.create_thread(custom_llm_provider="openai", messages=[message])
    run = litellm.run_thread(custom_llm_provider="openai", thread_id=thread.id, assistant_id=assistant_id)
    again = litellm.get_thread(custom_llm_provider="openai", thread_id=thread.id)
    return {"status": run.status, "texts": _texts(thread.id), "same_thread": again.id == thread.id}


def stream(assistant_id: str) -> dict[str, Any]:
    """Ask on an empty thread and read the answer as it comes."""
    thread = litellm.create_thread(custom_llm_provider="openai")
    litellm.add_message(
        custom_llm_provider="openai", thread_id=thread.id, role="user", content="Count to three."
    )
    with litellm.run_thread_stream(
        custom_llm_provider="openai", thread_id=thread.id, assistant_id=assistant_id
    ) as answer:
        pieces = list(answer.text_deltas)
    return {"pieces": pieces, "texts": _texts(thread.id)}


async def run_async(assistant_id: str) -> dict[str, Any]:
    """Do the same without blocking."""
    thread = await litellm.acreate_thread(custom_llm_provider="openai")
    await litellm.a_add_message(
        custom_llm_provider="openai", thread_id=thread.id, role="user", content="Say goodbye."
    )
    run = await litellm.arun_thread(
        custom_llm_provider="openai", thread_id=thread.id, assistant_id=assistant_id
    )
    messages = await litellm.aget_messages(custom_llm_provider="openai", thread_id=thread.id)
    return {"status": run.status, "text": messages.data[0].content[0].text.value}


def _texts(thread_id: str) -> list[str]:
    messages = litellm.get_messages(custom_llm_provider="openai", thread_id=thread_id)
    return [message.content[0].text.value for message in messages.data]


def main() -> None:
    """Run every scenario."""
    assistant_id = create()
    result = {
        "run": run(assistant_id),
        "stream": stream(assistant_id),
        "async": asyncio.run(run_async(assistant_id)),
    }
    deleted = litellm.delete_assistant(custom_llm_provider="openai", assistant_id=assistant_id)
    print(json.dumps(result | {"deleted": deleted.deleted}))


main()
