"""Streams: the first event, the first word, what each word costs on its way, and a thousand at once."""

import asyncio
import json
import statistics
import time

from bench.figures import Figure, Times
from bench.http1 import Connection
from bench.processes import KEY, Site, memory_mb
from bench.turns import run_body

_DIRECT = json.dumps(
    {"model": "stub", "stream": True, "messages": [{"role": "user", "content": "x"}]}
).encode()


async def beginnings(site: Site, times: int) -> list[Figure]:
    """From the request to the first event and to the first word; the model asked directly beside it."""
    connection = await Connection.open(site.port, KEY)
    direct = await Connection.open(_port(site.model_url))
    body = await run_body(connection)
    body = body[:-1] + b',"stream":true,"thread":{"messages":[{"role":"user","content":"x"}]}}'
    events, words, directly = [], [], []
    for _ in range(times):
        first_event, first_word = await _first(connection, "/v1/threads/runs", body, b"message.delta")
        _, from_model = await _first(direct, "/v1/chat/completions", _DIRECT, b'"content": "word')
        events.append(first_event)
        words.append(first_word)
        directly.append(from_model)
    await connection.close()
    await direct.close()
    event, word, model = Times.of(events), Times.of(words), Times.of(directly)
    group = "a stream begins"
    added = word.p50 - model.p50
    return [
        Figure(group, "first event", event.p50, "ms"),
        Figure(group, "first event, p99", event.p99, "ms"),
        Figure(group, "first word", word.p50, "ms", word.p50 / model.p50, "the model itself"),
        Figure(group, "first word of the model itself", model.p50, "ms"),
        Figure(group, "added to the first word, with its commit", added, "ms"),
    ]


async def _first(connection: Connection, path: str, body: bytes, word: bytes) -> tuple[float, float]:
    begun = time.perf_counter()
    first = said = 0.0
    async for chunk in connection.stream("POST", path, body):
        first = first or time.perf_counter()
        if not said and word in chunk:
            said = time.perf_counter()
    return first - begun, said - begun


async def words(site: Site, streams: int, count: int, pace: float) -> list[Figure]:
    """How late words come through Clew that the model says at a steady pace, against the model itself."""
    through = asyncio.gather(*(_lateness(site, True, count, pace) for _ in range(streams)))
    late = [each for one in await through for each in one]
    alone = asyncio.gather(*(_lateness(site, False, count, pace) for _ in range(streams)))
    direct = [each for one in await alone for each in one]
    group = f"words, {streams} streams at {1 / pace:.0f} a second"
    added = (statistics.median(late) - statistics.median(direct)) * 1000
    return [
        Figure(group, "late through Clew", statistics.median(late) * 1000, "ms"),
        Figure(group, "late from the model itself", statistics.median(direct) * 1000, "ms"),
        Figure(group, "added", added, "ms"),
    ]


async def _lateness(site: Site, through: bool, count: int, pace: float) -> list[float]:
    """Return by how much later than the pace each word came, from the second on."""
    connection = await Connection.open(site.port if through else _port(site.model_url), KEY)
    if through:
        body = await run_body(connection)
        body = body[:-1] + b',"stream":true,"thread":{"messages":[{"role":"user","content":"x"}]}}'
        answer = connection.stream("POST", "/v1/threads/runs", body)
    else:
        answer = connection.stream("POST", "/v1/chat/completions", _DIRECT)
    came: list[float] = []
    async for chunk in answer:
        now = time.perf_counter()
        came += [now] * (chunk.count(b"word"))
        del came[count:]
    await connection.close()
    return [moment - came[0] - number * pace for number, moment in enumerate(came)][1:]


async def many(site: Site, streams: int) -> list[Figure]:
    """Open many streams at once; each must get its whole answer. Memory before, at the most, after."""
    (server,) = site.processes["server"]
    before = memory_mb(server)
    most = before
    connection = await Connection.open(site.port, KEY)
    body = await run_body(connection)
    body = body[:-1] + b',"stream":true,"thread":{"messages":[{"role":"user","content":"x"}]}}'
    whole = 0

    async def read() -> None:
        nonlocal whole
        reader = await Connection.open(site.port, KEY)
        data = b"".join([chunk async for chunk in reader.stream("POST", "/v1/threads/runs", body)])
        whole += data.endswith(b"data: [DONE]\n\n") and b"thread.run.completed" in data
        await reader.close()

    begun = time.perf_counter()
    reading = [asyncio.ensure_future(read()) for _ in range(streams)]
    while not all(task.done() for task in reading):
        most = max(most, memory_mb(server))
        await asyncio.wait(reading, timeout=0.2)
    for task in reading:
        task.result()
    group = f"{streams} streams at once"
    return [
        Figure(group, "whole", whole / streams * 100, "%"),
        Figure(group, "until all had ended", time.perf_counter() - begun, "s"),
        Figure(group, "memory before", before, "MB"),
        Figure(group, "memory at the most", most, "MB"),
        Figure(group, "memory for each", (most - before) / streams * 1000, "kB"),
    ]


def _port(url: str) -> int:
    return int(url.removesuffix("/v1").rpartition(":")[2])
