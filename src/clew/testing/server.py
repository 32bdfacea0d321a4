"""A whole Clew server for a test: its own process, its own data directory, a free port."""

import contextlib
import http.client
import shutil
import ssl
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

import msgspec

from clew.cli import certificates, keys, server_file
from clew.cli.env import client_variables
from clew.cli.options import load_settings
from clew.settings import Settings
from clew.testing.scripted_model import ScriptedModel

Setting: TypeAlias = str | int | float | bool

_POLL = 0.01
_LOG_SHOWN = 4000


class RunningServer:
    """A server in its own process. Use it as a context manager.

    Variables named ``CLEW_*`` that this process has count for the server too, except where an
    argument here says otherwise.

    Attributes:
        model: the scripted model it asks, if it was given one.
        data_dir: where its database, key and certificates lie.
    """

    def __init__(
        self,
        model: ScriptedModel | None = None,
        *,
        model_url: str | None = None,
        data_dir: Path | None = None,
        tls: bool = False,
        settings: Mapping[str, Setting] | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Prepare a server; entering the context starts it.

        Args:
            model: the scripted model to ask.
            model_url: another chat-completions endpoint to ask instead.
            data_dir: where to keep data; by default a temporary directory, deleted at the end.
            tls: serve https.
            settings: further settings by name, such as ``{"run_expiry": 2}``; they become the data
                directory's clew.toml.
            environment: all of the server's environment variables, instead of this process's.
            timeout: seconds that starting or ending may take.
        """
        self.model = model
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="clew-"))
        self._forget: Callable[[], object] = lambda: None
        if data_dir is None:
            self._forget = weakref.finalize(self, shutil.rmtree, self.data_dir, ignore_errors=True)
        self._model_url = model_url or (model.url if model is not None else None)
        self._tls = tls
        self._environment = environment
        self._timeout = timeout
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._info: server_file.ServerInfo | None = None
        self._key: str | None = None
        self._last_resort: weakref.finalize[..., RunningServer] | None = None
        if settings:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in settings.items()]
            (self.data_dir / "clew.toml").write_text("".join(lines), encoding="utf-8")

    # what clients need

    @property
    def info(self) -> server_file.ServerInfo:
        """Return what the server says of itself.

        Raises:
            RuntimeError: it was never started.
        """
        if self._info is None:
            raise RuntimeError("the server has not been started")
        return self._info

    @property
    def url(self) -> str:
        """Return its URL, without a slash at the end; it stays the same over restarts."""
        return self.info.url

    @property
    def openai_base_url(self) -> str:
        """Return what the openai package calls ``base_url``."""
        return f"{self.url}/v1"

    @property
    def project_endpoint(self) -> str:
        """Return what Azure's packages call ``endpoint``."""
        return f"{self.url}/api/projects/{self.info.project}"

    @property
    def api_key(self) -> str:
        """Return the key that clients must send.

        Raises:
            RuntimeError: it was never started.
        """
        if self._key is None:
            raise RuntimeError("the server has not been started")
        return self._key

    @property
    def ca_bundle(self) -> Path | None:
        """Return the authorities that clients must trust, if the server speaks https."""
        return certificates.paths(self.data_dir).bundle if self._tls else None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which programs find this server: what ``clew env`` prints."""
        return client_variables(self._settings(), self.info, self.api_key)

    # its life

    @property
    def pid(self) -> int:
        """Return its process id.

        Raises:
            RuntimeError: it isn't running.
        """
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """Return everything it has printed, over all its starts."""
        try:
            return self._log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def is_running(self) -> bool:
        """Return whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended at once; the message holds what it printed.
            TimeoutError: it didn't answer in time; likewise.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        self._last_resort = weakref.finalize(self, self._process.kill)  # for programs that end without stop()
        try:
            self._info = self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise
        self._port = urlsplit(self._info.url).port or 0
        self._key = keys.api_key(self._settings())
        return self

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait for it; after ``timeout`` seconds, kill it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it without warning, as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._process = None
        if self._last_resort is not None:
            self._last_resort.detach()

    def restart(self) -> Self:
        """Start it again on the same port and data; end it first if it still runs."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._forget()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None and self.log:
            error.add_note(f"The server printed:\n{self.log[-_LOG_SHOWN:]}")
        self._forget()

    # details

    @property
    def _log_path(self) -> Path:
        return self.data_dir / "server.log"

    def _settings(self) -> Settings:
        return load_settings(data_dir=self.data_dir)

    def _command(self) -> list[str]:
        database = f"sqlite:///{self.data_dir.absolute() / 'clew.db'}"
        command = [sys.executable, "-m", "clew.cli.main", "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--tls" if self._tls else "--no-tls"]
        command += ["--data-dir", str(self.data_dir), "--database", database]
        return command if self._model_url is None else [*command, "--model-url", self._model_url]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> server_file.ServerInfo:
        for _ in range(int(self._timeout / _POLL)):
            info = server_file.read(self.data_dir)
            if info is not None and info.pid == process.pid and self._is_ready(info.url):
                return info
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_POLL)  # waits, and notices at once if it ends
                raise RuntimeError(f"the server ended with code {code}:\n{self.log[-_LOG_SHOWN:]}")
        raise TimeoutError(f"no server after {self._timeout:g} s:\n{self.log[-_LOG_SHOWN:]}")

    def _is_ready(self, url: str) -> bool:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=self._timeout)
        if parts.scheme == "https":
            trust = ssl.create_default_context(cafile=self.ca_bundle)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=self._timeout, context=trust)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
