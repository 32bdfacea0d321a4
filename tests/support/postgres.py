"""A real PostgreSQL server of the tests' own, installed with apt where it is missing."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from clew.store.postgres_schema import prepare_postgres
from tests.support.aside import aside

_TEMPLATE = "clew_template"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def binaries() -> Path:
    """Return where PostgreSQL's programs are; install them on Debian, else skip the test."""
    if (found := _find()) is not None:
        return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "-q", "update"], ["apt-get", "-qy", "install", "postgresql"]):
            subprocess.run(command, env=environment, check=True, capture_output=True)
        if (found := _find()) is not None:
            return found
    pytest.skip(
        "PostgreSQL is not installed, and only root on Debian can install it: apt-get install postgresql"
    )


def _find() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    elsewhere = shutil.which("initdb")
    return None if elsewhere is None else Path(elsewhere).resolve().parent


class PostgresServer:
    """A server on loopback, in a directory of its own. It may be restarted, also without warning."""

    def __init__(self, folder: Path, *, durable: bool = False, programs: Path | None = None) -> None:
        self._bin, self._folder, self._durable = programs or binaries(), folder, durable
        self.port = free_port()
        # The server refuses to run as root.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(folder / "data"), "-U", "clew", "-A", "trust", "--no-sync")

    @property
    def pid(self) -> int:
        """The server's first process, above all others."""
        return int((self._folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def url(self, database: str) -> str:
        """Return a database's URL."""
        return f"postgresql://clew@127.0.0.1:{self.port}/{database}"

    def offer_tls(self, certificate: Path, key: Path) -> None:
        """Take connections with TLS from the next start on, and without it too."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self._folder / "data" / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if self._user is not None:
                os.chown(target, self._user.pw_uid, self._user.pw_gid)
        with (self._folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("ssl = on\n")

    def start(self) -> None:
        """Start, and return when connections are taken."""
        # Without fsync a process that dies loses nothing, only a machine would.
        fsync = "on" if self._durable else "off"
        options = (
            f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=200 -c fsync={fsync}"
        )
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stop; ``immediate`` as a crash does, without a checkpoint and without a word to clients."""
        self._control("stop", "-m", mode)

    def crash_and_restart(self) -> None:
        """Die and come back; what was committed is recovered from the log."""
        self.stop("immediate")
        self.start()

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-t", "30", "-s", *options, verb)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        user = {"user": self._user.pw_uid, "group": self._user.pw_gid} if self._user is not None else {}
        done = subprocess.run(
            command,
            cwd=self._folder,
            capture_output=True,
            text=True,
            **user,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, f"{program}: {done.stderr or done.stdout}{self._log()}"

    def _log(self) -> str:
        log = self._folder / "log"
        return log.read_text(encoding="utf-8")[-2000:] if log.exists() else ""

    # --- databases -------------------------------------------------------------------------------

    def make_template(self) -> None:
        """Make the database that others are copied from, with the newest schema."""
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        with ThreadPoolExecutor(1) as pool:  # the caller may be on an event loop
            pool.submit(prepare_postgres, self.url(_TEMPLATE)).result()

    def new_database(self, name: str) -> str:
        """Make an empty database with the newest schema; return its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def cut_connections(self, name: str) -> int:
        """End every connection to a database in the middle of whatever it does; return how many."""
        rows = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            name,
            database="postgres",
        )
        return len(rows)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        self.query(statement, database=database)

    def query(self, statement: str, *arguments: Any, database: str = "postgres") -> list[Any]:
        """Return a statement's rows."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.url(database))
            try:
                if arguments:
                    return list(await connection.fetch(statement, *arguments))
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return aside(ask)


@contextmanager
def running_postgres(*, durable: bool = False, programs: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server, with a template of Clew's schema; ``durable`` flushes commits to the disk.

    ``programs`` are others than the system's, whose user it needs all the same.
    """
    with tempfile.TemporaryDirectory(prefix="clew-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder), durable=durable, programs=programs)
        server.start()
        try:
            server.make_template()
            yield server
        finally:
            server.stop("immediate")
