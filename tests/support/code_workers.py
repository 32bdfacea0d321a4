"""Real code workers, and servers' connections to them."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from clew.bus.nats_access import BusAddress
from clew.bus.nats_link import NatsLink
from clew.ids import RandomIds
from clew.remote.driver import PREFIX, Remote
from clew.vault import code_key
from tests.support.nats import SECRET, NatsServer
from tests.support.wait import until

READY = "Clew runs code behind "


class CodeWorker:
    """``clew code-worker`` in a process of its own.

    Args:
        folder: where it writes.
        settings: its whole environment, besides what a process needs to find its files.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._log = folder / "log"
        self.environment = {"PATH": os.environ["PATH"], "CLEW_DATA_DIR": str(folder), "TMPDIR": str(folder)}
        self.environment |= {"PYTHONUNBUFFERED": "1", **settings}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clew.cli.main", "code-worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_ready(self) -> None:
        """Return when it answers."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log
            return READY in self.log

        until(ready, timeout=60)

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.log.partition(READY)[2].split()[2]

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def code_worker(nats: NatsServer, prefix: str, **settings: str) -> Iterator[CodeWorker]:
    """Run one that is ready; ``settings`` without ``CLEW_``."""
    given = {"bus_url": nats.url, "bus_prefix": prefix, "code_key": code_key(SECRET), **settings}
    with TemporaryDirectory(prefix="clew-code-worker-", ignore_cleanup_errors=True) as folder:
        made = CodeWorker(Path(folder), {f"CLEW_{name.upper()}": value for name, value in given.items()})
        try:
            made.wait_ready()
            yield made
        finally:
            made.kill()


@asynccontextmanager
async def server(nats: NatsServer, prefix: str) -> AsyncIterator[Remote]:
    """Give a driver as a server has it."""
    link = NatsLink(BusAddress(nats.url), f"{prefix}.{PREFIX}", code_key(SECRET).encode())
    made = Remote(link, RandomIds())
    try:
        assert await made.missing() is None
        yield made
    finally:
        await made.close()
