"""Becomes a session: a small process that gives up all it has, then becomes bwrap. Stands alone.

The server starts it with a plan and the files that the plan names, no others. What is done here can't be done
in the server: it has threads, and must keep what this gives up.
"""

import ctypes
import fcntl
import os
import resource
import sys

CONTROL = 3
FIRST_UID = 200_000
"""Where the users of sessions begin when root starts them: this plus the number of the session's process, so
no two that live have the same."""

_NEWNS, _NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 0x20000, 2, 4, 0x1000, 0x4000, 0x40000
_DEATHSIG, _KILL = 1, 9
_STAGE = "/tmp"  # noqa: S108 - a mount of our own

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The system does not let us; the message says what is missing."""


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    given = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    if _libc.mount(*given, ctypes.c_ulong(flags), None if data is None else data.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def stay_while(parent: int) -> None:
    """Die when the server does."""
    _libc.prctl(_DEATHSIG, _KILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the server is gone")


def limit(limits: dict[str, int]) -> None:
    """Take the limits, each as soft and hard one; what is lower already stays."""
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def stage(command: list[str], tools: list[str]) -> None:
    """As root: lay all that the session is shown under one folder that its user can reach.

    The folder is seen by this process and its children alone. Without the right to do so, things stay where
    they lie, and the user must be able to reach them there.
    """
    if _libc.unshare(_NEWNS):
        return
    _mount("none", "/", None, _REC | _PRIVATE)
    shown = [at + 1 for at, each in enumerate(command) if each == "--ro-bind"]
    found = [os.open(source, os.O_PATH) for source in [command[at] for at in shown] + tools]
    _mount("clew", _STAGE, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    places = []
    for number, file in enumerate(found):
        place = f"{_STAGE}/{number}"
        if os.path.isdir(f"/proc/self/fd/{file}"):
            os.mkdir(place, 0o755)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{file}", place, None, _BIND | _REC)
        os.close(file)
        places.append(place)
    tools[:] = places[len(shown) :]
    for at, place in zip(shown, places):  # noqa: B905 - the rest are the tools
        command[at] = place


def drop() -> None:
    """As root: become a user that nobody else is, for good."""
    user = FIRST_UID + os.getpid()
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError as error:
        raise Refused(f"can't become the user {user}: {error.strerror}") from error
    try:
        os.setresuid(0, 0, 0)
    except OSError:
        pass
    if 0 in os.getresuid() or 0 in os.getresgid() or os.getgroups():
        raise Refused("root can't be given up")


def arrange(files: dict[str, int]) -> dict[str, str]:
    """Lay the files that the plan names from 10 on, the socket at its place, and close all others."""
    kept = {name: fcntl.fcntl(number, fcntl.F_DUPFD, 10) for name, number in files.items()}
    os.dup2(kept.pop("control"), CONTROL, inheritable=True)
    lowest = CONTROL + 1
    for number in sorted(kept.values()):
        os.closerange(lowest, number)
        lowest = number + 1
    os.closerange(lowest, 65536)
    return {name: str(number) for name, number in kept.items()}


def numbers(text: str) -> dict[str, int]:
    """Return what ``name=number,name=number`` says."""
    return {name: int(number) for name, _, number in (each.partition("=") for each in text.split(","))}


def main(parent: str, files: str, limits: str, cgroup: str, tools: str, *rest: str) -> None:
    """Become ``tools``'s first, with a command in which files have names; never returns."""
    stay_while(int(parent))
    os.umask(0o022)
    os.chdir("/")
    named, programs, command = arrange(numbers(files)), tools.split(":"), list(rest)
    if cgroup:
        file = os.open(cgroup, os.O_WRONLY)
        os.write(file, b"0")
        os.close(file)
    if 0 in {os.geteuid(), os.getuid()}:
        stage(command, programs)
        drop()
        stay_while(int(parent))
    os.nice(5)
    limit(numbers(limits))
    environment = {"LD_LIBRARY_PATH": programs[1]} if programs[1:] else {}
    os.execve(programs[0], ["bwrap", *(named.get(each, each) for each in command)], environment)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, Refused) as failed:
        sys.exit(f"clew: {failed}")
