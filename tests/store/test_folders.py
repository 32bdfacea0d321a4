"""Private directories: nobody else gets in, also where the umask forbids nothing."""

import os
import stat
import sys
from pathlib import Path

import pytest

from clew.store.folders import private_directory
from clew.store.schema import prepare_sqlite


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_all_directories_that_are_made_are_private_whatever_the_umask(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    before = _mode(there)
    umask = os.umask(0)
    try:
        assert private_directory(there / "a" / "b" / "c") == there / "a" / "b" / "c"
        prepare_sqlite(there / "d" / "e" / "clew.db")
    finally:
        os.umask(umask)
    for made in ("a", "a/b", "a/b/c", "d", "d/e"):
        assert _mode(there / made) == 0o700, made
    assert _mode(there / "d/e/clew.db") == 0o600
    assert _mode(there) == before, "what was there stays as it was"


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        private_directory(tmp_path / "file" / "below")
