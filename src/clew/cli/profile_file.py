"""``profiles.json`` in the person's configuration folder: the servers that commands can be told to talk to.

Mode 0600: a profile's key may lie in it. It may as well come from a file or a program.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from clew.cli.files import write_private
from clew.cli.problems import FAILED, NOT_FOUND, USAGE, Problem
from clew.settings import config_dir

LOCAL = "local"
"""The name that stands for no profile: the server that runs on this machine."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COMMAND_TIMEOUT = 30.0


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A server, and where its key comes from: one of ``key``, ``key_file`` and ``key_command``.

    ``ca_file`` has the authorities to trust instead of the usual ones.
    """

    url: str
    key: str | None = None
    key_file: str | None = None
    key_command: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Profile({self.url!r})"  # never the key

    @property
    def source(self) -> str:
        """Where the key comes from, in words."""
        if self.key_command is not None:
            return "from a program"
        return "kept here" if self.key_file is None else f"from {self.key_file}"

    def secret(self) -> str:
        """Return the key.

        Raises:
            Problem: it can't be had.
        """
        if self.key_command is not None:
            return _of_command(self.key_command)
        if self.key_file is not None:
            return _of_file(Path(self.key_file))
        if self.key:
            return self.key
        raise Problem(
            f"the profile of {self.url} has no key: add it again with `clew profiles add`", NOT_FOUND
        )


class Profiles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All profiles by name, and the one in use, if one is."""

    current: str | None = None
    profiles: dict[str, Profile] = {}


def path() -> Path:
    """Return where the profiles lie."""
    return config_dir() / "profiles.json"


def read() -> Profiles:
    """Return the profiles of this person.

    Raises:
        Problem: the file is not what it should be.
    """
    try:
        found = msgspec.json.decode(path().read_bytes(), type=Profiles)
    except FileNotFoundError:
        return Profiles()
    except (msgspec.MsgspecError, UnicodeDecodeError):  # what it says could quote a key
        raise Problem(f"{path()} can't be read as profiles: mend it, or delete it", USAGE) from None
    return found


def write(profiles: Profiles) -> None:
    """Keep the profiles, for their owner alone."""
    write_private(path(), msgspec.json.format(msgspec.json.encode(profiles), indent=2) + b"\n")


def named(name: str) -> Profile:
    """Return a profile.

    Raises:
        Problem: there is none of that name.
    """
    known = read().profiles
    if name not in known:
        there_are = f"there are {', '.join(sorted(known))}" if known else "there are none"
        raise Problem(f"there is no profile {name!r}: {there_are} (`clew profiles add`)", NOT_FOUND)
    return known[name]


def checked_name(name: str) -> str:
    """Return a name that a profile may have.

    Raises:
        Problem: it may not.
    """
    if name == LOCAL:
        raise Problem(f"{LOCAL!r} is the server of this machine: choose another name", USAGE)
    if not _NAME.fullmatch(name):
        raise Problem(f"{name!r} is not 1 to 64 letters, digits, '.', '_' or '-'", USAGE)
    return name


def _of_file(file: Path) -> str:
    try:
        lines = file.expanduser().read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Problem(f"the key can't be read from {file}: {why}", FAILED) from None
    return _whole(lines[0], str(file))


def _of_command(command: str) -> str:
    """Return the first line that a program prints; what it says besides goes to the terminal."""
    try:
        done: Any = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, timeout=_COMMAND_TIMEOUT, check=True
        )
    except subprocess.CalledProcessError as error:
        raise Problem(f"the program for the key ended with code {error.returncode}", FAILED) from None
    except subprocess.TimeoutExpired:
        raise Problem(f"the program for the key took longer than {_COMMAND_TIMEOUT:g} s", FAILED) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Problem(f"the program for the key can't be run: {why}", FAILED) from None
    return _whole(done.stdout.decode("utf-8", "replace").split("\n")[0], "the program for the key")


def _whole(line: str, where: str) -> str:
    key = line.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Problem(f"{where} gives no key", FAILED)
    return key
