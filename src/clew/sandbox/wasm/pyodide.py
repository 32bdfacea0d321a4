"""The files of Pyodide (MPL-2.0): fetched once, by hash, and kept in the data directory."""

import os
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from clew.weights.errors import SourceError, WeightsError
from clew.weights.files import Progress, ignore_progress, locked, sha256_of
from clew.weights.publisher import download
from clew.weights.sources import Weights

ARCHIVE = Weights(
    name="pyodide-314.0.7",
    title="Pyodide 314.0.7",
    sha256="66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0",
    size=6_488_647,
    licence="MPL-2.0",
    url="https://registry.npmjs.org/pyodide/-/pyodide-314.0.7.tgz",
)
_FILES = {
    "pyodide.mjs": "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109",
    "pyodide.asm.mjs": "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
    "pyodide.asm.wasm": "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
    "python_stdlib.zip": "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
    "pyodide-lock.json": "5dc2fc119108bc148c7457dc86e7675b5c87e1cafd420b9c34c1eaef7b36c010",
}
"""What of the archive is needed, and the SHA-256 of each."""

_BLOCK = 1 << 20


def folder_of(data_dir: Path) -> Path:
    """Return where a data directory keeps Pyodide, whether it is there or not."""
    return data_dir / "sandbox" / ARCHIVE.name


def is_right(folder: Path) -> bool:
    """Return whether a folder has all the files as they were published. Hashes 14 MB."""
    try:
        return all(sha256_of(folder / name) == sha256 for name, sha256 in _FILES.items())
    except OSError:
        return False


def fetch_pyodide(data_dir: Path, progress: Progress = ignore_progress) -> Path:
    """Return the folder with Pyodide's files, fetched first (6.5 MB) if they are not there as they should be.

    Blocks; one process does it, and others wait for that.

    Args:
        data_dir: Clew's data directory; the files are kept below its subdirectory ``sandbox``.
        progress: told how far it is, from this thread.

    Raises:
        WeightsError: they can't be had. The message says what to do.
    """
    folder = folder_of(data_dir)
    if is_right(folder):
        return folder
    archive = folder.with_name(f"{ARCHIVE.name}.tgz")
    waiting = partial(progress, 0, ARCHIVE.size, "waiting for another download")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{ARCHIVE.name}.lock"), waiting):
            if not is_right(folder):
                _fetch(archive, progress)
                _lay_out(archive, folder)
                archive.unlink()
    except OSError as error:
        raise WeightsError(f"cannot write {ARCHIVE.name} below {data_dir}: {error}") from error
    return folder


def _fetch(archive: Path, progress: Progress) -> None:
    if archive.exists() and sha256_of(archive) == ARCHIVE.sha256:
        return  # somebody put it there, where the network doesn't reach
    try:
        download(ARCHIVE, archive, progress)
    except SourceError as error:
        raise WeightsError(
            f"{ARCHIVE.title} could not be fetched: {error}. "
            f"Check the network and try again, or put {ARCHIVE.url} at {archive}"
        ) from error
    if (sha256 := sha256_of(archive)) != ARCHIVE.sha256:
        archive.unlink()
        raise WeightsError(
            f"{ARCHIVE.title} has a wrong hash ({sha256}); it was deleted. Try again, and if that "
            "does not help, ask who looks after your proxy"
        )


def _lay_out(archive: Path, folder: Path) -> None:
    """Put the needed files into ``folder``, all or none. Nothing in the archive says where to."""
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as made:
        draft = Path(made) / folder.name
        draft.mkdir(mode=0o755)
        with tarfile.open(archive, "r:gz") as opened:
            for name in _FILES:
                source = opened.extractfile(f"package/{name}")
                if source is None:
                    raise WeightsError(f"{ARCHIVE.title} has no file {name}")
                with source, (draft / name).open("wb") as file:
                    shutil.copyfileobj(source, file, _BLOCK)
        if folder.exists():  # some file in it was changed, or is missing
            shutil.rmtree(folder)
        os.replace(draft, folder)
