"""A lock file: one process owns a SQLite database. The system frees it when the process dies."""

import os
import sys
from pathlib import Path

from clew.store.database import StoreError


class FileLock:
    """An exclusive lock on a file, held by this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, refusal: str) -> None:
        """Take the lock.

        Raises:
            StoreError: with ``refusal`` if another process holds it, or if the file can't be made.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"Cannot make the lock file {self._path}: {error.strerror}") from error
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise StoreError(refusal) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
