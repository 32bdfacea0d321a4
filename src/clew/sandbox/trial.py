"""A sandbox tried before it is used: attacks that must fail, run inside as a model's code would be."""

import os
import socket
from collections.abc import Sequence
from typing import Protocol

from clew.sandbox.sandbox import SandboxTrouble, Session

_SECONDS = 10.0

_ATTACKS = """
import ctypes, os, socket
_libc = ctypes.CDLL(None, use_errno=True)

def _opened(name, flags=os.O_RDONLY):
    os.close(os.open(name, flags))

def _called(name, *given):
    if getattr(_libc, name)(*given) < 0:
        raise OSError(ctypes.get_errno(), name)

def _connected():
    with socket.socket() as made:
        made.settimeout(1)
        made.connect(("127.0.0.1", PORT))

def _environment():
    if any(name.startswith("CLEW") for name in os.environ):
        return
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{each}/environ", "rb") as said:
                if b"CLEW_" in said.read():
                    return
        except OSError:
            pass
    raise OSError

def _root():
    if 0 not in os.getresuid():
        raise OSError

_ATTACKS = {
    "read a file of the host": lambda: _opened(FILE),
    "read the host's passwords": lambda: _opened("/etc/shadow"),
    "connect to a port of the host": _connected,
    "send a signal to the server": lambda: os.kill(SERVER, 0),
    "trace the server": lambda: _called("ptrace", 16, SERVER, 0, 0),
    "mount": lambda: _called("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "make a namespace": lambda: _called("unshare", 0x10000000),
    "write to /proc/sys": lambda: _opened("/proc/sys/kernel/core_pattern", os.O_WRONLY),
    "write to /usr": lambda: _opened("/usr/lib/clew-trial", os.O_WRONLY | os.O_CREAT),
    "see the server's environment": _environment,
    "be root": _root,
    "go past the filter of system calls": lambda: _called("personality", 0x0040000),
}
for _name, _attack in _ATTACKS.items():
    if _name in OPEN:
        continue
    try:
        _attack()
    except Exception:
        pass
    else:
        print("BROKEN:", _name)
print("tried", len(_ATTACKS))
"""
_ALL_FAILED = "tried 12\n"


class Tried(Protocol):
    """A driver, as far as a trial goes."""

    @property
    def name(self) -> str:
        """What CLEW_SANDBOX calls it."""
        ...

    async def start(self, session: str) -> Session:
        """Start a session."""
        ...


async def trial(driver: Tried, unmade: Sequence[str] = ()) -> str | None:
    """Start a session, attack from inside; return what is wrong, if anything is.

    ``unmade`` are attacks that are not made: what the driver does not promise.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        aims = f"PORT, SERVER, FILE, OPEN = {port}, {os.getpid()}, {__file__!r}, {list(unmade)}"
        try:
            session = await driver.start("trial")
        except SandboxTrouble as trouble:
            return trouble.message
        try:
            ran = await session.run(f"{aims}\n{_ATTACKS}", _SECONDS)
        finally:
            await session.end()
    if ran.logs == _ALL_FAILED:
        return None
    return f"{driver.name} does not hold here: {ran.logs.strip()[:500]}"
