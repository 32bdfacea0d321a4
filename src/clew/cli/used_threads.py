"""Which thread was used last, on which server and in which terminal: what ``--last`` goes on with."""

import contextlib
import os
import sys
from pathlib import Path

import msgspec

from clew.cli.files import write_private

_MOST = 200
"""Terminals that are remembered; the one that was quiet longest is forgotten."""

_ANY = ""
"""Stands for whichever terminal it was."""

_Used = dict[str, str]


def remember(data_dir: Path | None, server: str, thread_id: str) -> None:
    """Note that this terminal has used a thread of a server. Where that can't be written, nothing is."""
    if data_dir is None:
        return
    used = _read(data_dir)
    for terminal in (_terminal(), _ANY):
        used.pop(f"{server} {terminal}", None)
        used[f"{server} {terminal}"] = thread_id
    newest = dict(list(used.items())[-_MOST:])
    with contextlib.suppress(OSError):
        write_private(_path(data_dir), msgspec.json.encode(newest) + b"\n")


def last(data_dir: Path | None, server: str) -> str | None:
    """Return the thread that this terminal used last, else the one that this person did; None if none."""
    used = _read(data_dir)
    return used.get(f"{server} {_terminal()}") or used.get(f"{server} {_ANY}")


def _path(data_dir: Path) -> Path:
    return data_dir / "used-threads.json"


def _read(data_dir: Path | None) -> _Used:
    if data_dir is None:
        return {}
    try:
        return msgspec.json.decode(_path(data_dir).read_bytes(), type=_Used)
    except (OSError, msgspec.DecodeError):
        return {}


def _terminal() -> str:
    """Return the name of this terminal; no name where there is none, as in a script."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.ttyname(stream.fileno())
    return "no terminal"
