"""Where the server is, and its key: for commands that talk to one."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from clew.cli import certificates, keys, server_file
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.settings import Settings

if TYPE_CHECKING:
    from clew.cli.profile_file import Profile

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


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


def chosen(
    settings: Settings, url: str | None, profile: str | None, *, given: bool, here: bool = False
) -> Target:
    """Return the server that a command talks to.

    Args:
        url: as a flag or the environment say.
        profile: likewise.
        given: whether the URL comes from a flag, which beats the environment's profile.
        here: whether a flag names the data directory, whose server beats the profile in use.

    Raises:
        Problem: as of :func:`target`; or there is no such profile.
    """
    from clew.cli import profile_file

    if url is not None and (given or profile is None):
        return target(settings, url)
    name = profile
    if profile is None and not here:
        name = profile_file.read().current
    if name in (None, profile_file.LOCAL):
        return target(settings, url if profile is None else None)
    return of_profile(profile_file.named(str(name)))


def of_profile(profile: "Profile") -> Target:
    """Return the server of a profile.

    Raises:
        Problem: its key can't be had, or the file of its authorities has gone.
    """
    bundle = None if profile.ca_file is None else Path(profile.ca_file)
    if bundle is not None and not bundle.is_file():
        raise Problem(f"{bundle}, the authorities of {profile.url}, is not there", NOT_FOUND)
    return Target(_root(profile.url), profile.secret(), bundle, None)


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


def check_url(url: str, option: str = "--url") -> None:
    """Raise Problem if this is no URL of a server."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise Problem(f"{option}: {url!r} is not a URL such as http://127.0.0.1:8787", USAGE)


def _that(url: str, settings: Settings, here: server_file.ServerInfo | None) -> server_file.ServerInfo:
    """Return what is known of the server at ``url``: it may be the one of this data directory."""
    if here is not None and url.startswith(here.url):
        return msgspec.structs.replace(here, url=url)
    parts = urlsplit(url)
    tls = parts.scheme == "https" and parts.hostname in LOCAL_HOSTS
    return server_file.ServerInfo(url=url, project=settings.project, tls=tls, pid=0)


def _root(url: str) -> str:
    """Return the API's root; a URL without a path means the root in OpenAI's shape."""
    return url if urlsplit(url).path.strip("/") else f"{url}/v1"
