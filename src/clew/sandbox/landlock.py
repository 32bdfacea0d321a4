"""Sessions behind Landlock: one process without a network, that sees a few files and can start no other.

Weaker than bubblewrap, as docs/sandbox.md tells: no namespaces, so it is used only where it is named. As
root, folders in memory are laid out for it before root is given up. As another user nothing can be, so
``/mnt/data`` must be there: a link to ``/proc/self/cwd``, which for each session is its own folder.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from clew.sandbox import seccomp
from clew.sandbox.interpreter import Interpreter, system_libraries
from clew.sandbox.jailed import (
    ENVIRONMENT,
    KERNEL,
    LIMITS,
    TEMPORARY,
    Jailed,
    Plan,
    Python,
    kernel_command,
    listed,
)
from clew.sandbox.sandbox import DATA, MOST_DISK, SandboxTrouble

_TEMPORARY_SIZE = 64 * 1024 * 1024
LINK = "/proc/self/cwd"
"""What /mnt/data is where nothing can be mounted: for each session its own folder."""

_FOLDER = "clew-session-"
_READ = ("/dev/urandom", "/dev/random", "/dev/zero")
_WRITE = ("/dev/null",)


class Landlock(Jailed):
    """See :class:`clew.sandbox.sandbox.Driver`. ``python`` is the program that sessions run."""

    name = "landlock"

    async def plan(self, python: Python) -> Plan:
        """Return how a session begins."""
        if sys.platform != "linux":
            raise SandboxTrouble("Landlock is Linux'.")
        files = {"seccomp": seccomp.program(alone=True), "kernel": python.kernel}
        if os.geteuid() == 0:
            return Plan("landlock", _as_root(python.known), files)
        if not linked():
            raise SandboxTrouble(f"{DATA} must lead to a session's folder; run: sudo ln -s {LINK} {DATA}")
        folder = await asyncio.to_thread(_new_folder)
        return Plan("landlock", [listed(LIMITS), *folder_plan(python.known, folder)], files, folder)


def _new_folder() -> Path:
    """A folder for a session; those of servers that were killed go."""
    for each in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = each.name.removeprefix(_FOLDER).partition("-")[0]
        if not os.path.exists(f"/proc/{owner}") and each.stat().st_uid == os.getuid():
            shutil.rmtree(each, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))


def linked() -> bool:
    """Whether :data:`DATA` leads to the folder that a session stands in."""
    return os.path.islink(DATA) and os.readlink(DATA) == LINK


def _as_root(known: Interpreter) -> list[str]:
    """All lies where it does behind bubblewrap."""
    pairs = [("folder", f"{place}:1m") for place in ("/opt", "/mnt")]
    pairs += [("folder", f"{DATA}:{MOST_DISK}"), ("folder", f"{TEMPORARY}:{_TEMPORARY_SIZE}")]
    pairs += [("show", f"{outside}:{inside}") for outside, inside in known.binds()]
    pairs += [("hide", each) for each in known.hidden()]
    pairs += [("set", f"{name}={value}") for name, value in ENVIRONMENT.items()]
    pairs += [("read", "/opt"), ("write", DATA), ("write", TEMPORARY), ("kernel", KERNEL), ("stand", DATA)]
    return [listed(LIMITS), *_flat(pairs + _system()), "run", *kernel_command(known)]


def folder_plan(known: Interpreter, folder: Path) -> list[str]:
    """Return the plan where nothing can be mounted: all lies where it is, and the folder gets one for files,
    one for what is passing, and the kernel."""
    data, passing, kernel = folder / "data", folder / "tmp", folder / "kernel.pyc"
    data.mkdir()
    passing.mkdir()
    own = {"HOME": passing, "TMPDIR": passing, "MPLCONFIGDIR": passing / "matplotlib"}
    shared = known.shared()
    if shared is not None:
        own["LD_LIBRARY_PATH"] = shared.parent
    pairs = [("set", f"{name}={value}") for name, value in (ENVIRONMENT | own).items()]
    pairs += [("read", outside) for outside, _ in known.binds()]
    pairs += [("write", str(data)), ("write", str(passing)), ("kernel", str(kernel)), ("stand", str(data))]
    # No limit of processes inside: the user's others would count too, and this one starts none. Memory
    # bounds its threads.
    no_limits = ""
    command = [known.executable, "-I", "-S", "-B", str(kernel), no_limits, *known.packages]
    return [*_flat(pairs + _system()), "run", *command]


def _system() -> list[tuple[str, str]]:
    shown, _ = system_libraries()
    found = [("read", outside) for outside, _ in shown]
    return found + [("read", each) for each in _READ] + [("write", each) for each in _WRITE]


def _flat(pairs: list[tuple[str, str]]) -> list[str]:
    return [each for pair in pairs for each in pair]
