"""Step 1: an agent, a thread, a message, a run - with the vendor's own client, unmodified.

Start a server with `clew serve --tls`, then in this terminal:

    eval "$(clew env)"
    python step1_conversation.py
"""

import os
import time

from azure.ai.agents.models import MessageRole
from azure.ai.projects import AIProjectClient
from azure.identity import DefaultAzureCredential

project_client = AIProjectClient(
    endpoint=os.environ["PROJECT_ENDPOINT"],
    credential=DefaultAzureCredential(),
)

with project_client:
    agents = project_client.agents

    # An agent is a model with instructions.
    agent = agents.create_agent(
        model=os.environ["MODEL_DEPLOYMENT_NAME"],
        name="conversation-agent",
        instructions="You are a friendly assistant. Answer in one or two sentences.",
    )
    print(f"Agent   {agent.id}")

    # A thread is a conversation. It remembers; the agent does not.
    thread = agents.threads.create()
    print(f"Thread  {thread.id}")

    for question in ("Hi! My name is Ada, and I love sailing.", "What is my name, and what do I love?"):
        message = agents.messages.create(thread_id=thread.id, role=MessageRole.USER, content=question)
        print(f"Message {message.id}")

        # A run lets the agent work on the thread: queued, in_progress, then an end.
        run = agents.runs.create(thread_id=thread.id, agent_id=agent.id)
        print(f"Run     {run.id}: {run.status.value}", end="", flush=True)
        while run.status in ("queued", "in_progress"):
            time.sleep(0.1)
            run = agents.runs.get(thread_id=thread.id, run_id=run.id)
        if run.status != "completed":
            raise SystemExit(f" -> the run did not complete: {run.last_error}")
        print(" -> completed")

    print("\nThe conversation, oldest first:")
    for message in agents.messages.list(thread_id=thread.id, order="asc"):
        for part in message.text_messages:
            print(f"  {message.role.value}: {part.text.value}")

    agents.threads.delete(thread.id)
    agents.delete_agent(agent.id)
    print("\nThread and agent deleted.")
