"""Files that come from a server, written to the disk: under a plain name, whole or not at all."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from clew.cli.problems import FAILED, Problem

_LONGEST = 200
"""Bytes of a name in UTF-8. File systems take 255, and a draft's name is longer than its file's."""

_SEPARATORS = re.compile(r"[/\\]")
_UNFIT = frozenset('<>:"|?*')
"""What Windows has in no name."""


def plain_name(name: str, otherwise: str) -> str:
    """Return a name that a server gave as one that stays in its folder: the last part alone, of at most 200
    bytes, neither hidden nor like an option, without what can't be shown; ``otherwise`` if nothing is left.
    """
    last = _SEPARATORS.split(name)[-1]
    shown = "".join(each for each in last if each.isprintable() and each not in _UNFIT)
    plain = shown.lstrip(" .-").rstrip(" .")
    stem, dot, suffix = plain.rpartition(".")
    if not dot or len(suffix.encode()) > _LONGEST // 2:
        return _cut(plain, _LONGEST) or otherwise
    return f"{_cut(stem, _LONGEST - len(suffix.encode()) - 1)}.{suffix}"


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


@contextmanager
def saved(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Give a file to write to, that is there afterwards; after an error all is as it was.

    Args:
        force: replace what is there, at the end and in one step.

    Raises:
        Problem: something is there, and is not to be replaced.
        OSError: the folder can't be written to.
    """
    with _replacing(path) if force and path.exists() else _creating(path) as file:
        yield file


@contextmanager
def _creating(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("xb")
    except FileExistsError:
        raise Problem(f"{path} is there already: --force replaces it", FAILED) from None
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    if not path.is_file():
        raise Problem(f"{path} is no file that could be replaced", FAILED)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".clew-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
