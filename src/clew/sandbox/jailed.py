"""What all drivers share whose sessions are processes of this machine: starting jail.py, and ending all."""

import asyncio
import os
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import NamedTuple

from clew.sandbox.group import Group, sweep
from clew.sandbox.interpreter import INSIDE, Interpreter, compiled, interpreter
from clew.sandbox.memory import watch
from clew.sandbox.output import Output
from clew.sandbox.sandbox import MOST_DISK
from clew.sandbox.session import KernelSession
from clew.sandbox.trial import trial
from clew.settings import bare_environment

KERNEL = "/opt/kernel.pyc"
"""Where the kernel lies for code."""

TEMPORARY = "/tmp"  # noqa: S108 - a folder of the session's own

_HERE = Path(__file__).parent
_JAIL = str(_HERE / "jail.py")

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
    "HOME": TEMPORARY,
    "TMPDIR": TEMPORARY,
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": f"{INSIDE}/lib",
    "MPLBACKEND": "module://clew_plots",
    "MPLCONFIGDIR": f"{TEMPORARY}/matplotlib",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""All that code sees of an environment."""


class Plan(NamedTuple):
    """How jail.py is to begin a session: what it becomes and how (the rest of its arguments), and files that
    those name. ``folder`` is one that is removed with the session."""

    kind: str
    arguments: list[str]
    files: dict[str, bytes]
    folder: Path | None = None


class Python(NamedTuple):
    """The Python of sessions, and our kernel as it takes it."""

    known: Interpreter
    kernel: bytes


class Jailed:
    """Sessions that are processes here. A driver says what they are walled off with."""

    name = ""

    def __init__(self, python: str | None = None) -> None:
        self._program = python or sys.executable
        self._bare = python is None
        self._python: Python | None = None
        self._sessions: set[KernelSession] = set()

    async def plan(self, python: Python) -> Plan:
        """Return how a session begins.

        Raises:
            SandboxTrouble: something is missing.
        """
        raise NotImplementedError

    async def start(self, session: str) -> KernelSession:
        """Start a session. See :class:`clew.sandbox.sandbox.Driver`."""
        if self._python is None:
            self._python = await self._find()
        plan = await self.plan(self._python)
        group = Group.made()
        try:
            started = await self._spawn(plan, group)
        except BaseException:
            await asyncio.to_thread(_remove, plan, group)
            raise
        self._sessions.add(started)
        started.watch(watch(started, group, plan.folder))
        try:
            await started.ready()
        except BaseException:  # whoever is called off knows of no session that he could end
            await started.end()
            raise
        return started

    async def close(self) -> None:
        """End all sessions."""
        await asyncio.gather(*(each.end() for each in list(self._sessions)))

    async def missing(self) -> str | None:
        """Try it. See :class:`clew.sandbox.sandbox.Driver`."""
        return await trial(self)

    async def _find(self) -> Python:
        await asyncio.to_thread(sweep)
        known = await interpreter(self._program)
        if self._bare:
            # The packages of the server's own Python are the server's.
            known = known.without_packages()
        return Python(known, await compiled(self._program, _HERE / "kernel.py", "/opt/kernel.py"))

    async def _spawn(self, plan: Plan, group: Group) -> KernelSession:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        files = {name: _memory_file(name, content) for name, content in plan.files.items()}
        output = Output(read)
        try:
            named = files | {"control": theirs.fileno()}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-B", _JAIL),
                *(str(os.getpid()), listed(named), group.door, plan.kind, *plan.arguments),
                stdin=DEVNULL,
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
            theirs.close()
            for file in (write, *files.values()):
                os.close(file)
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            process.kill()
            output.close()
            ours.close()
            raise

        def gone(session: KernelSession) -> None:
            self._sessions.discard(session)
            _remove(plan, group)

        return KernelSession(process, reader, writer, output, group.full, gone)


def _remove(plan: Plan, group: Group) -> None:
    group.remove()
    if plan.folder is not None:
        shutil.rmtree(plan.folder, ignore_errors=True)


def kernel_command(known: Interpreter) -> list[str]:
    """Return the command that runs our kernel inside."""
    return [known.program, "-I", "-S", "-B", KERNEL, listed(INNER_LIMITS), *known.inside_packages()]


def listed(numbers: dict[str, int]) -> str:
    """Return numbers as jail.py and kernel.py take them."""
    return ",".join(f"{name}={number}" for name, number in numbers.items())


def _memory_file(name: str, content: bytes) -> int:
    """Return a file without a name that holds some bytes, at its begin."""
    file = os.memfd_create(name)
    with open(file, "wb", closefd=False) as writer:
        writer.write(content)
    os.lseek(file, 0, os.SEEK_SET)
    return file
