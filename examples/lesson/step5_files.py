"""Step 5: files - upload one, have an agent search it, and check what it cites.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python step5_files.py
"""

import os
import tempfile
import time
from pathlib import Path

from azure.ai.agents.models import FilePurpose, FileSearchTool
from azure.ai.projects import AIProjectClient
from azure.identity import DefaultAzureCredential
from rich.console import Console

console = Console()

LOGBOOK = """# Logbook of the Argo

The Argo left Iolcus on the third of May with fifty rowers.

## Provisions

In the hold are 37 barrels of water, 12 sacks of barley and one amphora of honey.

## Repairs

The mast cracked near Lemnos; Argus mended it with a splint of oak from Dodona.
"""
QUESTION = "How many barrels of water are in the hold of the Argo?"


def main() -> None:
    """Upload a logbook, ask what only the logbook knows, and show where it says so."""
    project = AIProjectClient(endpoint=os.environ["PROJECT_ENDPOINT"], credential=DefaultAzureCredential())
    agents = project.agents
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logbook.md"
        path.write_text(LOGBOOK, encoding="utf-8")
        file = agents.files.upload_and_poll(file_path=str(path), purpose=FilePurpose.AGENTS)
    store = agents.vector_stores.create_and_poll(file_ids=[file.id], name="logbooks", polling_interval=0.2)
    console.print(f"[dim]{file.filename}: {store.file_counts.completed} file read into {store.id}[/]")

    search = FileSearchTool(vector_store_ids=[store.id])
    agent = agents.create_agent(
        model=os.environ["MODEL_DEPLOYMENT_NAME"],
        name="navigator",
        instructions="Answer from the files, in one short sentence.",
        tools=search.definitions,
        tool_resources=search.resources,
    )
    thread = agents.threads.create()
    agents.messages.create(thread_id=thread.id, role="user", content=QUESTION)
    run = agents.runs.create(thread_id=thread.id, agent_id=agent.id)
    while run.status in ("queued", "in_progress"):
        time.sleep(0.05)
        run = agents.runs.get(thread_id=thread.id, run_id=run.id)
    if run.status != "completed":
        raise SystemExit(f"the run ended {run.status}: {run.last_error}")

    answer = next(iter(agents.messages.list(thread_id=thread.id))).text_messages[0].text
    console.print(f"[b]You:[/] {QUESTION}\n[b]Agent:[/] {answer.value}", highlight=False)
    for annotation in answer.annotations:
        cited = agents.files.get(annotation.file_citation.file_id)
        console.print(f"[dim]{annotation.text} is in {cited.filename}[/]", highlight=False)

    agents.vector_stores.delete(store.id)
    agents.files.delete(file.id)
    agents.threads.delete(thread.id)
    agents.delete_agent(agent.id)


if __name__ == "__main__":
    main()
