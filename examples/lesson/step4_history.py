"""Step 4: a conversation's history - add to it, read it, summarise it, export it.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python step4_history.py [conversation.json]
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clew.azure import AIProjectClient

console = Console()


class Conversation:
    """A thread with one agent, and what is worth knowing about it."""

    def __init__(self, project: AIProjectClient, agent_id: str) -> None:
        self._agents = project.agents
        self._agent_id = agent_id
        self.thread_id = self._agents.threads.create().id

    def say(self, text: str, instructions: str | None = None) -> str:
        """Add a message, let the agent answer, and return its answer."""
        self._agents.create_message(thread_id=self.thread_id, role="user", content=text)
        run = self._agents.runs.create(
            thread_id=self.thread_id, agent_id=self._agent_id, additional_instructions=instructions
        )
        while run.status in ("queued", "in_progress"):
            time.sleep(0.05)
            run = self._agents.runs.get(thread_id=self.thread_id, run_id=run.id)
        if run.status != "completed":
            raise RuntimeError(f"the run ended {run.status}: {run.last_error or run.incomplete_details}")
        return str(self._agents.list_messages(thread_id=self.thread_id).data[0].content[0].text.value)

    def history(self) -> list[dict[str, Any]]:
        """Return the messages, oldest first."""
        messages = reversed(self._agents.messages.list(thread_id=self.thread_id))
        return [
            {
                "id": message.id,
                "role": str(message.role.value),
                "content": "\n".join(part.text.value for part in message.text_messages),
                "created_at": message.created_at.isoformat(),
            }
            for message in messages
        ]

    def export(self, path: Path) -> None:
        """Write the conversation to a JSON file."""
        exported = {"thread_id": self.thread_id, "messages": self.history()}
        path.write_text(json.dumps(exported, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def delete(self) -> None:
        """Delete the thread with all its messages."""
        self._agents.threads.delete(self.thread_id)


def show(history: list[dict[str, Any]]) -> None:
    """Print a history as a table."""
    table = Table("", "said", title="Conversation so far", show_lines=True)
    for message in history:
        table.add_row(message["role"], Text(message["content"]))  # Text: what was said is not markup
    console.print(table)


def main() -> None:
    """Talk a little, then look back."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "conversation.json")
    with AIProjectClient(
        endpoint=os.environ["PROJECT_ENDPOINT"], credential=os.environ["OPENAI_API_KEY"]
    ) as project:
        agent = project.agents.create_agent(
            model=os.environ["MODEL_DEPLOYMENT_NAME"],
            name="history-agent",
            instructions="You are a helpful assistant. Remember what the user tells you. Be brief.",
        )
        conversation = Conversation(project, agent.id)
        conversation.say("My sailing boat is called Argo and she is eleven metres long.")
        conversation.say("What is my boat called?")
        show(conversation.history())

        summary = conversation.say("Summarise our conversation in one sentence.")
        console.print("[bold]Summary:[/]", Text(summary))

        conversation.export(target)
        console.print(f"Exported {len(conversation.history())} messages to {target}")

        conversation.delete()
        project.agents.delete_agent(agent.id)
        console.print("Thread and agent deleted.")


if __name__ == "__main__":
    main()
