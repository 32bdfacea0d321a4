"""What turns and requests cost, counted: python -m bench.costs [--record].

Compares with what was recorded in ``costs.json``, and fails where something has grown. Counts don't
depend on the machine's mood, so a small growth is a growth. After a change that is worth its cost,
``--record`` writes the new ones down.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench import requests, turns
from bench.counted import Counts, read
from bench.http1 import Connection
from bench.processes import KEY, STORES, Site, model, site

RECORDED = Path(__file__).with_name("costs.json")
LENGTH = 1_000
"""Messages in the thread that is called a long one."""

_ROUNDS, _TIMES, _WARM_UP = 12, 5, 20
_MOST_WRITES, _ENOUGH = 100, 700 * 4096
_GROWTH = {"calls": 0.03, "statements": 0.04, "commits": 0.0, "bytes": 0.15}
"""By how much each count may exceed the recorded one: what differs from one measurement to the next."""

_PYTHON = "{}.{}".format(*sys.version_info[:2])

Costs = dict[str, dict[str, float]]
"""By what is done, by what is counted."""


class Growth(NamedTuple):
    """A cost that has grown."""

    what: str
    counted: str
    recorded: float
    now: float

    def __str__(self) -> str:
        return f"{self.what}: {self.counted} were {self.recorded:g} and are {self.now:g}"


async def measure(store: str) -> Costs:
    """Count what everything costs on one kind of store."""
    with model() as (url, pid), site(STORES[store], url, pid, program="bench.counted") as running:
        connection = await Connection.open(running.port, KEY)
        costs = {}
        for name, work in (await _works(connection)).items():
            await _repeat(work, _WARM_UP)
            costs[name] = await _usual(running, work)
        if not STORES[store].postgres:
            for name, work in (await _works(connection)).items():
                costs[name]["bytes"] = await _bytes(running, work)
        await connection.close()
    return costs


async def _works(connection: Connection) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return what is measured, by name."""
    body = await turns.run_body(connection)
    tail = body[:-1] + b',"truncation_strategy":{"type":"last_messages","last_messages":10}}'
    path = f"/v1/threads/{(await connection.json('POST', '/v1/threads'))['id']}"
    long = f"/v1/threads/{(await connection.json('POST', '/v1/threads'))['id']}"
    for _ in range(LENGTH):
        await connection.call("POST", f"{long}/messages", requests.APPEND)
    run = await connection.json("POST", f"{path}/runs", json.loads(body))
    await connection.call("GET", f"{path}/runs/{run['id']}?wait=30")
    return {
        "a turn, long-polling": lambda: turns.by_long_poll(connection, body),
        "a turn, streaming": lambda: turns.by_streaming(connection, body),
        "a turn, 10 of a long thread": lambda: requests.turn(connection, long, tail),
        "a turn, all of a long thread": lambda: requests.turn(connection, long, body),
        "a poll": lambda: connection.call("GET", f"{path}/runs/{run['id']}"),
        "an append": lambda: connection.call("POST", f"{path}/messages", requests.APPEND),
        "a list of 20": lambda: connection.call("GET", f"{long}/messages"),
    }


async def _repeat(work: Callable[[], Awaitable[object]], times: int) -> None:
    for _ in range(times):
        await work()


async def _usual(running: Site, work: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Count several rounds and take the median of each count: heartbeats and sweeps fall into few of them."""
    rounds = []
    for _ in range(_ROUNDS):
        before = read(running.data_dir)
        await _repeat(work, _TIMES)
        rounds.append(read(running.data_dir).since(before, _TIMES))
    usual = Counts(*map(statistics.median, zip(*rounds, strict=True)))
    return {"calls": round(usual.calls), "statements": usual.statements, "commits": usual.commits}


async def _bytes(running: Site, work: Callable[[], Awaitable[object]]) -> float:
    """Return by how much SQLite's log grows for each repetition; it begins anew after 1,000 pages."""
    with closing(sqlite3.connect(running.data_dir / "clew.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log, times = running.data_dir / "clew.db-wal", 0
    while times < _MOST_WRITES and log.stat().st_size < _ENOUGH:
        await _repeat(work, _TIMES)
        times += _TIMES
    return log.stat().st_size / times


# --- recorded and now ------------------------------------------------------------------------------


def compare(recorded: Costs, now: Costs, *, calls: bool) -> list[Growth]:
    """Return what has grown; calls are compared only where both are of one version of Python."""
    grown = []
    for what, counts in now.items():
        for counted, value in counts.items():
            if counted == "calls" and not calls:
                continue
            before = recorded.get(what, {}).get(counted, 0.0)
            if value > before * (1 + _GROWTH[counted]):
                grown.append(Growth(what, counted, before, value))
    return grown


def grown_since_recorded(store: str, now: Costs) -> list[Growth]:
    """Return what has grown since ``costs.json`` was written."""
    known = json.loads(RECORDED.read_text(encoding="utf-8"))
    return compare(known["costs"][store], now, calls=known["python"] == _PYTHON)


def table(costs: Costs) -> str:
    """Return costs as a table for people."""
    lines = [f"{'':30}{'calls':>8}{'statements':>12}{'commits':>9}{'bytes':>9}"]
    for what, counts in costs.items():
        written = f"{counts['bytes']:,.0f}" if "bytes" in counts else "-"
        lines.append(
            f"{what:30}{counts['calls']:8,.0f}{counts['statements']:12g}{counts['commits']:9g}{written:>9}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and compare or record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the costs down as the new ones")
    options = parser.parse_args()
    costs, grown = {}, []
    for store in ("full", "postgres"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            costs[store] = runner.run(measure(store))
        print(f"{STORES[store].name}\n{table(costs[store])}\n")
        if not options.record:
            grown += grown_since_recorded(store, costs[store])
    if options.record:
        RECORDED.write_text(
            json.dumps({"python": _PYTHON, "costs": costs}, indent=1) + "\n", encoding="utf-8"
        )
    for growth in grown:
        print(growth)
    sys.exit(bool(grown))


if __name__ == "__main__":
    main()
