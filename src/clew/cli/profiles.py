"""``clew profiles``: several servers, by name."""

import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click
from msgspec.structs import replace

from clew.cli import output, profile_file
from clew.cli.connection import LOCAL_HOSTS, check_url, of_profile
from clew.cli.output import print_table
from clew.cli.problems import NOT_FOUND, USAGE, Problem
from clew.cli.profile_file import LOCAL, Profile
from clew.cli.remote import Remote, said_in_words
from clew.toolkit.errors import ConnectionFailed


@click.group(
    epilog="""\b
Examples:
  clew profiles add prod --server https://clew.example.com      asks for the key
  clew profiles add stage --server https://stage.example.com --key-command "pass show clew-stage"
  clew profiles use prod                                        from now on, in every terminal
  clew --profile stage runs list --status failed                just this once
  clew profiles use local                                       the server of this machine again

\b
Which server a command talks to: --url, else --profile or CLEW_PROFILE, else CLEW_URL, else the profile in
use, else the one that runs here. A profile's key goes to its own server only, whatever CLEW_API_KEY says.
"""
)
def profiles() -> None:
    """Keep several servers by name, and say which one commands talk to."""


@profiles.command()
@click.argument("name")
@click.option("--server", metavar="URL", required=True, help="such as https://clew.example.com")
@click.option("--key-file", type=click.Path(path_type=Path), metavar="FILE", help="its first line is the key")
@click.option("--key-command", metavar="COMMAND", help="a program whose first line is the key; no shell")
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="the authorities to trust, in place of the usual ones",
)
@click.option("--use", "in_use", is_flag=True, help="use it from now on")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="ask the server whether it takes the key"
)
def add(
    name: str,
    server: str,
    key_file: Path | None,
    key_command: str | None,
    ca_file: Path | None,
    in_use: bool,
    check: bool,
) -> None:
    """Keep a server under a name, in place of an older one of that name.

    Without --key-file or --key-command it asks for the key, or reads it from stdin, and keeps it in a file
    that only you can read. A key is never an argument: others would see it in the list of processes.
    """
    profile_file.checked_name(name)
    check_url(server, "--server")
    if key_file is not None and key_command is not None:
        raise Problem("--key-file and --key-command: give one of them", USAGE)
    key = None if key_file or key_command else _asked()
    profile = Profile(
        url=server.rstrip("/"),
        key=key,
        key_file=None if key_file is None else str(key_file.absolute()),
        key_command=key_command,
        ca_file=None if ca_file is None else str(ca_file.absolute()),
    )
    if check:
        _check(profile)
    kept = profile_file.read()
    current = name if in_use else kept.current
    profile_file.write(replace(kept, current=current, profiles={**kept.profiles, name: profile}))
    output.say(f"Kept in {profile_file.path()}." + ("" if in_use else f" Use it with --profile {name}."))


def _asked() -> str:
    """Return the key that is typed, or the first line of stdin."""
    if sys.stdin.isatty():
        key = str(click.prompt("API key", hide_input=True, err=True)).strip()
    else:
        with click.open_file("-", encoding="utf-8", errors="replace") as stdin:
            key = stdin.readline().strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Problem("there is no key: type it, or give it on stdin", USAGE)
    return key


def _check(profile: Profile) -> None:
    """Ask the server whether it takes the key; one that is away is only said.

    Raises:
        Problem: the key is refused, or the URL leads to something else.
    """
    parts = urlsplit(profile.url)
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        output.say("Over http the key crosses the network as it is: whoever is on the way can read it.")
    with said_in_words():
        remote = Remote(of_profile(profile))
        with remote.service:
            try:
                remote.service.request("GET", "models")
            except ConnectionFailed as error:
                output.say(f"Not checked: {error}")


@profiles.command("list")
def list_profiles() -> None:
    """List the servers, and where their keys come from. The one in use has a star."""
    kept = profile_file.read()
    if not kept.profiles:
        output.say("There are none.")
        return
    print_table(
        ["", "name", "key", "server"],
        [
            ["*" if name == kept.current else "", name, profile.source, profile.url]
            for name, profile in sorted(kept.profiles.items())
        ],
    )


@profiles.command()
@click.argument("name")
def use(name: str) -> None:
    """Have commands talk to a server from now on; `local` is the one of this machine."""
    kept = profile_file.read()
    if name != LOCAL:
        profile_file.named(name)
    profile_file.write(replace(kept, current=None if name == LOCAL else name))


@profiles.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def delete(names: Sequence[str]) -> None:
    """Forget servers, and the keys that are kept with them."""
    kept = profile_file.read()
    for name in names:
        if name not in kept.profiles:
            raise Problem(f"there is no profile {name!r}", NOT_FOUND)
    left = {name: profile for name, profile in kept.profiles.items() if name not in names}
    current = kept.current if kept.current in left else None
    profile_file.write(replace(kept, current=current, profiles=left))
    for name in names:
        click.echo(f"deleted {name}")
