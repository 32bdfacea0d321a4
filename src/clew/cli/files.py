"""Private files: readable by their owner alone, and never half written."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clew.store.folders import private_directory


@contextlib.contextmanager
def _draft(directory: Path, data: bytes) -> Iterator[Path]:
    """Give a file with ``data``, mode 0600, that is gone afterwards unless it was moved."""
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".clew-")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file, mode 0600: readers see either what was there or all of ``data``."""
    with _draft(private_directory(path.parent), data) as draft:
        draft.replace(path)


def create_private(path: Path, data: bytes) -> bytes:
    """Create a file, mode 0600, unless it exists; return what it then holds.

    Of several processes that do this at once, one wins and all return the winner's bytes.
    """
    with _draft(private_directory(path.parent), data) as draft:
        try:
            os.link(draft, path)  # unlike a rename, it refuses to replace
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            _create_in_place(path, data)
    return path.read_bytes()


def _create_in_place(path: Path, data: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
