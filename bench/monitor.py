"""What the toolkit costs: python -m bench.monitor

The same runs, followed by a bare loop over the same client and by the toolkit, in alternating order, in one
process. Wall time and this process's CPU for each run; the server and the model are processes of their own.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import openai
from rich.console import Console
from rich.table import Table

from bench.processes import KEY, STORES, model, site
from clew.toolkit import ConversationManager, RunMonitor, ToolExecutor, connect
from clew.toolkit.records import TERMINAL
from clew.toolkit.service import Service
from clew.toolkit.tools.examples import calculate

_ROUNDS, _TIMES = 10, 10
_QUESTION = "Where is the way out of this maze?"

Work = Callable[[], Awaitable[object]]


async def _bare(service: Service, agent: str) -> None:
    """Polls as fast as it can."""
    thread = await service.acreate_thread(messages=[{"role": "user", "content": _QUESTION}])
    run = await service.acreate_run(thread.id, agent)
    while run.status not in TERMINAL:
        run = await service.aget_run(thread.id, run.id)
    await service.alist_messages(thread.id)


async def _bare_stream(service: Service, agent: str) -> None:
    thread = await service.acreate_thread(messages=[{"role": "user", "content": _QUESTION}])
    async with service.astream_run(thread.id, agent) as events:
        async for _ in events:
            pass
    await service.alist_messages(thread.id)


async def _monitored(monitor: RunMonitor, agent: str) -> None:
    thread = await monitor.service.acreate_thread(messages=[{"role": "user", "content": _QUESTION}])
    await monitor.arun(thread.id, agent)


async def _sent(service: Service, agent: str) -> None:
    await ConversationManager(service, agent).asend(_QUESTION)


async def _openai_stream(client: openai.AsyncOpenAI, agent: str) -> None:
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": _QUESTION}])
    async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=agent) as events:
        async for _ in events:
            pass
    await client.beta.threads.messages.list(thread.id)


async def _compare(port: int) -> list[tuple[str, float, float]]:
    url = f"http://127.0.0.1:{port}/v1"
    async with connect(url, KEY) as service, openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
        agent = (await service.acreate_agent("stub")).id
        through_openai = RunMonitor(client)
        works: dict[str, Work] = {
            "bare loop, polling": lambda: _bare(service, agent),
            "RunMonitor, polling": lambda: _monitored(RunMonitor(service, stream=False), agent),
            "bare loop, events": lambda: _bare_stream(service, agent),
            "RunMonitor, events": lambda: _monitored(RunMonitor(service), agent),
            "ConversationManager.send": lambda: _sent(service, agent),
            "openai's own stream helper": lambda: _openai_stream(client, agent),
            "RunMonitor over openai's client": lambda: _monitored(through_openai, agent),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
        for number in range(_ROUNDS + 1):
            for name, work in works.items():
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(_TIMES):
                    await work()
                if number:  # the first round warms up
                    spent = (time.perf_counter() - wall) / _TIMES, (time.process_time() - cpu) / _TIMES
                    taken[name].append(spent)
    return [
        (name, *(statistics.median(column) * 1000 for column in zip(*rounds, strict=True)))
        for name, rounds in taken.items()
    ]


async def _tool_call_us() -> float:
    """Return the microseconds that a call takes through the executor, over those of the function itself."""
    tools, times = ToolExecutor([calculate]), 300
    call = {"id": "call_1", "function": {"name": "calculate", "arguments": '{"expression": "25 * 47"}'}}
    begun = time.perf_counter()
    for _ in range(times):
        await tools.aexecute([call])
    through = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(times):
        calculate("25 * 47")
    return (through - (time.perf_counter() - begun)) / times * 1e6


def main() -> None:
    """Measure and print."""
    with model() as (url, pid), site(STORES["full"], url, pid) as running:
        compared = asyncio.run(_compare(running.port))
    table = Table("a run, with its thread and messages", box=None, padding=(0, 2, 0, 0))
    table.add_column("takes", justify="right")
    table.add_column("CPU of this process", justify="right")
    for name, wall, cpu in compared:
        table.add_row(name, f"{wall:.1f} ms", f"{cpu:.1f} ms")
    Console().print(table)
    print(f"a tool call through ToolExecutor: {asyncio.run(_tool_call_us()):.0f} us over the function itself")


if __name__ == "__main__":
    main()
