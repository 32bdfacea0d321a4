"""Step 6: code - the agent writes a program over a file, and the server runs it in a sandbox.

The model only writes. The server runs what it wrote behind a wall: no network, no files but the thread's own.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python step6_code.py            # --plot as well, if the server has matplotlib: `clew code setup`
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from azure.ai.agents.models import CodeInterpreterTool, FilePurpose
from azure.ai.projects import AIProjectClient
from azure.identity import DefaultAzureCredential
from rich.console import Console
from rich.text import Text

console = Console()

ROWERS = """name,strokes
Atalanta,34
Castor,31
Heracles,38
Orpheus,22
"""
AVERAGE = "What is the average of the column strokes in /mnt/data/rowers.csv?"
PLOT = "Plot the strokes of each name in /mnt/data/rowers.csv as bars."


def ask(agents: Any, thread_id: str, agent_id: str, question: str) -> Any:
    """Ask, wait for the run, and show the code it ran, what came of it, and the answer; return its steps."""
    console.print("[b]You:[/]", Text(question))
    agents.messages.create(thread_id=thread_id, role="user", content=question)
    run = agents.runs.create(thread_id=thread_id, agent_id=agent_id)
    while run.status in ("queued", "in_progress"):
        time.sleep(0.05)
        run = agents.runs.get(thread_id=thread_id, run_id=run.id)
    if run.status != "completed":
        raise SystemExit(f"the run ended {run.status}: {run.last_error}")
    steps = list(agents.run_steps.list(thread_id=thread_id, run_id=run.id, order="asc"))
    for call in calls_of(steps):
        console.print(Text(call.code_interpreter.input, style="cyan"))
        for output in call.code_interpreter.outputs:
            if output.type == "logs":
                console.print(Text(output.logs, style="green"))
    answer = next(iter(agents.messages.list(thread_id=thread_id))).text_messages[0].text
    console.print("[b]Agent:[/]", Text(answer.value))
    return steps


def calls_of(steps: Any) -> Any:
    """Return the calls of code_interpreter that a run made."""
    details = [step.step_details for step in steps if step.type == "tool_calls"]
    return [call for each in details for call in each.tool_calls if call.type == "code_interpreter"]


def save_plots(agents: Any, steps: Any) -> None:
    """Save the pictures that code has shown into this folder."""
    for call in calls_of(steps):
        for output in call.code_interpreter.outputs:
            if output.type == "image":
                name = f"{output.image.file_id}.png"
                agents.files.save(file_id=output.image.file_id, file_name=name)
                console.print(f"[dim]Saved {name}, {Path(name).stat().st_size:,} bytes[/]", highlight=False)


def main() -> None:
    """Upload a table, have an average computed over it, and drawn if that is wanted."""
    project = AIProjectClient(endpoint=os.environ["PROJECT_ENDPOINT"], credential=DefaultAzureCredential())
    agents = project.agents
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rowers.csv"
        path.write_text(ROWERS, encoding="utf-8")
        file = agents.files.upload_and_poll(file_path=str(path), purpose=FilePurpose.AGENTS)

    code = CodeInterpreterTool(file_ids=[file.id])
    agent = agents.create_agent(
        model=os.environ["MODEL_DEPLOYMENT_NAME"],
        name="coxswain",
        instructions="Compute with Python. Answer in one short sentence.",
        tools=code.definitions,
        tool_resources=code.resources,
    )
    thread = agents.threads.create()
    ask(agents, thread.id, agent.id, AVERAGE)
    if "--plot" in sys.argv[1:]:
        save_plots(agents, ask(agents, thread.id, agent.id, PLOT))

    agents.files.delete(file.id)
    agents.threads.delete(thread.id)
    agents.delete_agent(agent.id)


if __name__ == "__main__":
    main()
