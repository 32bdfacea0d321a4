"""Exercise C: how fast, how many tokens, how many errors? A report over many runs.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python exercise_c_performance.py [runs] [at once] [directory]

The directory gets report.json and runs.csv.
"""

import os
import sys
from pathlib import Path

import anyio
from rich.console import Console

from clew.toolkit import PerformanceMonitor, RunMonitor, Service, ToolExecutor, calculate, connect

QUESTIONS = ("What is 25 * 47?", "Name a planet.", "Say hello.", "What is the opposite of hot?")


async def measure(service: Service, model: str, runs: int, at_once: int) -> PerformanceMonitor:
    """Ask ``runs`` questions, each on a thread of its own, ``at_once`` at a time."""
    performance, tools = PerformanceMonitor(), ToolExecutor([calculate])
    monitor = RunMonitor(service, tools=tools, on_result=[performance.observe])
    instructions = "Answer in one short sentence. Use the tool for arithmetic."
    agent = await service.acreate_agent(model, instructions=instructions, tools=tools.definitions)
    limit = anyio.Semaphore(at_once)

    async def ask(question: str) -> None:
        async with limit:
            thread = await service.acreate_thread(messages=[{"role": "user", "content": question}])
            await monitor.arun(thread.id, agent.id, check=False)
            await service.adelete_thread(thread.id)

    async with anyio.create_task_group() as tasks:
        for number in range(runs):
            tasks.start_soon(ask, QUESTIONS[number % len(QUESTIONS)])
    await service.adelete_agent(agent.id)
    return performance


async def main(runs: int = 200, at_once: int = 4, directory: Path | None = None) -> None:
    """Measure the server that the environment names, print the report and write it to files."""
    async with connect(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]) as service:
        performance = await measure(service, os.environ["MODEL_DEPLOYMENT_NAME"], runs, at_once)
    report = performance.report()
    Console().print(report)
    if directory is not None:
        (directory / "report.json").write_text(report.to_json(), encoding="utf-8")
        (directory / "runs.csv").write_text(performance.to_csv(), encoding="utf-8", newline="")
        print(f"Written: {directory / 'report.json'}, {directory / 'runs.csv'}")


if __name__ == "__main__":
    given = sys.argv[1:]
    anyio.run(
        main,
        int(given[0]) if given else 200,
        int(given[1]) if len(given) > 1 else 4,
        Path(given[2]) if len(given) > 2 else None,
    )
