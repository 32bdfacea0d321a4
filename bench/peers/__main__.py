"""Other servers beside Clew: python -m bench.peers [agno langgraph] [--cache FOLDER]

Each is installed from the package index into an environment of its own, started with the same model that
answers at once, and driven by the same client in the same minutes: turns one after another, then eight
clients at once. What can't be installed or started is said so.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from bench import turns
from bench.figures import Times, timed
from bench.http1 import Connection
from bench.peers.kinds import PEERS, Peer
from bench.processes import KEY, STORES, cpu_seconds, memory_mb, model, site
from tests.support.postgres import running_postgres

_CLIENTS, _SECONDS, _TURNS, _WARM_UP = 8, 6.0, 60, 10
_TIMEOUT = 60.0

Work = Callable[[Connection], Awaitable[None]]


class Measured(NamedTuple):
    """What a server did: times in milliseconds, CPU of all its processes, memory in MB."""

    name: str
    start: float
    one: Times
    rate: float
    cpu: float
    memory: float
    durable: str


def _environment(peer: Peer, cache: Path) -> Path:
    """Return the folder of a peer's programs, installing it where that wasn't done.

    Raises:
        RuntimeError: it can't be installed; the message is pip's last words.
    """
    folder = cache / peer.name.split()[0]
    if not (folder / "installed").exists():
        print(f"Installing {peer.name} (a minute or two) ...", flush=True)
        python = shutil.which(peer.python) if peer.python else sys.executable
        if python is None or subprocess.run([python, "-m", "venv", str(folder)], check=False).returncode:
            raise RuntimeError(f"it needs {peer.python or 'the module venv'}, which isn't here")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *peer.packages]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"it can't be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def _running(peer: Peer, cache: Path, model_url: str) -> Iterator[tuple[int, int, float]]:
    """Run a peer; give its port, its process and the seconds that its start took.

    Raises:
        RuntimeError: it doesn't start.
    """
    programs = _environment(peer, cache)
    with ExitStack() as stack:
        database_url = ""
        if peer.on_postgres:
            server = stack.enter_context(running_postgres(durable=True))
            server.execute("CREATE DATABASE peer")
            database_url = server.url("peer")
        yield from _started(peer, programs, model_url, database_url)


def _started(
    peer: Peer, programs: Path, model_url: str, database_url: str
) -> Iterator[tuple[int, int, float]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-", ignore_cleanup_errors=True) as folder:
        command = peer.command(programs, port, model_url, Path(folder))
        environment = {
            **os.environ,
            **peer.environment(model_url, port, database_url),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        log = Path(folder) / "log"
        begun = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log)
            yield port, process.pid, time.perf_counter() - begun
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.perf_counter() + _TIMEOUT
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise RuntimeError(f"it doesn't start: {(words or ['no word'])[-1][:200]}")


async def _measure(port: int, pid: int, key: str, turn: Work) -> tuple[Times, float, float]:
    """Return turns one after another, turns a second of eight clients, and CPU milliseconds a turn."""
    connection = await Connection.open(port, key)
    for _ in range(_WARM_UP):
        await turn(connection)
    one = await timed(lambda: turn(connection), _TURNS)
    await connection.close()
    connections = [await Connection.open(port, key) for _ in range(_CLIENTS)]
    done, end, used = 0, time.perf_counter() + _SECONDS, cpu_seconds([pid])

    async def work(each: Connection) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await turn(each)
            done += 1

    await asyncio.gather(*map(work, connections))
    for each in connections:
        await each.close()
    return one, done / _SECONDS, (cpu_seconds([pid]) - used) / done * 1000


def _clew() -> Measured:
    with model() as (url, pid), site(STORES["full"], url, pid) as running:
        (server,) = running.processes["server"]

        async def measure() -> tuple[Times, float, float]:
            connection = await Connection.open(running.port, KEY)
            body = await turns.run_body(connection)
            await connection.close()
            return await _measure(running.port, server, KEY, lambda each: turns.by_long_poll(each, body))

        one, rate, cpu = uvloop.run(measure())
        durable = "everything, flushed before it is acknowledged"
        return Measured("Clew", running.cold_start, one, rate, cpu, memory_mb(server), durable)


def _peer(peer: Peer, cache: Path) -> Measured:
    with model() as (url, _), _running(peer, cache, url) as (port, pid, start):
        one, rate, cpu = uvloop.run(_measure(port, pid, "", peer.turn))
        return Measured(peer.name, start, one, rate, cpu, memory_mb(pid), peer.durable)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which; by default all")
    parser.add_argument("--cache", type=Path, default=Path(".bench-peers"), help="where they are installed")
    options = parser.parse_args()
    ours = _clew()
    table = Table("", box=None, padding=(0, 2, 0, 0))
    for head in ("a turn, p50", "p99", f"turns/s, {_CLIENTS} clients", "CPU a turn", "start", "memory"):
        table.add_column(head, justify="right")
    table.add_column("keeps")
    _row(table, ours, ours)
    for peer in PEERS:
        if options.names and not any(peer.name.startswith(name) for name in options.names):
            continue
        try:
            _row(table, _peer(peer, options.cache.absolute()), ours)
        except (RuntimeError, OSError, LookupError) as error:
            print(f"{peer.name}: {error}")
    Console(width=200).print(table)


def _row(table: Table, measured: Measured, ours: Measured) -> None:
    slower, fewer = measured.one.p50 / ours.one.p50, ours.rate / measured.rate
    table.add_row(
        measured.name,
        f"{measured.one.p50:.1f} ms ({slower:.0f}x)",
        f"{measured.one.p99:.1f} ms",
        f"{measured.rate:.0f} (1/{fewer:.0f})",
        f"{measured.cpu:.1f} ms",
        f"{measured.start:.1f} s",
        f"{measured.memory:.0f} MB",
        measured.durable,
    )


if __name__ == "__main__":
    main()
