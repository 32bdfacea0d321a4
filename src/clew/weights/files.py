"""Files on disk: hashing, remembering what was hashed, and one writer at a time."""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import msgspec

from clew.weights.errors import WeightsError

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all and what is being done. Comes from the thread that works."""

_BLOCK = 1 << 20
_TELL_EVERY = 16 * _BLOCK
_LOCK_PAUSE = 0.2


def ignore_progress(done: int, total: int, what: str) -> None:
    """A progress callback for callers that want none."""


def sha256_of(path: Path, progress: Progress = ignore_progress, what: str = "checking") -> str:
    """The file's SHA-256 in hex."""
    total = path.stat().st_size
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if done % _TELL_EVERY == 0 or done == total:
                progress(done, total, what)
    return digest.hexdigest()


class _Marker(msgspec.Struct, frozen=True):
    path: str
    size: int
    mtime_ns: int
    sha256: str


def remember_hash(path: Path, sha256: str, marker: Path) -> None:
    """Note beside the cache that ``path``, as it is now, hashes to ``sha256``."""
    stat = path.stat()
    note = _Marker(str(path.resolve()), stat.st_size, stat.st_mtime_ns, sha256)
    with suppress(OSError):  # a data directory that can't be written only costs the next start a second
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_whole(marker, msgspec.json.encode(note))


def recall_hash(path: Path, marker: Path) -> str | None:
    """The hash noted for ``path``, if its size and its time of change are still those noted.

    This spares a start the hashing of some hundred megabytes. It notices a file that was cut short,
    replaced or edited; it can't notice somebody who may write to the data directory and means harm,
    but such a one could change Clew's database as well.
    """
    try:
        note = msgspec.json.decode(marker.read_bytes(), type=_Marker)
        stat = path.stat()
    except (OSError, msgspec.DecodeError):
        return None
    same = (note.path, note.size, note.mtime_ns) == (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    return note.sha256 if same else None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers see either all of it or what was there before."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    draft.write_bytes(data)
    draft.replace(path)


@contextmanager
def locked(path: Path, waiting: Callable[[], None], timeout: float = 3600.0) -> Iterator[None]:
    """Hold a lock file that the operating system releases even if this process is killed.

    Args:
        waiting: called every now and then while another process holds the lock.
        timeout: seconds to wait for it.

    Raises:
        WeightsError: the lock was not free within ``timeout`` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                problem = f"another process has held {path} for too long; end it and try again"
                raise WeightsError(problem) from TimeoutError()
            waiting()
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
