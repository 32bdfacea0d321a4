"""The wheel, installed where nothing of the checkout is near."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("clew-*.whl"))


def test_it_holds_the_types_the_migrations_and_the_lesson(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "clew/py.typed" in names
    assert "clew/store/migrations/versions/0001_the_first_tables.py" in names
    assert "clew/lesson/step1_conversation.py" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_it_installs_and_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    locked = ["-r", str(ROOT / "requirements" / "run.lock"), "--require-hashes"]
    install = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *locked], check=True, capture_output=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True, capture_output=True)
    help_text = subprocess.run(
        [str(binaries / "clew"), "--help"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert "Serve threads and runs." in help_text
    assert "clew demo" in help_text
    imports = "import clew.http.serve, clew.demo; print(clew.demo._programs())"
    shown = subprocess.run(
        [str(binaries / "python"), "-c", imports], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert Path(shown.strip()).is_dir()
    assert "site-packages" in shown
