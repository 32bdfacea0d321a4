"""How a process gets in at NATS: TLS, credentials, and what to say where it is turned away."""

import asyncio
import logging
import re
import ssl
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

_MOST_TOLD = 20
"""Things not permitted that are said in the log."""

_SEED = re.compile(r"^SU[A-Z2-7]{1,100}", re.MULTILINE)

_log = logging.getLogger(__name__)


class BusAddress(NamedTuple):
    """Where a bus is, and how this process gets in.

    Attributes:
        url: ``nats://host:4222``, or several such with commas between them; ``tls://`` insists on TLS.
        ca: a PEM file of the authorities that servers' certificates may be from; by default the system's.
        credentials: a file that says who this process is: an nkey's seed, or a ``.creds`` file with a JWT.
    """

    url: str
    ca: Path | None = None
    credentials: Path | None = None

    @property
    def servers(self) -> list[str]:
        """The servers' URLs, each by itself."""
        return [part.strip() for part in self.url.split(",")]


class NoTls(NatsError):
    """A server without TLS, where the address insists on it."""


class StrictClient(Client):
    """The library's, but ``tls://`` means it: without this a server, or whoever stands before it, that offers
    no TLS would be sent our credentials and all else in the clear."""

    def _connect_command(self) -> bytes:
        server = self._current_server
        if server is not None and server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise NoTls
        return super()._connect_command()


class Refusals:
    """What goes wrong with a connection, told to whoever opens it and to the log.

    Args:
        servers: how many of them may each turn us away, until there is no use in asking on.
    """

    def __init__(self, servers: int) -> None:
        self._left = servers
        self._told: set[str] = set()
        self.last: Exception | None = None
        self.by_all = asyncio.Event()
        self.forbidden = asyncio.Event()
        self.forbidden_what = ""

    async def add(self, error: Exception) -> None:
        """Note one. What the server does not permit is a mistake in its configuration, and said once."""
        _log.debug("nats: %s", error)
        if _is_final(error):
            self.last = error
            self._left -= 1
            if self._left <= 0:
                self.by_all.set()
        words = str(error).removeprefix("nats: ")
        new = words not in self._told and len(self._told) < _MOST_TOLD
        if new and "permissions violation" in words.lower():
            self._told.add(words)
            self.forbidden_what = words
            self.forbidden.set()
            _log.warning("the bus does not permit what Clew needs (docs/operations.md): %s", words)


def _is_final(error: Exception) -> bool:
    """Whether a server has answered, and asking it again would change nothing."""
    return isinstance(error, ssl.SSLError | NoTls) or "authorization violation" in str(error).lower()


def what_to_do(servers: str, error: Exception) -> str:
    """Say what is wrong where no server lets us in."""
    if isinstance(error, NoTls):
        return (
            f"The NATS server at {servers} offers no TLS, and CLEW_BUS_URL says tls://. "
            "Give it a certificate (tls {} in its configuration), or say nats:// where the network is your "
            "own."
        )
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
        return (
            f"The certificate of the NATS server at {servers} is not trusted ({reason}). "
            "Set CLEW_BUS_CA to the authority that has signed it, and use a name that it holds."
        )
    if _is_final(error):
        return (
            f"The NATS server at {servers} does not let this process in. Check CLEW_BUS_CREDENTIALS, "
            "or the user and password in CLEW_BUS_URL, against its configuration."
        )
    return (
        f"No NATS server answers at {servers} ({type(error).__name__}). "
        "Start one with JetStream (nats-server -js), or correct CLEW_BUS_URL."
    )


def options(address: BusAddress) -> dict[str, Any]:
    """Return what the library is told of an address besides its servers.

    Raises:
        OSError, ValueError: a file can't be used; the message says which, and what it should be.
    """
    made: dict[str, Any] = {}
    if any(urlsplit(server).scheme == "tls" for server in address.servers) or address.ca is not None:
        made["tls"] = _tls_context(address.ca)
    if address.credentials is not None:
        made |= _credentials(address.credentials)
    return made


def _tls_context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"CLEW_BUS_CA: {ca} holds no certificates in PEM form ({error.strerror})") from error


def _credentials(path: Path) -> dict[str, Any]:
    """Tell a seed from a ``.creds`` file by what is in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"CLEW_BUS_CREDENTIALS: {path} can't be read ({type(error).__name__})") from error
    seed = _SEED.search(text)
    if seed is None or not _is_good(seed[0]):
        raise ValueError(
            f"CLEW_BUS_CREDENTIALS: {path} holds no nkey's seed of a user (SU...), as a .creds file does too"
        )
    if "BEGIN NATS USER JWT" in text:
        return {"user_credentials": str(path)}
    return {"nkeys_seed_str": seed[0]}


def _is_good(seed: str) -> bool:
    """Whether the library can do anything with a seed."""
    import nkeys

    try:
        nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError):
        return False
    return True


def shown(url: str) -> str:
    """Return a server's URL without the password in it."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest
