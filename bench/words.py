"""What a streamed word costs, and what many of them leave to others: python -m bench.words [ROW ...]

The model, the bare translator and the readers are processes of their own. The server's CPU is what its
process has used while every stream was under way, so beginnings and endings don't count.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import uvloop

from bench.figures import Figure, Times
from bench.http1 import Connection
from bench.processes import KEY, STORES, Site, Store, cpu_seconds, model, site
from bench.reading import Plan, Read
from bench.turns import run_body

_SETTLED = 0.3
"""Seconds after the last stream's first word, from which on it is measured."""

_ALONE = 2.0
"""Seconds of requests before there are any streams: what the machine itself makes them wait."""

_PAUSE = 0.02
"""Seconds between two requests of the one who looks how long others wait."""


class Load(NamedTuple):
    """So many runs, each of so many words, one every ``pace`` seconds, with so many readers a run."""

    runs: int
    words: int
    pace: float
    readers: int = 1

    @property
    def seconds(self) -> float:
        """How long the runs take, at the least."""
        return self.words * self.pace


class Measured(NamedTuple):
    """What came, and what the server spent and others waited in so many seconds with every stream under way.

    ``beginning`` is what others waited while the streams began, ``alone`` what they wait without any.
    """

    read: Read
    cpu: float
    seconds: float
    waits: list[float]
    beginning: list[float]
    alone: list[float]
    began: float
    """Seconds until every stream had begun."""


# --- processes -------------------------------------------------------------------------------------


