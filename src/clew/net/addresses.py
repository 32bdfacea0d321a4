"""Which IP addresses are out there on the internet, and which are somebody's inner network.

The tables are written out, because what Python's ``is_global`` says differs between its versions. Source:
IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates), 2026.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_INNER_V4 = [
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]

_NAT64 = IPv6Network("64:ff9b::/96")
_OUTER_V6 = [IPv6Network("2000::/3"), _NAT64]
_INNER_V6 = [
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
]

METADATA = frozenset(
    ip_address(each)
    for each in (
        "169.254.169.254",  # AWS, Azure, Google, and most others
        "169.254.170.2",  # AWS containers
        "169.254.170.23",
        "168.63.129.16",  # Azure's wire server, in the public range
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
    )
)
"""Where clouds give their machines' credentials to whoever asks. Nothing opens these."""


def parse(text: str) -> Address | None:
    """Return the address that a host is, or None if it is a name. An IPv4 address in IPv6 is the former."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> Network | None:
    """Return the network that a text is, or None. A single address is a network of one."""
    try:
        return ip_network(text)
    except ValueError:
        return None


def is_outer(address: Address) -> bool:
    """Return whether an address belongs to the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INNER_V4)
    outside = any(address in network for network in _OUTER_V6)
    return outside and not any(address in network for network in _INNER_V6)


def carried(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that packets to an IPv6 address may end up at."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in IPv6Network("64:ff9b:1::/48") or number >> 32 == 0:
        yield last
    if (number >> 32) & 0xFDFFFFFF == 0x5EFE:  # ISATAP, in any network
        yield last
