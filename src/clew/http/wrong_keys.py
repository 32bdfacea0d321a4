"""Wrong keys: counted by address, and answered more slowly the more of them come.

A right key is never held back, whatever else comes from its address.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from starlette.types import Scope

_FREE = 10
"""Wrong keys of an address that are answered at once: a program that was given the wrong one says so soon."""

_FIRST, _LONGEST = 0.1, 2.0
"""Seconds by which the next one is held back, doubled from one to the next, up to a limit."""

_FORGET = 60.0
"""Seconds without a wrong key after which an address begins anew."""

_ADDRESSES = 10_000
"""Addresses that are remembered; the one that was quiet longest is forgotten for another."""

_HELD, _HELD_OF_ONE = 1_000, 100
"""Requests that are held back at once, in all and of one address. More are answered at once, which costs less
than keeping them."""


class _Tried(NamedTuple):
    times: int
    at: float


class WrongKeys:
    """Counts wrong keys, and holds their requests back.

    Attributes:
        count: how many there were since the start.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._now = now
        self._tried: OrderedDict[str, _Tried] = OrderedDict()
        self._held: Counter[str] = Counter()

    async def hold_back(self, scope: Scope) -> None:
        """Note a request with a wrong key, and return when it may be answered."""
        client = scope.get("client")
        address = client[0] if client else ""
        seconds, network = self.note(address), network_of(address)
        held = self._held
        if not seconds or held[network] >= _HELD_OF_ONE or held.total() >= _HELD:
            return
        held[network] += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            held[network] -= 1
            if not held[network]:
                del held[network]

    def note(self, address: str) -> float:
        """Note a wrong key; return the seconds for which its request is held back."""
        now, network = self._now(), network_of(address)
        before = self._tried.pop(network, None)
        count = 1 if before is None or now - before.at > _FORGET else before.times + 1
        self._tried[network] = _Tried(count, now)
        if len(self._tried) > _ADDRESSES:
            self._tried.popitem(last=False)
        self.count += 1
        over = count - _FREE
        return 0.0 if over <= 0 else min(_LONGEST, _FIRST * 2.0 ** min(over - 1, 16))


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64 that one customer has, which is a great many."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
