"""Sessions in a container that is the sandbox: gVisor, Kata, or whatever else its operator trusts.

Nothing but a filter of system calls, limits and, where it starts as root, a user of its own stands between
code and the process that runs it; so that process is a code worker, knows next to nothing, and has one
session. docs/sandbox.md tells what the container has to bring.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

from clew.sandbox import seccomp
from clew.sandbox.jailed import LIMITS, Jailed, Plan, Python, listed
from clew.sandbox.landlock import LINK, folder_plan, linked
from clew.sandbox.sandbox import DATA, SandboxTrouble
from clew.sandbox.trial import trial
from clew.settings import foreign_secrets, named_secret_files

_SET_DUMPABLE = 4
_OPEN = ("read a file of the host",)
_OPEN_TO_SELF = ("send a signal to the server",)
"""Attacks that come through by design: what is outside here is the container, that has nothing else."""


class Outer(Jailed):
    """See :class:`clew.sandbox.sandbox.Driver`. ``python`` is the program that sessions run."""

    name = "outer"

    async def plan(self, python: Python) -> Plan:
        """Return how a session begins."""
        if not linked():
            raise SandboxTrouble(f"{DATA} must lead to a session's folder; run: ln -s {LINK} {DATA}")
        folder = Path(tempfile.mkdtemp(prefix="clew-session-"))
        pairs = folder_plan(python.known, folder)
        if os.geteuid() == 0:
            _open_to_all(folder)
        files = {"seccomp": seccomp.program(alone=True), "kernel": python.kernel}
        return Plan("outer", [listed(LIMITS), *pairs], files, folder)

    async def missing(self) -> str | None:
        """Refuse where code could find a secret; then try it."""
        if found := foreign_secrets():
            return f"outer is for processes without secrets, this one has {', '.join(found)}"
        if os.geteuid() == 0:
            return await trial(self, _OPEN)
        if files := named_secret_files():
            return (
                f"code would run as the user that reads {', '.join(files)}: give it as a variable, or start "
                "as root, which sessions give up"
            )
        # Else its memory and environment would be the code's, which is of the same user.
        if sys.platform != "linux" or ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0):
            return "this process can't be closed to others of its user"
        return await trial(self, _OPEN + _OPEN_TO_SELF)


def _open_to_all(folder: Path) -> None:
    """Let the session's user, whom nobody knows yet, write where it may."""
    folder.chmod(0o711)
    for each in ("data", "tmp"):
        (folder / each).chmod(0o777)
