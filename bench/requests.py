"""Single requests - polls, appends, lists - on threads of any length, and turns on long threads."""

import asyncio
import json
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.figures import Figure, timed
from bench.http1 import Connection
from bench.processes import KEY, Site, Store, site
from bench.turns import run_body
from clew.clock import SystemClock
from clew.core.content import text_content
from clew.core.records import Message, Thread
from clew.store import messages, threads
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.store.statement import Transaction

_TURN_ABOUT = 4
"""Times that both of a pair are measured, one after the other."""

APPEND = json.dumps({"role": "user", "content": "x" * 400}).encode()


def seeded_thread(length: int) -> str:
    """Return the id of the seeded thread of a length."""
    return f"thread_{length:024d}"


def seed(data_dir: Path, lengths: list[int]) -> None:
    """Make a database with a thread of each length, before the server starts."""
    path = data_dir / "clew.db"
    prepare_sqlite(path)

    async def fill() -> None:
        db = SqliteDatabase(path, synchronous="NORMAL")
        for length in lengths:
            await db.write(threads.add, Thread(id=seeded_thread(length), project="default", created_at=1))
            for start in range(0, length, 5000):
                await db.write(_add, length, range(start, min(start + 5000, length)))
        await db.close()

    asyncio.run(fill())
    connection = sqlite3.connect(path)
    connection.execute("ANALYZE")
    connection.close()


async def _add(tx: Transaction, length: int, numbers: range) -> None:
    now = SystemClock().now()
    for number in numbers:
        message = Message(
            id=f"msg_{length:012d}{number:012d}",
            project="default",
            thread_id=seeded_thread(length),
            created_at=now,
            role="user" if number % 2 == 0 else "assistant",
            content=[text_content(f"message {number} " + "x" * 200)],
            completed_at=now,
        )
        await messages.add(tx, message)


async def rates(running: Site, seconds: float) -> list[Figure]:
    """Requests a second: polls of a run, appends to a thread, lists of twenty."""
    connection = await Connection.open(running.port, KEY)
    body = await run_body(connection)
    thread = (await connection.json("POST", "/v1/threads", {}))["id"]
    run = json.loads(await connection.call("POST", f"/v1/threads/{thread}/runs", body))
    await connection.call("GET", f"/v1/threads/{thread}/runs/{run['id']}?wait=30")
    for _ in range(30):
        await connection.call("POST", f"/v1/threads/{thread}/messages", APPEND)
    paths = {
        "polls": ("GET", f"/v1/threads/{thread}/runs/{run['id']}", b""),
        "appends": ("POST", f"/v1/threads/{thread}/messages", APPEND),
        "lists of 20": ("GET", f"/v1/threads/{thread}/messages", b""),
    }
    figures = []
    for name, request in paths.items():
        for connections in (1, 16, 64):
            rate = await _rate(running, request, connections, seconds)
            figures.append(Figure("requests", f"{name}, {connections} connections", rate, "/s"))
    await connection.close()
    return figures


async def logged(store: Store, model_url: str, model_pid: int, seconds: float) -> list[Figure]:
    """Polls a second where every request leaves a line in the log, beside those where none does."""
    found: dict[str, list[float]] = {"off": [], "all": []}
    with (
        site(store, model_url, model_pid, CLEW_ACCESS_LOG="off") as off,
        site(store, model_url, model_pid, CLEW_ACCESS_LOG="all", CLEW_LOG_FORMAT="json") as every,
    ):
        for _ in range(_TURN_ABOUT):
            for name, running in (("off", off), ("all", every)):
                request = ("GET", "/v1/threads?limit=1", b"")
                found[name].append(await _rate(running, request, 16, seconds / _TURN_ABOUT))
    rates_ = {name: statistics.median(values) for name, values in found.items()}
    figures = [Figure("requests", f"access log {name}, 16 connections", rates_[name], "/s") for name in found]
    return [
        *figures,
        Figure("requests", "a logged request over one that is not", rates_["off"] / rates_["all"], "x"),
    ]


async def _rate(running: Site, request: tuple[str, str, bytes], connections: int, seconds: float) -> float:
    opened = [await Connection.open(running.port, KEY) for _ in range(connections)]
    end, done = time.perf_counter() + seconds, 0

    async def work(connection: Connection) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await connection.call(*request)
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*map(work, opened))
    passed = time.perf_counter() - begun
    for connection in opened:
        await connection.close()
    return done / passed


async def by_length(site: Site, lengths: list[int], times: int) -> list[Figure]:
    """Appends, lists and turns on threads of several lengths, interleaved so that noise meets all alike."""
    connection = await Connection.open(site.port, KEY)
    agent = await run_body(connection)
    body = agent[:-1] + b',"truncation_strategy":{"type":"last_messages","last_messages":10}}'

    def work(length: int) -> dict[str, Callable[[], Awaitable[object]]]:
        path = f"/v1/threads/{seeded_thread(length)}"
        middle = f"msg_{length:012d}{length // 2:012d}"
        return {
            "append": lambda: connection.call("POST", f"{path}/messages", APPEND),
            "newest 20": lambda: connection.call("GET", f"{path}/messages"),
            "20 in the middle": lambda: connection.call("GET", f"{path}/messages?after={middle}"),
            "turn with the last 10": lambda: turn(connection, path, body),
            "turn with all": lambda: turn(connection, path, agent),
        }

    figures = []
    for name in work(lengths[0]):
        taken: dict[int, list[float]] = {length: [] for length in lengths}
        for _ in range(4):
            for length in lengths:
                taken[length].append((await timed(work(length)[name], times // 4)).p50)
        base = sorted(taken[lengths[0]])[1]
        for length in lengths:
            middle = sorted(taken[length])[1]
            of = f"the same at {lengths[0]}"
            figures.append(
                Figure(f"{name}, by length", f"{length:,} messages", middle, "ms", middle / base, of)
            )
    await connection.close()
    return figures


async def turn(connection: Connection, path: str, body: bytes) -> None:
    run = json.loads(await connection.call("POST", f"{path}/runs", body))
    while run["status"] in ("queued", "in_progress"):
        run = json.loads(await connection.call("GET", f"{path}/runs/{run['id']}?wait=30"))
    if run["status"] != "completed":
        raise RuntimeError(f"the run ended {run['status']}: {run['last_error']}")
