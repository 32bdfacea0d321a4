"""Where the server is, and its key: for commands that talk to one."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from clew.cli import certificates, keys, server_file
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.settings import Settings

_LOCAL = ("localhost", "127.0.0.1", "::1")


class Target(NamedTuple):
    """A server, and what it takes to talk to it.

    Attributes:
        base_url: the API's root, such as ``http://127.0.0.1:8787/v1``.
        ca_bundle: the authorities to trust, where they are Clew's own.
        model: what an agent may ask for; None if the server passes names on.
    """

    base_url: str
    key: str
    ca_bundle: Path | None
    model: str | None


def target(settings: Settings, url: str | None) -> Target:
    """Return the server at ``url``, or else the one of this data directory.

    Raises:
        Problem: the URL is none, no server is known, or there is no key for it.
    """
    info = server_file.read(settings.data_dir)
    if url is not None:
        check_url(url)
        info = _that(url.rstrip("/"), settings, info)
    elif info is None:
        raise Problem(
            f"no server runs with {settings.data_dir}: start one with `clew serve`, "
            "or say which one with --url (or CLEW_URL) and CLEW_API_KEY",
            NOT_FOUND,
        )
    key = keys.existing_key(settings)
    if key is None:
        raise Problem(f"no key for {info.url}: set CLEW_API_KEY to the server's", NOT_FOUND)
    bundle = certificates.paths(settings.data_dir).bundle
    return Target(_root(info.url), key, bundle if info.tls and bundle.is_file() else None, info.model)


def check_url(url: str) -> None:
    """Raise Problem if this is no URL of a server."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise Problem(f"--url: {url!r} is not a URL such as http://127.0.0.1:8787", USAGE)


def _that(url: str, settings: Settings, here: server_file.ServerInfo | None) -> server_file.ServerInfo:
    """Return what is known of the server at ``url``: it may be the one of this data directory."""
    if here is not None and url.startswith(here.url):
        return msgspec.structs.replace(here, url=url)
    parts = urlsplit(url)
    tls = parts.scheme == "https" and parts.hostname in _LOCAL
    return server_file.ServerInfo(url=url, project=settings.project, tls=tls, pid=0)


def _root(url: str) -> str:
    """Return the API's root; a URL without a path means the root in OpenAI's shape."""
    return url if urlsplit(url).path.strip("/") else f"{url}/v1"
