"""A text that is written in the person's editor."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from clew.cli.problems import Problem
from clew.settings import editor

_USUAL = ("nano", "vim", "vi")


def in_editor(text: str = "") -> str:
    """Have a text written, and return it.

    Raises:
        Problem: there is no editor, or it failed.
    """
    command = _command()
    descriptor, name = tempfile.mkstemp(prefix="clew-", suffix=".md")  # 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            done = subprocess.run([*command, name], check=False)
        except OSError as error:
            raise Problem(f"{command[0]} can't be started: {error.strerror}") from None
        if done.returncode:
            raise Problem(f"{command[0]} ended with {done.returncode}: nothing is sent")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"what was written is not UTF-8: byte {error.start + 1}. Nothing is sent") from None
    finally:
        path.unlink(missing_ok=True)


def _command() -> list[str]:
    """Return the editor's command: VISUAL's or EDITOR's words, or one that is here. No shell reads them."""
    named = editor() or ""
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise Problem(f"VISUAL or EDITOR can't be read: {named!r}: {error}") from None
    if words:
        return words
    for usual in _USUAL:
        if (found := shutil.which(usual)) is not None:
            return [found]
    raise Problem("there is no editor here: set EDITOR to one")
