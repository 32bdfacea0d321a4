"""Whole turns: thread, message, run, wait, list; one after another, and many at once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.figures import Figure, Times, timed
from bench.http1 import Connection, Refused
from bench.processes import KEY, Site, cpu_by_role

_MESSAGE = json.dumps({"role": "user", "content": "Where is the way out of this maze?"}).encode()
_MOVING = ("queued", "in_progress")

Turn = Callable[[Connection, bytes], Awaitable[None]]


async def by_polling(connection: Connection, run_body: bytes) -> None:
    """One turn that asks for the run again and again."""
    await _turn(connection, run_body, "")


async def by_long_poll(connection: Connection, run_body: bytes) -> None:
    """One turn that has the server hold the read back until the run is over."""
    await _turn(connection, run_body, "?wait=30")


async def by_streaming(connection: Connection, run_body: bytes) -> None:
    """One turn that reads the run's events."""
    thread = await _thread(connection)
    last = b""
    async for chunk in connection.stream(
        "POST", f"/v1/threads/{thread}/runs", run_body[:-1] + b',"stream":true}'
    ):
        last = chunk
    if b"event: done" not in last:
        raise RuntimeError(f"the stream ended with {last[-200:]!r}")
    await _list(connection, thread)


async def _turn(connection: Connection, run_body: bytes, wait: str) -> None:
    thread = await _thread(connection)
    run = json.loads(await connection.call("POST", f"/v1/threads/{thread}/runs", run_body))
    path = f"/v1/threads/{thread}/runs/{run['id']}{wait}"
    while run["status"] in _MOVING:
        run = json.loads(await connection.call("GET", path))
    if run["status"] != "completed":
        raise RuntimeError(f"the run ended {run['status']}: {run['last_error']}")
    await _list(connection, thread)


async def _thread(connection: Connection) -> str:
    thread: str = json.loads(await connection.call("POST", "/v1/threads", b"{}"))["id"]
    await connection.call("POST", f"/v1/threads/{thread}/messages", _MESSAGE)
    return thread


async def _list(connection: Connection, thread: str) -> None:
    messages: Any = json.loads(await connection.call("GET", f"/v1/threads/{thread}/messages"))
    if len(messages["data"]) != 2:
        raise RuntimeError("the run is over, but the answer is not in the list yet")


async def run_body(connection: Connection, **agent: Any) -> bytes:
    """Create an agent; return the body that starts a run of it."""
    made = await connection.json("POST", "/v1/assistants", {"model": "stub", **agent})
    return json.dumps({"assistant_id": made["id"]}, separators=(",", ":")).encode()


WAYS: dict[str, Turn] = {"polling": by_polling, "long-polling": by_long_poll, "streaming": by_streaming}


async def sequential(site: Site, turns: int) -> list[Figure]:
    """One turn after another, each way of waiting, with what each process spends on it."""
    connection = await Connection.open(site.port, KEY)
    body = await run_body(connection)
    figures = []
    for name, turn in WAYS.items():
        for _ in range(max(20, turns // 5)):
            await turn(connection, body)
        before = cpu_by_role(site)
        times = await timed(lambda turn=turn: turn(connection, body), turns)  # type: ignore[misc]
        spent = {role: (used - before[role]) / turns * 1000 for role, used in cpu_by_role(site).items()}
        figures += _of_turn(name, times, spent)
    await connection.close()
    return figures


def _of_turn(way: str, times: Times, spent: dict[str, float]) -> list[Figure]:
    group = f"one turn, {way}"
    figures = [Figure(group, "p50", times.p50, "ms"), Figure(group, "p99", times.p99, "ms")]
    return [*figures, *(Figure(group, f"CPU of {role}", used, "ms") for role, used in spent.items())]


async def at_once(site: Site, clients: int, seconds: float) -> list[Figure]:
    """Turns a second of so many clients, and what a turn then costs."""
    connections = [await Connection.open(site.port, KEY) for _ in range(clients)]
    body = await run_body(connections[0])
    end = time.perf_counter() + seconds
    durations: list[float] = []
    refused = 0

    async def work(connection: Connection) -> None:
        nonlocal refused
        while (begun := time.perf_counter()) < end:
            try:
                await by_long_poll(connection, body)
            except Refused as error:
                if error.status != 429:
                    raise
                refused += 1
                continue
            durations.append(time.perf_counter() - begun)

    before, begun = cpu_by_role(site), time.perf_counter()
    await asyncio.gather(*map(work, connections))
    passed = time.perf_counter() - begun
    after = cpu_by_role(site)
    for connection in connections:
        await connection.close()
    group, done = f"{clients} clients at once", len(durations)
    times = Times.of(durations)
    figures = [
        Figure(group, "turns", done / passed, "/s"),
        Figure(group, "p50", times.p50, "ms"),
        Figure(group, "p99", times.p99, "ms"),
    ]
    if refused:
        figures.append(Figure(group, "refused", refused / passed, "/s"))
    for role, used in after.items():
        figures.append(Figure(group, f"CPU of {role}", (used - before[role]) / done * 1000, "ms"))
    share = (after["client"] - before["client"]) / passed * 100
    return [*figures, Figure(group, "share of a core for the client", share, "%")]
