"""Step 2: watch a run through its states, and look at its steps.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python step2_monitoring.py
"""

import os
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table

from clew.azure import AIProjectClient

TERMINAL = {"completed", "failed", "cancelled", "expired", "incomplete"}
WHAT_IT_MEANS = {
    "queued": "waiting for a worker",
    "in_progress": "the model is at work",
    "requires_action": "waiting for our tool outputs",
    "cancelling": "being stopped",
    "completed": "the answer is in the thread",
    "failed": "see last_error",
    "cancelled": "stopped on request",
    "expired": "took longer than it may",
    "incomplete": "a token limit cut it short",
}

console = Console()


def states(
    project: AIProjectClient, thread_id: str, run_id: str, seconds: float = 300
) -> Iterator[tuple[float, str]]:
    """Yield each status of a run with the seconds since the start, until the run stops."""
    begun, last = time.monotonic(), None
    while last not in TERMINAL | {"requires_action"}:
        elapsed = time.monotonic() - begun
        if elapsed > seconds:
            project.agents.runs.cancel(thread_id=thread_id, run_id=run_id)
            raise TimeoutError(f"{run_id} was not done after {seconds:g} s, so we cancelled it")
        run = project.agents.runs.get(thread_id=thread_id, run_id=run_id)
        if run.status != last:
            last = str(getattr(run.status, "value", run.status))
            yield elapsed, last
        time.sleep(0.05)


def watch(project: AIProjectClient, thread_id: str, run_id: str) -> str:
    """Show a run's states in a live table; return the last one."""
    table = Table("elapsed", "status", "what it means", title=run_id)
    status = ""
    with Live(table, console=console, refresh_per_second=20):
        for elapsed, status in states(project, thread_id, run_id):
            table.add_row(f"{elapsed:5.2f} s", status, WHAT_IT_MEANS[status])
    console.print()
    return status


def show_steps(project: AIProjectClient, thread_id: str, run_id: str) -> None:
    """Print what a run did, step by step."""
    table = Table("step", "type", "status", "took", "tokens", title="Run steps")
    for step in reversed(project.agents.runs.steps.list(thread_id=thread_id, run_id=run_id).data):
        took = f"{(step.completed_at - step.created_at).total_seconds():.0f} s" if step.completed_at else "-"
        tokens = str(step.usage.total_tokens) if step.usage else "-"
        table.add_row(step.id, str(step.type.value), str(step.status.value), took, tokens)
    console.print(table)


def main() -> None:
    """Run one question and watch it."""
    with AIProjectClient(
        endpoint=os.environ["PROJECT_ENDPOINT"], credential=os.environ["OPENAI_API_KEY"]
    ) as project:
        agents = project.agents
        agent = agents.create_agent(
            model=os.environ["MODEL_DEPLOYMENT_NAME"],
            name="monitored-agent",
            instructions="You are a patient teacher. Answer in two short sentences.",
        )
        thread = agents.threads.create()
        agents.messages.create(thread_id=thread.id, role="user", content="Why do ships float?")
        run = agents.runs.create(thread_id=thread.id, agent_id=agent.id)

        if watch(project, thread.id, run.id) != "completed":
            run = agents.runs.get(thread_id=thread.id, run_id=run.id)
            raise SystemExit(f"The run did not complete: {run.last_error or run.incomplete_details}")
        show_steps(project, thread.id, run.id)
        run = agents.runs.get(thread_id=thread.id, run_id=run.id)
        console.print(f"Tokens: {run.usage.prompt_tokens} in, {run.usage.completion_tokens} out")

        agents.threads.delete(thread.id)
        agents.delete_agent(agent.id)


if __name__ == "__main__":
    main()
