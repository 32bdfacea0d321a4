"""The Python that code runs on by default: a venv in the data directory, with packages by lock file."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 260
"""Megabytes that the packages take on the disk, about; downloaded they are a third of it."""

PACKAGES = ("numpy", "pandas", "matplotlib", "openpyxl", "pillow")

LOCK = Path(__file__).with_name("packages.lock")
_SECONDS = 1800


class CannotSetUp(Exception):
    """The packages can't be installed. The message says why."""


def folder(data_dir: Path) -> Path:
    """Return where the venv lies, whether it is there or not."""
    return data_dir / "code" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def program(data_dir: Path) -> Path | None:
    """Return the venv's Python; None if it has not been set up."""
    python = folder(data_dir) / "bin" / "python"
    return python if python.exists() else None


def set_up(data_dir: Path, say: Callable[[str], None]) -> Path:
    """Make the venv, whole or not at all; return its Python. What was there is replaced.

    Args:
        data_dir: Clew's data directory.
        say: is told each step.

    Raises:
        CannotSetUp: the packages can't be had, or the disk does not take them.
    """
    target = folder(data_dir)
    try:
        with _new(target) as made:
            venv.create(made, with_pip=False, symlinks=True)
            say(f"Installing {', '.join(PACKAGES)}, about {SIZE} MB, into {target} ...")
            _install(made)
    except OSError as error:
        raise CannotSetUp(f"{target} can't be written: {error.strerror}") from error
    say("Done.")
    return target / "bin" / "python"


@contextmanager
def _new(target: Path) -> Iterator[Path]:
    """Give a folder beside the target that takes its place when all went well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made, old = target.with_name(f"{target.name}.{os.getpid()}"), target.with_name(f"{target.name}.old")
    shutil.rmtree(made, ignore_errors=True)
    try:
        yield made
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _install(made: Path) -> None:
    """Install the packages of the lock file, each held to its hash, as wheels: nothing of them is run."""
    command = [sys.executable, "-m", "pip", "--python", str(made), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--require-hashes"]
    try:
        subprocess.run(
            [*command, "-r", str(LOCK)],
            check=True,
            timeout=_SECONDS,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CannotSetUp(f"Installing took longer than {_SECONDS // 60} minutes.") from None
    except subprocess.CalledProcessError as failed:
        last = (failed.stderr or failed.stdout).strip().splitlines()[-1:] or ["pip said nothing"]
        raise CannotSetUp(f"pip could not install the packages: {last[0]}") from None
