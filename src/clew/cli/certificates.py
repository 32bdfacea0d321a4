"""Certificates for https on this machine: Azure's SDK sends tokens over nothing else.

A local authority signs one certificate, and its private key is thrown away at once: whoever trusts
the authority need not fear that somebody else lets it sign something. Even if its key were known, it could
speak for the server's own names only (name constraints; RFC 5280, 4.2.1.10), and for no longer than the
certificate. So a renewal is a new authority; clients read it from the same file.
"""

import contextlib
import ipaddress
import os
import shutil
import socket
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clew.cli.files import write_private
from clew.store.folders import private_directory

if TYPE_CHECKING:
    from cryptography import x509

_LIFETIME = timedelta(days=397)  # the longest that browsers accept of any authority
_LEFT = timedelta(days=30)
_ALWAYS = ("localhost", "127.0.0.1", "::1")


class Certificates(NamedTuple):
    """The files, all PEM.

    Attributes:
        ca: the local authority's certificate.
        cert: the server's certificate.
        key: its private key, mode 0600.
        bundle: every authority a client should trust: certifi's, the system's, the user's own, the local one.
    """

    ca: Path
    cert: Path
    key: Path
    bundle: Path


def paths(data_dir: Path) -> Certificates:
    """Return where the files lie, whether they exist or not."""
    folder = data_dir / "tls"
    return Certificates(*(folder / f"{name}.pem" for name in ("ca", "cert", "key", "bundle")))


def ensure(data_dir: Path, host: str, now: int, own_bundle: Path | None = None) -> Certificates:
    """Return certificates that are valid for ``host`` and this machine for 30 days or more.

    Args:
        data_dir: Clew's data directory.
        host: the address the server listens on.
        now: milliseconds since the Unix epoch.
        own_bundle: authorities that the user's programs trust already, to be trusted beside ours.

    Raises:
        OSError: a file can't be read or written.
    """
    files = paths(data_dir)
    names = _names(host)
    moment = datetime.fromtimestamp(now / 1000, UTC)
    if not _is_good(files, names, moment):
        _make(data_dir, names, moment)
    _write_bundle(files, own_bundle)
    return files


def _names(host: str) -> list[str]:
    try:
        anywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        anywhere = not host
    return list(dict.fromkeys([*_ALWAYS, socket.gethostname() if anywhere else host]))


def _is_good(files: Certificates, names: list[str], now: datetime) -> bool:
    from cryptography import x509

    try:
        if not files.key.is_file() or not files.ca.is_file():
            return False
        certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
        authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
        authority.extensions.get_extension_for_class(x509.NameConstraints)  # older ones have none
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return False
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(name.value) for name in alternatives}
    return set(names) <= known and certificate.not_valid_after_utc - now >= _LEFT


def _make(data_dir: Path, names: list[str], now: datetime) -> None:
    """Put a new set in place as a whole directory, so that a key never meets another's certificate."""
    import trustme

    begin, end = now - timedelta(days=1), now + _LIFETIME
    authority = trustme.CA.from_pem(*_authority(names, begin, end))
    issued = authority.issue_cert(
        *names, common_name=names[-1], organization_name="Clew", not_before=begin, not_after=end
    )
    draft = Path(tempfile.mkdtemp(dir=private_directory(data_dir), prefix=".tls-"))
    try:
        write_private(draft / "ca.pem", authority.cert_pem.bytes())
        write_private(draft / "cert.pem", b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        write_private(draft / "key.pem", issued.private_key_pem.bytes())
        _put_in_place(draft, data_dir / "tls")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _authority(names: list[str], begin: datetime, end: datetime) -> tuple[bytes, bytes]:
    """Return an authority that may sign for these names alone: certificate and private key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Clew"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "local authority"),
        ]
    )
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([_subtree(each) for each in names], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def _subtree(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _put_in_place(draft: Path, folder: Path) -> None:
    old = draft.with_name(f"{draft.name}-old")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:  # another process was faster; its set is as good
        if not folder.is_dir():
            raise
    shutil.rmtree(old, ignore_errors=True)


def _write_bundle(files: Certificates, own_bundle: Path | None) -> None:
    import certifi

    parts = [Path(certifi.where()).read_bytes(), _of_system(files.bundle)]
    # After `eval "$(clew env)"` the user's bundle is ours: it must not take itself in.
    if own_bundle is not None and own_bundle.is_file() and not _same(own_bundle, files.bundle):
        parts.append(own_bundle.read_bytes())
    parts.append(files.ca.read_bytes())
    data = b"\n".join(part for part in parts if part)
    if not files.bundle.is_file() or files.bundle.read_bytes() != data:
        write_private(files.bundle, data)


_SYSTEMS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, FreeBSD
)


def _of_system(bundle: Path) -> bytes:
    """Return the authorities that this machine trusts: a company's own among them. Windows keeps no file."""
    if sys.platform == "win32":
        found = ssl.enum_certificates("ROOT") + ssl.enum_certificates("CA")
        ders = (der for der, encoding, _ in found if encoding == "x509_asn")
        return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode()
    for name in (ssl.get_default_verify_paths().openssl_cafile, *_SYSTEMS):
        path = Path(name)
        if path.is_file() and not _same(path, bundle):
            with contextlib.suppress(OSError):
                return path.read_bytes()
    return b""


def _same(one: Path, other: Path) -> bool:
    return other.exists() and os.path.samefile(one, other)
