"""The Python that code runs on by default: a venv in the data directory, with packages by lock file."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

DOWNLOAD = 55
"""Megabytes that are downloaded, about."""

SIZE = 260
"""Megabytes that the packages take on the disk, about."""

PACKAGES = ("numpy", "pandas", "matplotlib", "openpyxl", "pillow")

LOCK = Path(__file__).with_name("packages.lock")
_SECONDS = 1800
_INSTALLED = "packages.lock"
_CONFIG = "pyvenv.cfg"


class CannotSetUp(Exception):
    """The packages can't be installed. The message says why."""


def folder(data_dir: Path) -> Path:
    """Return where the venv lies, whether it is there or not."""
    return data_dir / "code" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def program(data_dir: Path) -> Path | None:
    """Return the venv's Python; None if it has not been set up."""
    python = folder(data_dir) / "bin" / "python"
    return python if python.exists() else None


def made_at(data_dir: Path) -> int:
    """Return when the venv was made, in nanoseconds; 0 if there is none."""
    with contextlib.suppress(OSError):
        return (folder(data_dir) / _CONFIG).stat().st_mtime_ns
    return 0


def outdated(data_dir: Path) -> bool:
    """Return whether the venv has been made by another lock file than this version's."""
    if program(data_dir) is None:
        return False
    try:
        return (folder(data_dir) / _INSTALLED).read_bytes() != LOCK.read_bytes()
    except OSError:
        return True


def packages_of(python: Path) -> dict[str, str]:
    """Return the packages of a venv and their versions, by its Python's program. Not for the event loop."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for place in python.parent.parent.glob("lib/python3*/site-packages/*.dist-info"):
            name, _, version = place.name.removesuffix(".dist-info").partition("-")
            found[name] = version
    return dict(sorted(found.items()))


def set_up(data_dir: Path, say: Callable[[str], None]) -> Path:
    """Make the venv, whole or not at all; return its Python. What was there is replaced.

    Args:
        data_dir: Clew's data directory.
        say: is told each step.

    Raises:
        CannotSetUp: the packages can't be had, or the disk does not take them.
    """
    import venv

    if sys.platform != "linux":
        raise CannotSetUp("only sandboxes of Linux take packages; for Deno: clew code setup --wasm")
    target = folder(data_dir)
    own_pip = find_spec("pip") is not None
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _new(target) as made:
            say(f"Installing {', '.join(PACKAGES)}: downloads {DOWNLOAD} MB, takes {SIZE} MB in {target}")
            venv.create(made, with_pip=not own_pip, symlinks=True)
            _install(made, Path(sys.executable) if own_pip else made / "bin" / "python", say)
            shutil.copyfile(LOCK, made / _INSTALLED)
    except OSError as error:
        raise CannotSetUp(f"{target} can't be written: {error.strerror}") from error
    except subprocess.CalledProcessError:
        raise CannotSetUp("there is no pip here, and no ensurepip that brings it") from None
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


def _install(made: Path, python: Path, say: Callable[[str], None]) -> None:
    """Install the packages of the lock file, each held to its hash, as wheels: nothing of them is run."""
    command = [str(python), "-m", "pip", "--python", str(made), "install", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--require-hashes"]
    with subprocess.Popen(
        [*command, "-r", str(LOCK)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # pip starts another one, which is to end with it
    ) as pip:
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(pip)

        timer = threading.Timer(_SECONDS, stop)
        timer.start()
        try:
            last = _told(pip, say)
        except BaseException:
            _kill(pip)
            raise
        finally:
            timer.cancel()
    if late.is_set():
        raise CannotSetUp(f"installing took longer than {_SECONDS // 60} minutes")
    if pip.returncode:
        raise CannotSetUp(f"pip could not install the packages: {last}")


def _kill(pip: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pip.pid, signal.SIGKILL)


def _told(pip: "subprocess.Popen[str]", say: Callable[[str], None]) -> str:
    """Pass on which packages pip fetches, with their sizes; return the last error it says."""
    assert pip.stdout is not None
    last = "it said nothing"
    for line in pip.stdout:
        words = line.split()
        if words[:1] in (["Downloading"], ["Using"]) and ".whl" in line:
            say("  " + " ".join(words).replace("Using cached", "Kept from before:"))
        elif words[:3] == ["Installing", "collected", "packages:"]:
            say("  Unpacking ...")
        elif words:
            last = line.strip()[:500] if "ERROR" in line or not last.startswith("ERROR") else last
    return last
