"""Bodies of requests from options: fields, metadata, and a file for everything else."""

import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from clew.cli.problems import USAGE, Problem
from clew.toolkit.records import Json


def body_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--metadata`` and ``--fields``, as ``metadata`` and ``fields``."""
    command = click.option(
        "--fields",
        type=click.File(encoding="utf-8"),
        metavar="FILE",
        help="a JSON object with further fields, as the API takes them; - reads it from stdin",
    )(command)
    return click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="can be given several times")(
        command
    )


def body(fields: TextIO | None, metadata: Sequence[str], **known: Any) -> Json:
    """Return the body: the file's fields, and those that options say.

    Raises:
        Problem: the file is no JSON object, or metadata no pair.
    """
    found: Json = {} if fields is None else _read(fields)
    found |= {name: value for name, value in known.items() if value is not None}
    if metadata:
        found["metadata"] = pairs(metadata)
    return found


def changes(fields: TextIO | None, metadata: Sequence[str], **known: Any) -> Json:
    """Return the body of an update, as :func:`body` does.

    Raises:
        Problem: as of :func:`body`; or nothing is to be changed.
    """
    found = body(fields, metadata, **known)
    if not found:
        options = ["--metadata", *(f"--{name.replace('_', '-')}" for name in known), "--fields"]
        raise Problem(f"nothing is to be changed: give one of {', '.join(options)}", USAGE)
    return found


def _read(file: TextIO) -> Json:
    try:
        found = json.loads(file.read())
    except UnicodeDecodeError as error:
        raise Problem(f"--fields: {file.name} is not UTF-8: byte {error.start + 1}", USAGE) from None
    except ValueError as error:
        raise Problem(f"--fields: {file.name} is no JSON: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise Problem(f"--fields: {file.name} is no JSON object", USAGE)
    return found


def pairs(metadata: Sequence[str]) -> dict[str, str]:
    """Return metadata as it was given with ``--metadata``.

    Raises:
        Problem: one is no pair, or a key has two values.
    """
    found: dict[str, str] = {}
    for key, value in map(_pair, metadata):
        if found.setdefault(key, value) != value:
            raise Problem(f"--metadata: {key!r} is given twice, with two values", USAGE)
    return found


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Problem(f"--metadata: {text!r} is not KEY=VALUE", USAGE)
    return key, value


def from_stdin() -> str:
    """Return what comes on stdin.

    Raises:
        Problem: it is no text.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"what comes on stdin is not UTF-8: byte {error.start + 1} is no text", USAGE) from None


def piped() -> str:
    """Return what a pipe or a file gives on stdin; nothing where it is a terminal, or something else.

    Raises:
        Problem: it is no text.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # nothing of the system's: a test's, or closed
        return "" if sys.stdin.isatty() else from_stdin()
    return from_stdin() if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ""


def text_of(argument: str) -> str:
    """Return a text that was given as an argument; - stands for what comes on stdin.

    Raises:
        Problem: there is nothing in it.
    """
    text = from_stdin() if argument == "-" else argument
    if not text.strip():
        raise Problem("the message is empty", USAGE)
    return text