@contextmanager
def _translator(model_url: str) -> Iterator[tuple[int, int]]:
    """Run the bare translator; give its port and its process."""
    command = [sys.executable, "-m", "bench.translator", model_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


class _Readers:
    """Processes of readers, each with its share of the requests."""

    def __init__(self, plans: list[Plan]) -> None:
        self._plans = plans
        self._processes: list[asyncio.subprocess.Process] = []

    async def begin(self) -> None:
        """Start them."""
        for plan in self._plans:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.reading", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdin is not None
            process.stdin.write(json.dumps(plan._asdict()).encode() + b"\n")
            self._processes.append(process)

    async def begun(self) -> None:
        """Return when all streams have begun."""
        for process in self._processes:
            assert process.stdout is not None
            await process.stdout.readline()

    async def ended(self) -> Read:
        """Return what has come, when all streams are over."""
        reads = []
        for process in self._processes:
            assert process.stdout is not None
            reads.append(Read(*json.loads(await process.stdout.readline())))
            await process.wait()
        return Read(*map(sum, zip(*reads, strict=True)))


def _shares(port: int, requests: list[tuple[str, str, str]], words: int, over: float) -> _Readers:
    """Return two processes of readers for these requests."""
    return _Readers([Plan(port, requests[part::2], words, over) for part in (0, 1)])


# --- measuring -------------------------------------------------------------------------------------


async def _measure(readers: _Readers, pid: int, seconds: float, others: "_Others | None" = None) -> Measured:
    """Measure for so many seconds from when all streams have begun."""
    alone = [] if others is None else await others.ask_for(_ALONE)
    started = time.perf_counter()
    await readers.begin()
    begun = asyncio.ensure_future(readers.begun())
    beginning = [] if others is None else await others.ask(begun.done)
    await begun
    began = time.perf_counter() - started
    await asyncio.sleep(_SETTLED)
    spent, since = cpu_seconds([pid]), time.perf_counter()
    waits: list[float] = []
    if others is None:
        await asyncio.sleep(seconds)
    else:
        waits = await others.ask_for(seconds)
    cpu, passed = cpu_seconds([pid]) - spent, time.perf_counter() - since
    return Measured(await readers.ended(), cpu, passed, waits, beginning, alone, began)


class _Others:
    """Somebody with nothing to do with the streams, who polls a run, adds messages and lists them."""

    def __init__(self, port: int, requests: list[tuple[str, str, bytes]]) -> None:
        self._port, self._requests = port, requests

    @classmethod
    async def arrive(cls, port: int) -> "_Others":
        """Make what is asked for."""
        connection = await Connection.open(port, KEY)
        thread = (await connection.json("POST", "/v1/threads"))["id"]
        message = b'{"role":"user","content":"x"}'
        path = f"/v1/threads/{thread}/messages"
        await connection.close()
        return cls(port, [("GET", f"/v1/threads/{thread}", b""), ("POST", path, message)])

    async def ask_for(self, seconds: float) -> list[float]:
        """Ask for so long."""
        end = time.perf_counter() + seconds
        return await self.ask(lambda: time.perf_counter() > end)

    async def ask(self, until: Callable[[], bool]) -> list[float]:
        """Ask again and again; return how long each answer took."""
        connection = await Connection.open(self._port, KEY)
        waits: list[float] = []
        while not until():
            begun = time.perf_counter()
            method, path, body = self._requests[len(waits) % len(self._requests)]
            await connection.call(method, path, body)
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(_PAUSE)
        await connection.close()
        return waits


async def _started(running: Site, load: Load) -> list[tuple[str, str, str]]:
    """Return the requests that start the runs of a load, and read them."""
    connection = await Connection.open(running.port, KEY)
    body = await run_body(connection)
    await connection.close()
    whole = body[:-1] + b',"stream":true,"thread":{"messages":[{"role":"user","content":"x"}]}}'
    return [("POST", "/v1/threads/runs", whole.decode())] * load.runs


async def _joined(running: Site, load: Load) -> list[tuple[str, str, str]]:
    """Start the runs; return the requests that join them, all readers of a run."""
    connection = await Connection.open(running.port, KEY)
    body = await run_body(connection)
    start = body[:-1] + b',"thread":{"messages":[{"role":"user","content":"x"}]}}'
    paths = []
    for _ in range(load.runs):
        run: Any = json.loads(await connection.call("POST", "/v1/threads/runs", start))
        paths.append(f"/v1/threads/{run['thread_id']}/runs/{run['id']}/events")
    await connection.close()
    return [("GET", path, "") for path in paths for _ in range(load.readers)]


# --- rows ------------------------------------------------------------------------------------------


async def a_word(store: Store, load: Load, rounds: int) -> list[Figure]:
    """What a streamed word costs the server, and the bare translator: turn and turn about."""
    spent: dict[str, list[float]] = {"server": [], "translator": []}
    came = Read(0, 0)
    seconds = load.seconds - 2.0
    with ExitStack() as stack:
        url, pid = stack.enter_context(model(load.words, load.pace))
        running = stack.enter_context(site(store, url, pid))
        (server,) = running.processes["server"]
        port, translator = stack.enter_context(_translator(url))
        plain = [("POST", "/", "{}")] * load.runs
        for _ in range(rounds):
            for name, process, readers in (
                ("translator", translator, _shares(port, plain, load.words, 0.5)),
                ("server", server, _shares(running.port, await _started(running, load), load.words, 0.5)),
            ):
                measured = await _measure(readers, process, seconds)
                spent[name].append(measured.cpu / (load.runs * measured.seconds / load.pace) * 1e6)
                if name == "server":
                    came = Read(came.whole + measured.read.whole, came.deltas + measured.read.deltas)
    clew, bare = statistics.fmean(spent["server"]), statistics.fmean(spent["translator"])
    group = f"a streamed word, {load.runs} runs x {1 / load.pace:.0f} words/s, one reader each"
    return [
        Figure(group, "server CPU a word", clew, "us", clew / bare, "a bare translator"),
        Figure(group, "a bare translator's CPU a word", bare, "us"),
        Figure(group, "against a bare translator", clew / bare, "x"),
        Figure(group, "streams whole and in order", came.whole / (load.runs * rounds) * 100, "%"),
        Figure(group, "words a delta", load.runs * load.words * rounds / max(1, came.deltas), ""),
    ]


async def many_runs(store: Store, load: Load) -> list[Figure]:
    """So many runs at once, a reader each: whether every word comes, and how long others wait."""
    with model(load.words, load.pace) as (url, pid), site(store, url, pid) as running:
        (server,) = running.processes["server"]
        others = await _Others.arrive(running.port)
        readers = _shares(running.port, await _started(running, load), load.words, load.seconds / 2)
        measured = await _measure(readers, server, load.seconds / 3, others)
    group = f"{load.runs:,} runs x {1 / load.pace:.0f} words/s, one reader each"
    return _of_many(group, load, measured)


async def many_readers(store: Store, load: Load) -> list[Figure]:
    """Many readers of each run: how long others wait."""
    with model(load.words, load.pace) as (url, pid), site(store, url, pid) as running:
        (server,) = running.processes["server"]
        others = await _Others.arrive(running.port)
        readers = _shares(running.port, await _joined(running, load), load.words, load.seconds / 4)
        measured = await _measure(readers, server, load.seconds / 4, others)
    group = f"{load.runs * load.readers:,} readers of {load.runs} runs x {1 / load.pace:.0f} words/s"
    return _of_many(group, load, measured)


def _of_many(group: str, load: Load, measured: Measured) -> list[Figure]:
    streams, waits = load.runs * load.readers, Times.of(measured.waits)
    return [
        Figure(group, "streams whole and in order", measured.read.whole / streams * 100, "%"),
        Figure(group, "words a delta", streams * load.words / max(1, measured.read.deltas), ""),
        Figure(group, "until all streams had begun", measured.began, "s"),
        Figure(group, "others' requests, p50", waits.p50, "ms"),
        Figure(group, "others' requests, p99", waits.p99, "ms"),
        Figure(group, "others' requests, max", max(measured.waits) * 1000, "ms"),
        Figure(group, "others' requests while streams begin, max", max(measured.beginning) * 1000, "ms"),
        Figure(group, "others' requests without streams, p99", Times.of(measured.alone).p99, "ms"),
        Figure(group, "others' requests without streams, max", max(measured.alone) * 1000, "ms"),
        Figure(group, "share of a core for the server", measured.cpu / measured.seconds * 100, "%"),
    ]


async def rows(store: Store, *, quick: bool) -> list[Figure]:
    """Measure all rows."""
    return [
        *await a_word(store, Load(100, 200 if quick else 350, 0.02), 1 if quick else 3),
        *await many_runs(store, Load(200, 300, 0.02) if quick else Load(1000, 1000, 0.02)),
        *await many_readers(store, Load(80, 60, 0.2, 10) if quick else Load(80, 200, 0.2, 100)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", nargs="*", default=["word", "runs", "readers"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    store = STORES["full"]
    measures = {
        "word": lambda: a_word(store, Load(100, 350, 0.02), options.rounds),
        "runs": lambda: many_runs(store, Load(1000, 1000, 0.02)),
        "readers": lambda: many_readers(store, Load(80, 200, 0.2, 100)),
    }
    for row in options.row:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for figure in runner.run(measures[row]()):
                print(f"{figure.group}: {figure.name}: {figure.value:,.2f} {figure.unit}", flush=True)


if __name__ == "__main__":
    main()
