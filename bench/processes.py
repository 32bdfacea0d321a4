"""The processes that are measured: a clean server, a model, and a database and a bus where there are any."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.nats import SECRET, running_nats
from tests.support.postgres import running_postgres

KEY = "clew_bench_" + "0" * 32
_TICKS = os.sysconf("SC_CLK_TCK")
_TIMEOUT = 30.0


class Store(NamedTuple):
    """A way to keep data: its name in the table, and the server's settings for it."""

    name: str
    settings: dict[str, str]
    postgres: bool = False


STORES = {
    "full": Store("SQLite FULL", {}),
    "normal": Store("SQLite NORMAL", {"CLEW_SQLITE_SYNCHRONOUS": "NORMAL"}),
    "postgres": Store("PostgreSQL + NATS", {}, postgres=True),
}


class Site(NamedTuple):
    """A running installation. ``processes`` are process ids by role."""

    port: int
    data_dir: Path
    cold_start: float
    processes: dict[str, list[int]]
    model_url: str


@contextmanager
def model(words: int = 5, pace: float = 0.0) -> Iterator[tuple[str, int]]:
    """Run a model; give its URL and its process."""
    command = [sys.executable, "-m", "bench.model", "--words", str(words), "--pace", str(pace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


@contextmanager
def site(
    store: Store,
    model_url: str,
    model_pid: int,
    *,
    workers: int = 0,
    data_dir: Path | None = None,
    program: str = "clew.cli.main",
    **more: str,
) -> Iterator[Site]:
    """Run a server on a clean store, with so many workers beside it on PostgreSQL.

    ``data_dir`` may hold a database already; ``program`` is the module that is started; ``more`` are
    further settings.
    """
    with ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(_scratch()))
        settings = {**store.settings, **more, "CLEW_MODEL_URL": model_url, "CLEW_API_KEY": KEY}
        roles: dict[str, list[int]] = {"client": [os.getpid()], "model": [model_pid]}
        if store.postgres:
            postgres = stack.enter_context(running_postgres(durable=True))
            nats = stack.enter_context(running_nats())
            settings["CLEW_DATABASE_URL"] = postgres.new_database("bench")
            settings["CLEW_BUS_URL"] = nats.url
            settings["CLEW_SECRET_KEY"] = SECRET.decode()
            roles["database"], roles["bus"] = [postgres.pid], [nats.pid]
        begun = time.perf_counter()
        arguments = ["serve", "--port", "0", *(["--no-worker"] if workers else [])]
        server = stack.enter_context(_clew(arguments, folder, settings, program))
        port = _port_of(server, folder)
        cold = time.perf_counter() - begun
        roles["server"] = [server.pid]
        for number in range(workers):
            worker = stack.enter_context(_clew(["worker"], folder / f"worker-{number}", settings))
            roles.setdefault("workers", []).append(worker.pid)
        yield Site(port, folder, cold, roles, model_url)


@contextmanager
def _scratch() -> Iterator[str]:
    """Give a folder on the disk that the checkout is on: /tmp may be memory, which flushes for nothing."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def _clew(
    arguments: list[str], folder: Path, settings: dict[str, str], program: str = "clew.cli.main"
) -> Iterator["subprocess.Popen[bytes]"]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        env={**clean, **settings, "CLEW_DATA_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_of(server: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Return the server's port once it is ready."""
    told = folder / "server.json"
    deadline = time.perf_counter() + _TIMEOUT
    while time.perf_counter() < deadline:
        if server.poll() is not None:
            raise RuntimeError("the server did not start")
        if told.exists() and (info := json.loads(told.read_bytes()))["pid"] == server.pid:
            return int(info["url"].rpartition(":")[2])
        time.sleep(0.002)
    raise RuntimeError("the server was not ready in time")


# --- what processes use ----------------------------------------------------------------------------


def _family(pid: int) -> list[int]:
    """Return a process and all below it."""
    family = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            family += _family(int(child))
    return family


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that processes and those below them have used so far."""
    total = 0
    for pid in {each for root in pids for each in _family(root)}:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def cpu_by_role(site: Site) -> dict[str, float]:
    """Return the CPU time that each role has used. The client is this process, which started the others."""
    used = {role: cpu_seconds(pids) for role, pids in site.processes.items() if role != "client"}
    return {"client": time.process_time(), **used}


def memory_mb(pid: int) -> float:
    """Return a process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
