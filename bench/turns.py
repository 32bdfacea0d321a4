"""How long a turn takes, and how many a second: thread, message, run, wait, list.

    .venv/bin/python bench/turns.py

Starts a clean server on SQLite (synchronous=FULL) and a zero-latency scripted model as processes of
their own, drives them over real HTTP, and prints a table. References are measured in the same run:
a durable 4 kB append with fdatasync (what a commit can't beat), and the server's cheapest answer
(what HTTP can't beat).
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

KEY = "clew_bench_" + "0" * 32


class Client:
    """A light client: one connection pool, JSON by hand."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; return the JSON of its answer."""
        async with self._session.request(method, self._url + path, json=body) as response:
            answer = await response.json(content_type=None)
            if response.status != 200:
                raise RuntimeError(f"{method} {path}: {response.status} {answer}")
            return answer

    async def turn(self, agent_id: str, wait: str = "?wait=30") -> None:
        """One whole turn; ``wait`` asks the server to hold the read back until the run is over."""
        thread = (await self.call("POST", "/v1/threads", {}))["id"]
        await self.call("POST", f"/v1/threads/{thread}/messages", {"role": "user", "content": "Hello"})
        run = await self.call("POST", f"/v1/threads/{thread}/runs", {"assistant_id": agent_id})
        while run["status"] in ("queued", "in_progress"):
            run = await self.call("GET", f"/v1/threads/{thread}/runs/{run['id']}{wait}")
        if run["status"] != "completed":
            raise RuntimeError(f"the run ended {run['status']}: {run['last_error']}")
        messages = await self.call("GET", f"/v1/threads/{thread}/messages")
        if len(messages["data"]) != 2:
            raise RuntimeError("completed, but the answer is not in the list yet")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used (Linux; 0 elsewhere)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB (Linux; 0 elsewhere)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def processes(
    data_dir: Path, model_url: str | None = None
) -> AsyncIterator[tuple[str, subprocess.Popen[bytes], float]]:
    """Start a server, and a model unless one is given.

    Yields the server's URL, its process, and its seconds to the first answer.
    """
    model = None
    if model_url is None:
        command = [sys.executable, "-m", "clew.testing.scripted_model", "--port", "0"]
        model = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert model.stdout is not None
        model_url = model.stdout.readline().decode().split()[-1]
    settings = {"CLEW_API_KEY": KEY, "CLEW_MODEL_URL": model_url, "CLEW_DATA_DIR": str(data_dir)}
    environment = {**os.environ, **settings}
    server = None
    try:
        begun = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "clew.cli.main", "serve", "--port", "0"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        info = data_dir / "server.json"
        while not info.exists():
            if server.poll() is not None:
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.002)
        yield json.loads(info.read_text(encoding="utf-8"))["url"], server, time.perf_counter() - begun
    finally:
        for process in (server, model):
            if process is not None:
                process.terminate()
                process.wait(10)


def flush_ms() -> float:
    """Return the median time of a durable 4 kB append, in milliseconds."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        times = []
        for _ in range(100):
            begun = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


async def sequential(client: Client, agent: str, turns: int, wait: str) -> list[float]:
    """Return the milliseconds of turns made one after another."""
    times = []
    for _ in range(turns):
        begun = time.perf_counter()
        await client.turn(agent, wait)
        times.append((time.perf_counter() - begun) * 1000)
    return times


async def concurrent(client: Client, agent: str, clients: int, seconds: float) -> float:
    """Return the turns a second of so many clients at once."""
    done = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await client.turn(agent)
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return done / (time.perf_counter() - begun)


async def echo_ms(client: Client, calls: int) -> float:
    """Return the median time of the server's cheapest authenticated answer, in milliseconds."""
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        await client.call("GET", "/v1/models")
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        async with processes(Path(folder)) as (url, server, cold):
            connector = aiohttp.TCPConnector(limit=0)
            headers = {"Authorization": f"Bearer {KEY}"}
            async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
                client = Client(session, url)
                agent = (await client.call("POST", "/v1/assistants", {"model": "scripted"}))["id"]
                print(f"cold start to first answer      {cold:8.2f} s")
                print(f"idle memory                     {resident_mb(server.pid):8.1f} MB")
                print(f"reference: a disk flush         {flush_ms():8.2f} ms")
                print(f"reference: the cheapest answer  {await echo_ms(client, 500):8.2f} ms")
                await sequential(client, agent, 30, "")
                for how, wait in (("long-polling", "?wait=30"), ("polling at once", "")):
                    cpu = cpu_seconds(server.pid)
                    times = sorted(await sequential(client, agent, options.turns, wait))
                    cpu = (cpu_seconds(server.pid) - cpu) / options.turns * 1000
                    print(f"one turn, {how:15}       {statistics.median(times):8.2f} ms p50")
                    print(f"                                {times[int(len(times) * 0.99)]:8.2f} ms p99")
                    print(f"                                {cpu:8.2f} ms of server CPU")
                for clients in options.clients:
                    rate = await concurrent(client, agent, clients, options.seconds)
                    print(f"turns a second, {clients:3} clients     {rate:8.1f}")
                print(f"memory after that               {resident_mb(server.pid):8.1f} MB")


if __name__ == "__main__":
    asyncio.run(main())
