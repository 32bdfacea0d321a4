"""The guard of outgoing HTTP: which URLs somebody else may have this server ask.

A URL that a client gives must not reach what only this machine can see: other services of the inner
network, or a cloud's metadata (server-side request forgery; OWASP ASVS 5.0, 1.3.6). A name is resolved
once, all its addresses are checked, and only what was checked is connected to, so that a name which
changes its mind (DNS rebinding) gains nothing.
"""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from yarl import URL

from clew.daemons import in_daemon_thread
from clew.net.addresses import METADATA, Address, Network, carried, is_outer, parse, parse_network

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host's name. Raises OSError if it has none."""

LONGEST_URL = 2048

_PLAIN = re.compile(r"[!-~]+")
_AUTHORITY = re.compile(r"[^/]*//([^/?#]*).*")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A host whose last label is a number is an IPv4 address (URL Standard, 3.5), however oddly written."""


_LEAST_PORT = 1024
_OTHERS_PORTS = frozenset(
    (
        # those from 1024 on that browsers open for nobody (Fetch Standard, "bad port")
        *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669),
        *(6679, 6697, 10080),
        # databases, queues and caches
        *(1433, 1521, 1883, 2379, 3306, 4222, 5432, 5672, 6379, 8883, 9042, 9092, 11211, 27017),
        # remote shells and control
        *(2375, 2376, 3389, 5900, 5985, 5986, 10250),
    )
)
"""Ports of well-known services that don't speak HTTP, or are nobody's hook: a request is a harmful message to
some of them (cross-protocol attacks), and from this server's address it would be this server's doing."""


class UrlBlocked(Exception):
    """The URL may not be asked. The message says why, and repeats nothing of it."""


async def resolve_with_system(host: str, port: int) -> Sequence[str]:
    """Return a name's addresses as the operating system knows them.

    In a thread of its own: somebody's slow name server must hold up neither the names of others nor
    the end of the process.
    """
    found = await in_daemon_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class Guard:
    """Lets through what leads to the internet, and what the owner allows.

    Args:
        allow: what is allowed beyond the internet: ``host:port``, an address, or a network such as
            ``10.1.0.0/16``. Cloud metadata stays out of reach.
        resolve: finds the addresses of a name.

    Raises:
        ValueError: an entry of ``allow`` is none of these.
    """

    def __init__(self, allow: str = "", resolve: Resolve = resolve_with_system) -> None:
        self._resolve = resolve
        self._networks: list[Network] = []
        self._hosts: set[tuple[str, int]] = set()
        for entry in filter(None, (each.strip() for each in allow.split(","))):
            self._allow(entry)

    def _allow(self, entry: str) -> None:
        network = parse_network(entry)
        if network is not None:
            self._networks.append(network)
            return
        host, _, port = entry.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(
                f"{entry!r} is neither host:port nor an address nor a network such as 10.1.0.0/16"
            )
        self._hosts.add((_canonical(host.removeprefix("[").removesuffix("]")), int(port)))

    def check(self, text: str) -> URL:
        """Return a URL that may be asked as far as can be told without resolving its name.

        Raises:
            UrlBlocked: it may not.
        """
        url = _parse(text)
        host, port = _endpoint(url)
        self._check_port(host, port)
        address = parse(host)
        if address is not None:
            self._check_address(address, host, port)
        elif host == "localhost" or host.endswith(".localhost"):
            self._check_address(parse("127.0.0.1"), host, port)
        return url

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses to connect to for a host, each of them checked.

        Raises:
            UrlBlocked: one of them may not be connected to.
            OSError: the name has no address.
        """
        host = _canonical(host)
        literal = parse(host)
        found = (
            [literal] if literal is not None else [parse(each) for each in await self._resolve(host, port)]
        )
        if not found:
            raise OSError("the name has no address")
        return [self._check_address(address, host, port) for address in found]

    def _check_port(self, host: str, port: int) -> None:
        usual = port in (80, 443) or (port >= _LEAST_PORT and port not in _OTHERS_PORTS)
        if not usual and (host, port) not in self._hosts:
            raise UrlBlocked("its port is another service's: allowed are 80, 443 and most from 1024 on")

    def _check_address(self, address: Address | None, host: str, port: int) -> Address:
        if address is None or getattr(address, "scope_id", None) is not None:
            raise UrlBlocked("it leads to an address that makes no sense outside of this machine")
        ends = [address, *carried(address)]
        if not METADATA.isdisjoint(ends):
            raise UrlBlocked("it leads to a cloud's metadata service")
        if (host, port) not in self._hosts and not all(map(self._is_allowed, ends)):
            raise UrlBlocked("it leads to an address that is not on the public internet")
        return address

    def _is_allowed(self, address: Address) -> bool:
        return is_outer(address) or any(address in network for network in self._networks)


def _parse(text: str) -> URL:
    if len(text) > LONGEST_URL:
        raise UrlBlocked(f"it is longer than {LONGEST_URL} characters")
    if _PLAIN.fullmatch(text) is None or "\\" in text:
        raise UrlBlocked("it holds characters that a URL does not have")
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise UrlBlocked("it is not a URL") from None
    if url.scheme not in ("http", "https"):
        raise UrlBlocked("it must begin with https:// or http://")
    authority = _AUTHORITY.sub(r"\1", text)
    if "@" in authority:
        raise UrlBlocked("it must not hold a user or a password")
    if not url.raw_host or not port or ("[" in authority and ":" not in url.raw_host):
        raise UrlBlocked("it names no host")
    return url


def _endpoint(url: URL) -> tuple[str, int]:
    """Return host and port in the one way in which they are checked, resolved and compared."""
    assert url.raw_host is not None
    assert url.port is not None
    host = _canonical(url.raw_host)
    if parse(host) is not None:
        return host, url.port
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise UrlBlocked("its host is an address that is oddly written")
    if len(host) > 253 or _NAME.fullmatch(host) is None:
        raise UrlBlocked("its host is not a name")
    return host, url.port


def _canonical(host: str) -> str:
    address = parse(host)
    return host.lower().removesuffix(".") if address is None else str(address)
