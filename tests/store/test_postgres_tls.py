"""What each sslmode keeps safe, at a real server with a certificate."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clew.cli import certificates
from clew.clock import SystemClock
from clew.store import health
from clew.store.database import StoreError
from clew.store.postgres import PostgresDatabase
from clew.store.postgres_schema import prepare_postgres
from tests.support.aside import aside
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.timeout(60)

IS_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class Tls(NamedTuple):
    """A server that takes connections with TLS and without, its authority, and another one."""

    server: PostgresServer
    ca: Path
    other: Path

    def url(self, query: str = "", host: str = "127.0.0.1") -> str:
        """Return the URL of a database; ``CA`` and ``OTHER`` in ``query`` become the authorities' files."""
        query = query.replace("CA", str(self.ca)).replace("OTHER", str(self.other))
        return f"postgresql://clew@{host}:{self.server.port}/postgres{query}"


@pytest.fixture(scope="module")
def tls() -> Iterator[Tls]:
    with tempfile.TemporaryDirectory(prefix="clew-tls-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        now = SystemClock().now()
        made = certificates.ensure(folder / "made", "127.0.0.1", now)
        other = certificates.ensure(folder / "other", "127.0.0.1", now)
        (folder / "server").mkdir()
        folder.chmod(0o755)  # the server may be another user
        server = PostgresServer(folder / "server")
        server.offer_tls(made.cert, made.key)
        server.start()
        try:
            yield Tls(server, made.ca, other.ca)
        finally:
            server.stop("immediate")


@pytest.fixture(autouse=True)
def _nothing_else_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a root.crt of his own, or PGSSLMODE."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


def _is_encrypted(url: str) -> bool:
    """Open a database as a process does; return whether its connections are encrypted."""

    async def ask() -> bool:
        db = PostgresDatabase(url, clock=SystemClock(), connections=2, reconnect_timeout=5_000)
        await db.open()
        try:
            await db.fetch(health.ping)
            async with db._pool.connection() as connection:
                encrypted: bool = await connection.fetchval(IS_ENCRYPTED)
                assert db._lock_holder is not None
                assert await db._lock_holder.fetchval(IS_ENCRYPTED) == encrypted
                return encrypted
        finally:
            await db.close()

    return aside(ask)


@pytest.mark.parametrize(
    ("query", "encrypted"),
    [
        ("?sslmode=disable", False),
        ("?sslmode=allow", False),
        ("", True),
        ("?sslmode=prefer", True),
        ("?sslmode=require", True),
        ("?sslmode=require&sslrootcert=CA", True),
        ("?sslmode=verify-ca&sslrootcert=CA", True),
        ("?sslmode=verify-full&sslrootcert=CA", True),
    ],
)
def test_what_each_mode_does_at_a_server_with_tls(tls: Tls, query: str, encrypted: bool) -> None:
    assert _is_encrypted(tls.url(query)) is encrypted


def test_the_environment_says_what_the_url_leaves_out(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(tls.ca))
    assert _is_encrypted(tls.url())
    monkeypatch.setenv("PGSSLROOTCERT", str(tls.other))
    with pytest.raises(StoreError, match="certificate"):
        _is_encrypted(tls.url())


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_certificate_of_another_authority_is_refused(tls: Tls, mode: str) -> None:
    url = tls.url(f"?sslmode={mode}&sslrootcert=OTHER")
    for use in (_is_encrypted, prepare_postgres):
        with pytest.raises(StoreError, match=r"is not trusted .* sslrootcert"):
            use(url)


def test_verify_full_asks_for_the_name_and_verify_ca_does_not(tls: Tls) -> None:
    """``127.1`` leads to the same server, and is not in its certificate."""
    assert _is_encrypted(tls.url("?sslmode=verify-ca&sslrootcert=CA", host="127.1"))
    with pytest.raises(StoreError, match=r"127\.1.* sslrootcert"):
        _is_encrypted(tls.url("?sslmode=verify-full&sslrootcert=CA", host="127.1"))


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_without_an_authority_nothing_can_be_verified(tls: Tls, mode: str) -> None:
    for query in (f"?sslmode={mode}", f"?sslmode={mode}&sslrootcert=/gone.pem"):
        for use in (_is_encrypted, prepare_postgres):
            with pytest.raises(StoreError, match="Cannot use the PostgreSQL database: "):
                use(tls.url(query))


def test_a_server_without_tls_is_refused_by_whoever_requires_it(
    postgres: PostgresServer, postgres_url: str, tls: Tls
) -> None:
    assert not _is_encrypted(postgres_url)
    for query in ("?sslmode=require", f"?sslmode=verify-full&sslrootcert={tls.ca}"):
        for use in (_is_encrypted, prepare_postgres):
            with pytest.raises(StoreError, match="rejected SSL upgrade"):
                use(postgres_url + query)


def test_a_mode_that_there_is_not_is_named(postgres_url: str) -> None:
    for use in (_is_encrypted, prepare_postgres):
        with pytest.raises(StoreError, match="sslmode"):
            use(f"{postgres_url}?sslmode=full")
