"""Where the clients live: outside Clew's own environment, because their pins clash with it.

Everything is made on demand below ``.venv-clients`` and kept until what it is made from changes.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".venv-clients"
LOCK = ROOT / "requirements" / "clients.lock"
SAMPLES_LOCK = HERE / "samples.lock"

_INSTALL_TIMEOUT = 900.0
_SHOWN = 3000


def python() -> Path:
    """Return the Python interpreter that has the clients."""
    return _made("python", [LOCK], _make_python) / "bin" / "python"


def framework(name: str) -> Path:
    """Return the Python interpreter that has a framework of ``requirements/frameworks``."""
    lock = ROOT / "requirements" / "frameworks" / f"{name}.lock"
    return _made(name, [lock], lambda folder: _make_python(folder, lock)) / "bin" / "python"


def node_modules(name: str = "node") -> Path:
    """Return the folder with the npm packages of a folder here; node and npm must be on the PATH."""
    package = [HERE / name / "package.json", HERE / name / "package-lock.json"]
    return _made(name, package, lambda folder: _make_node(folder, package)) / "node_modules"


def samples() -> Path:
    """Return the folder ``samples`` of azure-ai-agents' source distribution, as the vendor wrote it."""
    return _made("vendor", [LOCK, SAMPLES_LOCK], _make_samples) / "samples"


def _made(name: str, sources: list[Path], make: Callable[[Path], None]) -> Path:
    """Return the folder ``name``, after making it unless it was made of these sources before."""
    folder, marker = HOME / name, HOME / name / "made-of"
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        digest.update(source.read_bytes())
    if not marker.is_file() or marker.read_text(encoding="ascii") != digest.hexdigest():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (HOME / ".gitignore").write_text("*\n", encoding="ascii")
        make(folder)
        marker.write_text(digest.hexdigest(), encoding="ascii")
    return folder


def _make_python(folder: Path, lock: Path = LOCK) -> None:
    _do([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    # The lock is complete, minus what its overrides leave out on purpose: hence --no-deps.
    options = ["--no-deps", "--no-compile", "--require-hashes"]
    _do([*_pip(folder), "install", *options, "-r", str(lock)])


def _make_node(folder: Path, package: list[Path]) -> None:
    for file in package:
        shutil.copy(file, folder)
    npm = shutil.which("npm") or "npm"
    _do([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _make_samples(folder: Path) -> None:
    python()
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    _do([*_pip(HOME / "python"), "download", *options, "-d", str(folder), "-r", str(SAMPLES_LOCK)])
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = member.name.partition("/")[2]
            if path.startswith("samples/"):
                tar.extract(member.replace(name=path), folder, filter="data")


def _pip(folder: Path) -> list[str]:
    interpreter = str(folder / "bin" / "python")
    return [sys.executable, "-m", "pip", "--python", interpreter, "--quiet", "--disable-pip-version-check"]


def _do(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-_SHOWN:]}")
