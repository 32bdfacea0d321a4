"""A data directory that can't be written: one clear sentence, and no traceback."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import new_database

_MOUNTS = sys.platform == "linux" and shutil.which("unshare") is not None


def _may_mount() -> bool:
    if not _MOUNTS:
        return False
    tried = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _may_mount(), reason="mounts are not allowed here")


def _clew(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that sees ``folder`` read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(folder)]
    command += [sys.executable, "-m", "clew.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--port", "0"), "Cannot use the data directory {folder}: Read-only file system."),
        (("serve", "--port", "0", "--tls"), "Cannot use the data directory {folder}: Read-only file system."),
        (("migrate",), "The database can't be used: "),
        (("backup", "{aside}/copy.db"), "The database can't be read: "),
    ],
    ids=["serve", "serve with tls", "migrate", "backup"],
)
def test_a_read_only_data_directory_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    folder, aside = tmp_path / "data", tmp_path / "aside"
    folder.mkdir()
    aside.mkdir()
    new_database(folder / "clew.db")
    given = [each.format(aside=aside) for each in arguments]
    done = _clew(folder, *given, "--data-dir", str(folder))
    assert done.returncode in (1, 3)
    assert done.stderr.startswith(f"Error: {said.format(folder=folder)}"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(aside.iterdir()) == []
