"""A server that speaks as S3 does, in a process of its own, which may be killed: what it holds dies too."""

import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.clients import environment
from tests.support.postgres import free_port
from tests.support.wait import until

BUCKET = "clew-files"
_MAIN = "import sys; from moto.server import main; main(sys.argv[1:])"


class Moto:
    """The server, with one bucket. Use it as a context manager."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until the bucket is there."""
        command: list[str | Path] = [environment.framework("moto"), "-c", _MAIN]
        command += ["-H", "127.0.0.1", "-p", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._makes_bucket, 60)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _makes_bucket(self) -> bool:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")).close()
        except OSError:
            return False
        return True

    def says(self, query: str) -> str:
        """Return what the bucket says to a request for a list, in XML."""
        with urllib.request.urlopen(f"{self.url}/{BUCKET}?{query}") as answer:
            said: bytes = answer.read()
            return said.decode()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
