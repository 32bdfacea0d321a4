"""The suite on every Python of this machine from 3.11 up, each in an environment of its own.

    python -m tests.pythons [what pytest is to be given]

Without arguments it is everything but the tests of other people's clients, which have environments of their
own. The environments are made below ``.venv-pythons``, from the developers' lock, and kept until what they
are made from changes. Pythons are looked for on the PATH and where pyenv and uv keep theirs.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-pythons"
LOCK = ROOT / "requirements" / "dev.lock"
MADE_FROM = (LOCK, ROOT / "pyproject.toml")

_OLDEST = (3, 11)
_NAME = re.compile(r"python3(\.\d+)?")
_SUITE = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "--ignore=tests/clients"]
_ASKED_TIMEOUT = 20.0

# Only what the lock has wheels for, and what can make environments: some systems split venv from Python.
_ASK = """\
import ensurepip, os, platform, sys, sysconfig
usable = sys.version_info.releaselevel == "final" and not sysconfig.get_config_var("Py_GIL_DISABLED")
if usable and platform.python_implementation() == "CPython":
    print("%d.%d.%d" % sys.version_info[:3], os.path.realpath(sys.executable))
"""


class Python(NamedTuple):
    """An interpreter: its version, as three numbers, and where it is."""

    version: tuple[int, ...]
    path: Path

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


class Outcome(NamedTuple):
    """What became of one Python: a word, the counts of pytest where it got so far, and seconds."""

    python: Python
    verdict: str
    counts: str
    seconds: float


def candidates() -> Iterator[Path]:
    """Return all that may be a Python of version 3."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from (path for path in Path(folder).glob("python3*") if _NAME.fullmatch(path.name))
    for kept in (
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local" / "share" / "uv" / "python")),
    ):
        yield from kept.glob("*/bin/python3")


def found() -> list[Python]:
    """Return the newest Python of each minor version from 3.11 up that runs, the oldest first."""
    newest: dict[tuple[int, ...], Python] = {}
    for path in dict.fromkeys(candidates()):
        python = asked(path)
        if python is not None and python.version[:2] >= _OLDEST:
            minor = python.version[:2]
            newest[minor] = max(python, newest.get(minor, python), key=lambda each: each.version)
    return [newest[minor] for minor in sorted(newest)]


def asked(path: Path) -> Python | None:
    """Ask an interpreter what it is; None if it doesn't run, as pyenv's shims may not, or won't do."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_ASKED_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, real = done.stdout.strip().partition(" ")
    return Python(tuple(map(int, version.split("."))), Path(real)) if done.returncode == 0 and real else None


def environment(python: Python) -> Path:
    """Return the folder of a Python's environment, after making it unless it is there.

    Raises:
        CalledProcessError: it can't be made.
    """
    folder = HOME / ".".join(map(str, python.version[:2]))
    marker = folder / "made-of"
    digest = hashlib.sha256(repr(python).encode())
    for source in MADE_FROM:
        digest.update(source.read_bytes())
    if not marker.is_file() or marker.read_text(encoding="ascii") != digest.hexdigest():
        print(f"Installing what Clew needs into {folder.relative_to(ROOT)} ...", flush=True)
        subprocess.run([python.path, "-m", "venv", "--clear", folder], check=True)
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
        marker.write_text(digest.hexdigest(), encoding="ascii")
    return folder


def tried(python: Python, arguments: list[str]) -> Outcome:
    """Run the tests on one Python."""
    began = time.monotonic()
    try:
        folder = environment(python)
    except subprocess.CalledProcessError:
        return Outcome(python, "not installed", "", time.monotonic() - began)
    report = folder / "junit.xml"
    report.unlink(missing_ok=True)
    command = [str(folder / "bin" / "python"), "-m", "pytest", *arguments, f"--junit-xml={report}"]
    done = subprocess.run(command, cwd=ROOT, check=False)
    verdict = "passed" if done.returncode == 0 else "FAILED"
    return Outcome(python, verdict, counts(report), time.monotonic() - began)


def counts(report: Path) -> str:
    """Return how many tests there were, from pytest's report."""
    if not report.is_file():
        return ""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        return ""
    parts = [f"{suite.get('tests')} tests"]
    parts += [
        f"{suite.get(kind)} {kind}" for kind in ("failures", "errors", "skipped") if suite.get(kind) != "0"
    ]
    return ", ".join(parts)


def main(arguments: list[str]) -> int:
    """Run the tests on all Pythons, print a table, and return 1 unless they passed on each."""
    outcomes = []
    for python in found():
        print(f"\nPython {python}, {python.path}", flush=True)
        outcomes.append(tried(python, arguments or _SUITE))
    print()
    for python, verdict, counted, seconds in outcomes:
        print(f"Python {python!s:8} {verdict:14} {seconds:6.0f} s  {counted}")
    return 0 if outcomes and all(outcome.verdict == "passed" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
