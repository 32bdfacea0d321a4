"""Says at the start what others on the network could read, or pretend to be."""

import logging
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from clew.settings import Settings, from_libpq

_log = logging.getLogger(__name__)

_VERIFIED = ("verify-ca", "verify-full")


def warn_about_network(settings: Settings) -> None:
    """Warn where bus or database are on other machines, and not safe from those between."""
    for text in (_bus(settings), _database(settings)):
        if text is not None:
            _log.warning("%s", text)


def _bus(settings: Settings) -> str | None:
    if settings.bus_url is None:
        return None
    servers = [urlsplit(part.strip()) for part in settings.bus_url.split(",")]
    away = [server for server in servers if not _is_here(server.hostname or "")]
    unnamed = [server for server in away if not server.username]
    if unnamed and settings.bus_credentials is None:
        return (
            f"this process says nothing to the bus at {unnamed[0].hostname} about who it is. If others are "
            "let in like that too, they read what the runs of all projects say. Give the bus accounts, and "
            "this process CLEW_BUS_CREDENTIALS: docs/operations.md has an example"
        )
    plain = [server for server in away if server.scheme != "tls"]
    if plain:
        return (
            f"what goes to the bus at {plain[0].hostname} can be read on the way: "
            "say tls:// in CLEW_BUS_URL, unless the network is your own"
        )
    return None


def _database(settings: Settings) -> str | None:
    if not settings.on_postgres:
        return None
    parts = urlsplit(settings.database_url or "")
    asked = parse_qs(parts.query)
    hosts = [_without_port(each) for each in parts.netloc.rpartition("@")[2].split(",") if each]
    hosts = hosts or asked.get("host") or [from_libpq("PGHOST") or "/"]
    away = [host for host in hosts if not _is_here(host)]
    mode = asked.get("sslmode", [from_libpq("PGSSLMODE") or "prefer"])[-1]
    if not away or mode.replace("_", "-") in _VERIFIED:
        return None
    return (
        f"sslmode={mode} does not make sure that the database at {away[0]} is the right one: who is "
        "in between could read and change everything. Add ?sslmode=verify-full&sslrootcert=FILE to "
        "CLEW_DATABASE_URL, unless the network is your own"
    )


def _without_port(host: str) -> str:
    return urlsplit(f"//{host}").hostname or host


def _is_here(host: str) -> bool:
    """Whether a host is this machine; a path is a socket on it."""
    if host.startswith(("/", "@", "%2f", "%2F")) or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
