"""What proxies say of those whom they speak for: believed from the trusted ones, from nobody else.

X-Forwarded-For and X-Forwarded-Proto are uvicorn's to read; X-Forwarded-Prefix, the path that a proxy has
taken away, becomes ASGI's ``root_path``.
"""

import re
from ipaddress import ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from clew.net.addresses import Network

_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]{1,64}){1,8}/?")
_LONGEST_ADDRESS = 45
"""Characters of an IPv6 address written out."""


class TrustedProxies:
    """The addresses whose word on others counts."""

    def __init__(self, listed: str = "") -> None:
        """Read a list of addresses and networks, separated by commas.

        Raises:
            ValueError: one of them is neither.
        """
        self._networks = tuple(_network(each.strip()) for each in listed.split(",") if each.strip())
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        if (known := self._known.get(address)) is None:
            if len(self._known) > 1_000:
                self._known.clear()
            known = self._known[address] = self._trusts(address)
        return known

    def _trusts(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self._networks)
        except ValueError:
            return False

    def behind(self, app: ASGIApp) -> ASGIApp:
        """Return an application as it is seen through the proxies; itself if there are none."""
        return _Believing(app, self) if self else app

    @property
    def names(self) -> list[str]:
        """The addresses and networks."""
        return [str(network) for network in self._networks]


class _Believing:
    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._app: ASGIApp = ProxyHeadersMiddleware(_checked(app), proxies.names)  # type: ignore[arg-type, assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") and scope["client"][0] in self._proxies:
            prefix = next((value for name, value in scope["headers"] if name == b"x-forwarded-prefix"), b"")
            if _PREFIX.fullmatch(prefix):
                scope["root_path"] = prefix.decode("ascii").rstrip("/")
        await self._app(scope, receive, send)


def _checked(app: ASGIApp) -> ASGIApp:
    """Have an application see addresses, or nothing: a forwarded one may be any text."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if (client := scope.get("client")) is not None and not _is_address(client[0]):
            scope["client"] = None
        await app(scope, receive, send)

    return checked


def _is_address(text: str) -> bool:
    try:
        return len(text) <= _LONGEST_ADDRESS and bool(ip_address(text))
    except ValueError:
        return False


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network such as 10.0.0.0/8") from None
