"""Several Clew processes on one PostgreSQL database and one bus."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from clew.settings import SERVER_TOOLS
from tests.support.api import Api
from tests.support.nats import SECRET
from tests.support.postgres import free_port
from tests.support.wait import until

KEY = "clew_cluster-key-0123456789abcdef"


class Process:
    """One process: ``clew serve`` or ``clew worker``, which may be killed and started again."""

    def __init__(self, folder: Path, arguments: list[str], settings: dict[str, str]) -> None:
        self.folder = folder
        self._log = folder / "log"
        self.arguments = arguments
        self._command = [sys.executable, "-m", "clew.cli.main", *arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
        self._environment = {**clean, **settings, "CLEW_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def start(self) -> None:
        """Start, without waiting until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        self._starts += 1

    def wait_ready(self) -> None:
        """Return when it serves, or works."""
        try:
            until(self._is_ready, timeout=60)
        except AssertionError:
            raise AssertionError(f"not ready; its log ends with\n{self.log[-3000:]}") from None

    def _is_ready(self) -> bool:
        assert self.is_running, self.log
        return self.log.count("Clew is ready at") + self.log.count("Clew works on") == self._starts

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does, as a machine does that is out of memory."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        os.kill(self.pid, signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def wait_ended(self) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None
        return self._process.wait(20)


class Cluster:
    """Processes that share a database, a bus and a model."""

    def __init__(self, folder: Path, http: httpx2.Client, settings: dict[str, str]) -> None:
        self._folder, self._http = folder, http
        self._settings = {"CLEW_API_KEY": KEY, **settings}
        self._processes: list[Process] = []
        self.database = settings["CLEW_DATABASE_URL"].rpartition("/")[2]

    def server(self, *arguments: str, **settings: Any) -> tuple[Process, Api]:
        """Start a server and wait until it is ready; give the API as it serves it."""
        port = free_port()
        process = self.begin("serve", "--port", str(port), *arguments, **settings)
        process.wait_ready()
        return process, Api(self._http, f"http://127.0.0.1:{port}", KEY)

    def worker(self, **settings: Any) -> Process:
        """Start a worker and wait until it works."""
        process = self.begin("worker", **settings)
        process.wait_ready()
        return process

    def begin(self, *arguments: str, **settings: Any) -> Process:
        """Start a process, without waiting for it."""
        folder = self._folder / f"process-{len(self._processes) + 1}"
        folder.mkdir()
        more = {f"CLEW_{name.upper()}": str(value) for name, value in settings.items()}
        process = Process(folder, list(arguments), {**self._settings, **more})
        self._processes.append(process)
        process.start()
        return process

    @property
    def logs(self) -> str:
        """What all processes have printed."""
        return "\n".join(f"{' '.join(each.arguments)}:\n{each.log[-4000:]}" for each in self._processes)

    def kill_all(self) -> None:
        """End everything."""
        for process in self._processes:
            process.kill()


@contextmanager
def cluster(database_url: str, bus_url: str, model_url: str, **settings: str) -> Iterator[Cluster]:
    """Give a cluster without processes; end those it has been given at the end."""
    shared = {
        "CLEW_DATABASE_URL": database_url,
        "CLEW_BUS_URL": bus_url,
        "CLEW_MODEL_URL": model_url,
        "CLEW_SECRET_KEY": SECRET.decode(),
        "CLEW_SERVER_TOOLS": ",".join(SERVER_TOOLS),
    }
    with tempfile.TemporaryDirectory(prefix="clew-cluster-") as folder, httpx2.Client(timeout=30) as http:
        made = Cluster(Path(folder), http, {**shared, **settings})
        try:
            yield made
        finally:
            made.kill_all()
