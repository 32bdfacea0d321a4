"""Certificates, proven by handshakes."""

import shutil
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography import x509

from clew.cli import certificates

DAY = 86_400_000
NOW = 1_800_000_000_000


def handshake(files: certificates.Certificates, name: str, trust: Path) -> None:
    """Raise ssl.SSLError unless a client that trusts ``trust`` accepts the server as ``name``."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.cert, files.key)
    client = ssl.create_default_context(cafile=trust)
    near, far = socket.socketpair()

    def accept() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except (ssl.SSLError, OSError):
            far.close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        client.wrap_socket(near, server_hostname=name).close()
    finally:
        near.close()
        thread.join()


@pytest.fixture
def now() -> int:
    """The real time: handshakes check it."""
    from clew.clock import SystemClock

    return SystemClock().now()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "clew.example"])
def test_clients_that_trust_the_bundle_accept_the_server(tmp_path: Path, now: int, name: str) -> None:
    files = certificates.ensure(tmp_path, "clew.example", now)
    handshake(files, name, files.bundle)
    handshake(files, name, files.ca)
    with pytest.raises(ssl.SSLError):
        handshake(files, "elsewhere.example", files.bundle)
    with pytest.raises(ssl.SSLError):
        handshake(files, name, Path(certifi.where()))


def test_files_are_private_and_the_authoritys_key_is_not_kept(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path / "clew", "127.0.0.1", NOW)
    assert sorted(path.name for path in files.key.parent.iterdir()) == [
        "bundle.pem",
        "ca.pem",
        "cert.pem",
        "key.pem",
    ]
    assert [path.name for path in (tmp_path / "clew").iterdir()] == ["tls"]
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in (files.ca, files.cert, files.bundle))


def test_the_authority_speaks_for_the_servers_names_alone_and_no_longer(tmp_path: Path, now: int) -> None:
    files = certificates.ensure(tmp_path, "clew.example", now)
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    cert = x509.load_pem_x509_certificate(files.cert.read_bytes())
    assert (ca.not_valid_before_utc, ca.not_valid_after_utc) == (
        cert.not_valid_before_utc,
        cert.not_valid_after_utc,
    )
    limits = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert [str(each.value) for each in limits.value.permitted_subtrees or []] == [
        "localhost",
        "127.0.0.1/32",
        "::1/128",
        "clew.example",
    ]


@pytest.mark.parametrize("foreign", ["bank.example", "10.9.8.7"])
def test_what_it_would_sign_for_others_is_accepted_by_nobody(tmp_path: Path, now: int, foreign: str) -> None:
    """As if the authority's key had not been thrown away."""
    begin = datetime.fromtimestamp(now / 1000, UTC) - timedelta(days=1)
    authority = certificates._authority(["localhost", "127.0.0.1"], begin, begin + timedelta(days=30))
    issued = trustme.CA.from_pem(*authority).issue_cert("localhost", foreign)
    files = certificates.Certificates(*(tmp_path / name for name in ("ca", "cert", "key", "bundle")))
    files.ca.write_bytes(authority[0])
    files.cert.write_bytes(issued.cert_chain_pems[0].bytes())
    files.key.write_bytes(issued.private_key_pem.bytes())
    for name in (foreign, "localhost"):
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
            handshake(files, name, files.ca)


def test_an_authority_without_limits_of_an_older_clew_is_replaced(tmp_path: Path, now: int) -> None:
    files = certificates.ensure(tmp_path, "127.0.0.1", now)
    older = trustme.CA(organization_name="Clew").cert_pem.bytes()
    files.ca.write_bytes(older)
    certificates.ensure(tmp_path, "127.0.0.1", now)
    assert files.ca.read_bytes() != older
    handshake(files, "localhost", files.bundle)


def test_they_are_made_once_and_renewed_a_month_before_they_expire(tmp_path: Path) -> None:
    first = certificates.ensure(tmp_path, "127.0.0.1", NOW).cert.read_bytes()
    assert certificates.ensure(tmp_path, "localhost", NOW + 366 * DAY).cert.read_bytes() == first
    renewed = certificates.ensure(tmp_path, "127.0.0.1", NOW + 368 * DAY)
    assert renewed.cert.read_bytes() != first
    assert renewed.bundle.read_bytes().endswith(renewed.ca.read_bytes())
    assert [path.name for path in tmp_path.iterdir()] == ["tls"]


def test_a_new_host_needs_a_new_certificate(tmp_path: Path, now: int) -> None:
    first = certificates.ensure(tmp_path, "127.0.0.1", now).cert.read_bytes()
    files = certificates.ensure(tmp_path, "10.1.2.3", now)
    assert files.cert.read_bytes() != first
    handshake(files, "10.1.2.3", files.bundle)
    everywhere = certificates.ensure(tmp_path, "0.0.0.0", now)
    handshake(everywhere, socket.gethostname(), everywhere.bundle)


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_lost_or_broken_file_makes_a_new_set(tmp_path: Path, now: int, name: str) -> None:
    certificates.ensure(tmp_path, "127.0.0.1", now)
    (tmp_path / "tls" / name).unlink()
    files = certificates.ensure(tmp_path, "127.0.0.1", now)
    handshake(files, "127.0.0.1", files.bundle)
    files.cert.write_text("not a certificate")
    files = certificates.ensure(tmp_path, "127.0.0.1", now)
    handshake(files, "127.0.0.1", files.bundle)


def test_the_bundle_holds_what_the_user_trusts_already(tmp_path: Path) -> None:
    own = tmp_path / "company.pem"
    other = certificates.ensure(tmp_path / "other", "127.0.0.1", NOW)
    shutil.copy(other.ca, own)
    files = certificates.ensure(tmp_path / "clew", "127.0.0.1", NOW, own)
    content = files.bundle.read_bytes()
    assert Path(certifi.where()).read_bytes() in content
    assert own.read_bytes() in content
    assert files.ca.read_bytes() in content
    again = certificates.ensure(tmp_path / "clew", "127.0.0.1", NOW, files.bundle)
    assert len(again.bundle.read_bytes()) <= len(content)
    missing = certificates.ensure(tmp_path / "clew", "127.0.0.1", NOW, tmp_path / "nowhere.pem")
    assert missing.ca.read_bytes() in missing.bundle.read_bytes()
