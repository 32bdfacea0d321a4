"""Locks on files: one process owns a SQLite database. The system frees them when the process dies.

A lock file beside the database is found by name only: the same database has another name through a symbolic
link, and another folder through a hard one. So on Linux the database's own file is locked too, with
``flock``, which has nothing to do with the locks that SQLite itself takes there (``fcntl``). Elsewhere the
two are one, or there is no such lock. Symbolic links are followed on every system.
"""

import os
import sys
from pathlib import Path

from clew.store.database import StoreError

_LOCKS_THE_FILE_ITSELF = sys.platform == "linux"


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


_Inode = tuple[int, int]

_held: set[_Inode] = set()
"""The databases that this process holds. To open and close one of these again would take SQLite's own locks
from it: the system drops all that a process has on a file as soon as it closes any descriptor of it."""


class DatabaseLock:
    """A SQLite database, held by this process by whatever name.

    To be released when all connections of this process to it are closed, and not before.
    """

    def __init__(self, database: Path) -> None:
        self._database = database.resolve()
        self._by_name = FileLock(self._database.with_name(self._database.name + ".lock"))
        self._inode: _Inode | None = None
        self._descriptor: int | None = None

    def acquire(self, refusal: str) -> None:
        """Take the lock.

        Raises:
            StoreError: with ``refusal`` if somebody holds it, or if the lock file can't be made.
        """
        self._by_name.acquire(refusal)
        try:
            self._acquire_file(refusal)
        except BaseException:
            self._by_name.release()
            raise

    def _acquire_file(self, refusal: str) -> None:
        if not _LOCKS_THE_FILE_ITSELF:
            return
        try:
            about = self._database.stat()
        except FileNotFoundError:
            return  # what comes here later has no second name yet
        inode = about.st_dev, about.st_ino
        if inode in _held:
            raise StoreError(refusal)
        try:
            descriptor = os.open(self._database, os.O_RDONLY)
        except OSError as error:
            raise StoreError(f"Cannot open the database {self._database}: {error.strerror}") from error
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreError(refusal) from error
        except OSError:  # NFS makes both kinds of locks one, and refuses ours on a file opened to be read
            os.close(descriptor)
            return
        self._descriptor, self._inode = descriptor, inode
        _held.add(inode)

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._inode is not None:
            _held.discard(self._inode)
            self._inode = None
        self._by_name.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
