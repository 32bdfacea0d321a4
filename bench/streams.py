"""Streams: time to the first event, what a token costs on its way, many open streams, cancelling.

    .venv/bin/python bench/streams.py

A scripted model sends words at a fixed pace. The delay that Clew adds to a word is the time between
the word leaving the model and its frame arriving at the reader, less the same for a reader who asks
the model directly, side by side in the same run. Words carry the time at which they were sent.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from turns import KEY, Client, processes, resident_mb

from clew.testing.scripted_model import ScriptedModel


async def lines(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[float, str]]:
    """Yield the data of each event with the time at which it arrived."""
    rest = b""
    async for chunk in response.content.iter_any():
        now = time.perf_counter()
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                yield now, line[6:].decode()


async def through_clew(session: aiohttp.ClientSession, url: str, agent: str) -> list[tuple[float, Any]]:
    """Run on a new thread; return all events with their times, the first being the request's."""
    body = {"assistant_id": agent, "stream": True, "thread": {"messages": [{"role": "user", "content": "x"}]}}
    told: list[tuple[float, Any]] = [(time.perf_counter(), None)]
    async with session.post(f"{url}/v1/threads/runs", json=body) as response:
        async for moment, data in lines(response):
            told.append((moment, json.loads(data)))
    return told


async def directly(session: aiohttp.ClientSession, model_url: str) -> list[tuple[float, Any]]:
    """Ask the model itself; return all chunks with their times."""
    body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    told: list[tuple[float, Any]] = [(time.perf_counter(), None)]
    async with session.post(f"{model_url}/chat/completions", json=body) as response:
        async for moment, data in lines(response):
            told.append((moment, json.loads(data)))
    return told


def words_of(told: list[tuple[float, Any]]) -> list[float]:
    """Return when each word arrived, however it is packed."""
    times = []
    for moment, data in told:
        if not data:
            continue
        choices = data.get("choices") or [{}]
        if data.get("object") == "thread.message.delta" or choices[0].get("delta", {}).get("content"):
            times.append(moment)
    return times


async def first_events(session: aiohttp.ClientSession, url: str, agent: str, model_url: str) -> None:
    """Print the time to the first event, and what Clew adds to the first word."""
    clew, direct, first = [], [], []
    for _ in range(100):
        told = await through_clew(session, url, agent)
        first.append((told[1][0] - told[0][0]) * 1000)
        clew.append((words_of(told)[0] - told[0][0]) * 1000)
        told = await directly(session, model_url)
        direct.append((words_of(told)[0] - told[0][0]) * 1000)
    print(f"create -> first event                {statistics.median(first):8.2f} ms p50")
    print(f"create -> first word                 {statistics.median(clew):8.2f} ms p50")
    print(f"the same from the model directly     {statistics.median(direct):8.2f} ms p50")


async def paced(session: aiohttp.ClientSession, url: str, agent: str, model_url: str, pace: float) -> None:
    """Print how late words are, against the pace at which the model says them, both ways."""
    late: dict[str, list[float]] = {"through Clew": [], "directly": []}
    for _ in range(10):
        for how, ask in (
            ("through Clew", through_clew(session, url, agent)),
            ("directly", directly(session, model_url)),
        ):
            times = words_of(await ask)
            late[how] += [(moment - times[0] - number * pace) * 1000 for number, moment in enumerate(times)][
                1:
            ]
    for how, delays in late.items():
        delays.sort()
        p99 = delays[int(len(delays) * 0.99)]
        print(f"a word's lateness, {how:12}      {statistics.median(delays):8.2f} ms p50 {p99:8.2f} ms p99")


async def many(session: aiohttp.ClientSession, url: str, agent: str, pid: int, readers: int) -> None:
    """Open so many streams of so many runs at once; print memory, and check that each is whole."""
    before = resident_mb(pid)
    begun = time.perf_counter()
    streams = [asyncio.create_task(through_clew(session, url, agent)) for _ in range(readers)]
    peak = before
    while not all(stream.done() for stream in streams):
        await asyncio.sleep(0.1)
        peak = max(peak, resident_mb(pid))
    took = time.perf_counter() - begun
    whole = sum(
        bool(told[-1][1] and told[-1][1].get("status") == "completed") for told in map(_result, streams)
    )
    words = {len(words_of(told)) for told in map(_result, streams)}
    print(f"{readers} streams at once: {whole} whole, {words} words each, in {took:.1f} s")
    print(f"memory before, at its peak           {before:8.1f} MB {peak:8.1f} MB")


def _result(stream: "asyncio.Task[list[tuple[float, Any]]]") -> list[tuple[float, Any]]:
    return stream.result()


async def cancelling(client: Client, session: aiohttp.ClientSession, url: str, agent: str) -> None:
    """Print the time from asking for a cancellation in mid-word to the run being cancelled."""
    times = []
    for _ in range(50):
        thread = (await client.call("POST", "/v1/threads", {}))["id"]
        run = await client.call("POST", f"/v1/threads/{thread}/runs", {"assistant_id": agent})
        path = f"/v1/threads/{thread}/runs/{run['id']}"
        async with session.get(f"{url}{path}/events") as response:
            async for _moment, data in lines(response):
                if '"thread.message.delta"' in data:
                    break
        begun = time.perf_counter()
        await client.call("POST", f"{path}/cancel")
        ended = await client.call("GET", f"{path}?wait=10")
        assert ended["status"] == "cancelled", ended["status"]
        times.append((time.perf_counter() - begun) * 1000)
    times.sort()
    print(
        f"cancel in mid-word -> cancelled      {statistics.median(times):8.2f} ms p50 {times[-1]:8.2f} ms max"
    )


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readers", type=int, default=1000)
    options = parser.parse_args()
    quick, slow = " ".join(["word"] * 10), " ".join(["word"] * 60)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder, ScriptedModel() as model:
        async with processes(Path(folder), model.url) as (url, server, _):
            timeout = aiohttp.ClientTimeout(total=None)
            headers = {"Authorization": f"Bearer {KEY}"}
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), headers=headers, timeout=timeout
            ) as session:
                client = Client(session, url)
                agent = (await client.call("POST", "/v1/assistants", {"model": "scripted"}))["id"]
                model.when(lambda _: True).reply(quick)
                await first_events(session, url, agent, model.url)
                model.reset()
                model.when(lambda _: True).reply(slow, pace=0.02)
                await paced(session, url, agent, model.url, 0.02)
                await cancelling(client, session, url, agent)
                await many(session, url, agent, server.pid, options.readers)


if __name__ == "__main__":
    asyncio.run(main())
