"""Copies of a folder of blobs: into another that may hold some of them already, and back."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

Progress = Callable[[int, int], object]
"""Told how many bytes are copied, and how many there are to copy."""


def copy_missing(source: Path, target: Path, progress: Progress) -> int:
    """Copy the blobs that ``target`` has not; return how many. A blob never changes, so its size tells.

    Each is whole and on the disk before it has its name. Where root copies, all belongs to whoever owns
    what ``target`` lies in.

    Raises:
        OSError: a folder can't be read or written.
    """
    wanted = [(path, path.stat().st_size) for path in _blobs(source)]
    missing = [(path, size) for path, size in wanted if _size(target / path.parent.name / path.name) != size]
    total, done = sum(size for _, size in missing), 0
    for path, size in missing:
        _copy(path, target / path.parent.name / path.name, target)
        done += size
        progress(done, total)
    return len(missing)


def _blobs(folder: Path) -> Iterator[Path]:
    """Yield the blobs, but neither drafts nor holds nor what somebody else has put there."""
    for below in sorted(folder.iterdir()) if folder.is_dir() else ():
        if len(below.name) == 2 and below.is_dir():
            yield from (path for path in sorted(below.iterdir()) if path.name.isalnum() and path.is_file())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _copy(path: Path, place: Path, root: Path) -> None:
    for folder in (root, place.parent):
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            _give_away(folder)
    draft = place.with_name(f".{place.name}.part")
    with path.open("rb") as reader, open(draft, "wb", opener=_private) as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)
        writer.flush()
        os.fsync(writer.fileno())
    _give_away(draft)
    draft.replace(place)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _give_away(path: Path) -> None:
    if os.name != "nt" and os.geteuid() == 0:
        about = path.parent.stat()
        os.chown(path, about.st_uid, about.st_gid)
