"""Four times what a server can do: what it still does, and what becomes of the runs it accepts.

    python -m bench.overload [--store full|normal|postgres] [--times 4] [--clients 2000]

First the peak: each of some clients sends a run when its last one was accepted. Then as many times the
peak's runs a second are sent, as far as the server takes them. A refused one (429) is not sent again.
"""

import argparse
import asyncio
import json
import time
from collections import Counter

import uvloop

from bench import turns
from bench.http1 import Connection, Refused
from bench.processes import KEY, STORES, Site, model, site

_CLIENTS = 64
_LATEST = 10**11
_SECONDS = 8.0


async def measure(running: Site, times: float, connections: int) -> str:
    """Measure the peak, then the overload; return what came of it."""
    warm_up = _Flood(running, _CLIENTS, rate=None)
    await warm_up.run(1)
    peak = await _done_by(_Flood(running, _CLIENTS, rate=None), running)
    flood = _Flood(running, connections, peak * times)
    done = await _done_by(flood, running)
    statuses = await flood.what_became_of_the_accepted()
    sent = flood.accepted_count + flood.refused
    return (
        f"{_CLIENTS} clients have {peak:.0f} runs/s done; then {connections} clients would send "
        f"{peak * times:.0f}/s ({times:g}x) and come to {sent / _SECONDS:.0f}: "
        f"{done:.0f}/s are done ({done / peak:.0%}), "
        f"{flood.refused / sent:.0%} are refused with 429; of {flood.accepted_count} accepted ones: "
        + ", ".join(f"{count} {status}" for status, count in statuses.items())
    )


async def _done_by(flood: "_Flood", running: Site) -> float:
    """Return how many runs a second are over while a flood goes on."""
    before = await _ended(running)
    await flood.run(_SECONDS)
    return (await _ended(running) - before) / _SECONDS


async def _ended(running: Site) -> int:
    connection = await Connection.open(running.port, KEY)
    summary = await connection.json("GET", f"/v1/metrics/summary?since=0&until={_LATEST}")
    await connection.close()
    return int(summary["runs"])


class _Flood:
    """Runs that are sent at a rate, whether the server keeps up or not; or one after another, without."""

    def __init__(self, running: Site, connections: int, rate: float | None) -> None:
        self._running, self._connections, self._rate = running, connections, rate
        self._accepted: list[tuple[str, str]] = []
        self._body = b""
        self.refused = 0

    @property
    def accepted_count(self) -> int:
        return len(self._accepted)

    async def run(self, seconds: float) -> None:
        """Send for so long."""
        connections = [await Connection.open(self._running.port, KEY) for _ in range(self._connections)]
        agent = json.loads(await turns.run_body(connections[0]))
        message = {"role": "user", "content": "Where is the way out of this maze?"}
        self._body = json.dumps({**agent, "thread": {"messages": [message]}}).encode()
        end = time.perf_counter() + seconds
        await asyncio.gather(*(self._send(connection, end) for connection in connections))
        for connection in connections:
            await connection.close()

    async def _send(self, connection: Connection, end: float) -> None:
        interval = self._connections / self._rate if self._rate is not None else 0.0
        due = time.perf_counter()
        while due < end and time.perf_counter() < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += interval
            try:
                run = json.loads(await connection.call("POST", "/v1/threads/runs", self._body))
            except Refused as error:
                if error.status != 429:
                    raise
                self.refused += 1
            else:
                self._accepted.append((run["thread_id"], run["id"]))

    async def what_became_of_the_accepted(self) -> Counter[str]:
        """Wait for every run that was accepted; return how they ended."""
        ended: Counter[str] = Counter()
        left = iter(self._accepted)

        async def look(connection: Connection) -> None:
            for thread, run in left:
                path = f"/v1/threads/{thread}/runs/{run}?wait=60"
                ended[json.loads(await connection.call("GET", path))["status"]] += 1
            await connection.close()

        connections = [await Connection.open(self._running.port, KEY) for _ in range(8)]
        await asyncio.gather(*map(look, connections))
        return ended


async def _main(store: str, times: float, connections: int) -> None:
    with model() as (url, pid), site(STORES[store], url, pid) as running:
        print(f"{STORES[store].name}: {await measure(running, times, connections)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=list(STORES), default="full")
    parser.add_argument("--times", type=float, default=4.0)
    parser.add_argument("--clients", type=int, default=2000)
    options = parser.parse_args()
    uvloop.run(_main(options.store, options.times, options.clients))


if __name__ == "__main__":
    main()
