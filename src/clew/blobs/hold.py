"""Holds: while a folder of blobs is copied, nothing is deleted in it.

A hold is a file in ``holds/``. It counts for a day, so that one which was left behind by a killed process
does not fill the disk for ever.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOLDS = "holds"
_COUNTS_FOR = 24 * 3600.0


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Have nothing deleted in a folder of blobs meanwhile.

    Raises:
        OSError: the folder can't be written.
    """
    holds = folder / HOLDS
    holds.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=holds, prefix="held-")
    os.close(descriptor)
    try:
        yield
    finally:
        Path(name).unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Return whether somebody copies the folder. Ages are by the clock of its file system."""
    holds = folder / HOLDS
    with suppress(FileNotFoundError):
        held = [each for each in holds.iterdir() if each.name.startswith("held-")]
        if not held:
            return False
        probe = holds / ".now"
        probe.touch()
        now = probe.stat().st_mtime
        for each in held:
            with suppress(FileNotFoundError):
                if now - each.stat().st_mtime < _COUNTS_FOR:
                    return True
    return False
