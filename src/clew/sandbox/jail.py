"""Becomes a session: a small process that gives up all it has, then becomes bwrap. Stands alone.

The server starts it with a plan and the files that the plan names, no others. What is done here can't be done
in the server: it has threads, and must keep what this gives up.
"""

import ctypes
import fcntl
import os
import resource
import struct
import sys

CONTROL = 3
FIRST_UID = 200_000
"""Where the users of sessions begin when root starts them: this plus the number of the session's process, so
no two that live have the same."""

_NEWNS, _NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 0x20000, 2, 4, 0x1000, 0x4000, 0x40000
_DEATHSIG, _SECCOMP, _NO_NEW_PRIVS, _KILL = 1, 22, 38, 9
_STAGE = "/tmp"  # noqa: S108 - a mount of our own

# Landlock: its calls, and what of it there is by its version 6.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ALL_FILES, _ALL_PORTS, _ALL_SCOPES = 0xFFFF, 3, 3
_READ = 0x1 | 0x4 | 0x8  # execute, read a file, read a folder
_WRITE = 0x2 | 0x10 | 0x20 | 0x80 | 0x100 | 0x1000 | 0x2000 | 0x4000  # no devices, sockets or pipes
_ON_FILES = 0x1 | 0x2 | 0x4 | 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The system does not let us; the message says what is missing."""


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    given = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    if _libc.mount(*given, ctypes.c_ulong(flags), None if data is None else data.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def stay_while(parent: int) -> None:
    """Die when the server does. To become somebody else ends that, so it is said again."""
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


def show(found: list[int], places: list[str]) -> None:
    """Lay open files and folders where they are to be seen."""
    for file, place in zip(found, places, strict=True):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            os.makedirs(place, 0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{file}", place, None, _BIND | _REC)
        os.close(file)


def stage(command: list[str], tools: list[str]) -> None:
    """As root: lay all that bwrap is to show under one folder that the session's user can reach.

    The folder is seen by this process and its children alone. Without the right to do so, things stay where
    they lie, and the user must be able to reach them there.
    """
    if _libc.unshare(_NEWNS):
        return
    _mount("none", "/", None, _REC | _PRIVATE)
    shown = [at + 1 for at, each in enumerate(command) if each == "--ro-bind"]
    found = [os.open(source, os.O_PATH) for source in [command[at] for at in shown] + tools]
    _mount("clew", _STAGE, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    places = [f"{_STAGE}/{number}" for number, _ in enumerate(found)]
    show(found, places)
    tools[:] = places[len(shown) :]
    for at, place in zip(shown, places):  # noqa: B905 - the rest are the tools
        command[at] = place


def drop(parent: int) -> None:
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
    stay_while(parent)


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


def bubblewrap(parent: int, named: dict[str, str], limits: str, tools: str, *rest: str) -> None:
    """Become bwrap, with a command in which files have names."""
    programs, command = tools.split(":"), list(rest)
    if is_root():
        stage(command, programs)
        drop(parent)
    os.nice(5)
    limit(numbers(limits))
    environment = {"LD_LIBRARY_PATH": programs[1]} if programs[1:] else {}
    os.execve(programs[0], ["bwrap", *(named.get(each, each) for each in command)], environment)


def landlock(parent: int, named: dict[str, str], walled: bool, limits: str, *rest: str) -> None:
    """Become the kernel of cells, with a filter and, if it is to be ``walled``, Landlock for walls.

    What follows are pairs: ``folder A:BYTES`` makes one in memory, ``show A:B`` lays a file where it is to be
    seen, ``hide A`` covers a folder (these three as root only), ``read A`` and ``write A`` allow, ``set A=B``
    is the environment, ``kernel A`` where the kernel is to lie, ``stand A`` the folder to stand in; then
    ``run`` and the command.
    """
    end = rest.index("run")
    pairs = list(zip(rest[:end:2], rest[1:end:2], strict=True))
    said = {kind: [value for each, value in pairs if each == kind] for kind in dict(pairs)}
    if is_root() and walled:
        lay_out(said["folder"], said["show"], said.get("hide", []))
    (place,) = said["kernel"]
    with open(place, "wb") as made, open(int(named["kernel"]), "rb") as source:
        made.write(source.read())
    os.chmod(place, 0o644)
    os.chdir(said["stand"][0])
    if is_root():
        drop(parent)
    os.nice(5)
    limit(numbers(limits))
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    if walled:
        wall_off(said["read"] + said["kernel"], said["write"])
    with open(int(named["seccomp"]), "rb") as source:
        refuse(source.read())
    command = list(rest[end + 1 :])
    os.execve(command[0], command, dict(each.split("=", 1) for each in said["set"]))


def lay_out(folders: list[str], shown: list[str], hidden: list[str]) -> None:
    """As root: make folders and lay files out as bwrap would, seen by this process alone."""
    if _libc.unshare(_NEWNS):
        raise Refused(
            "root must be able to mount (CAP_SYS_ADMIN) to lay sessions out; or start as another user"
        )
    _mount("none", "/", None, _REC | _PRIVATE)
    found = [os.open(each.partition(":")[0], os.O_PATH) for each in shown]
    for each in folders:
        place, _, size = each.partition(":")
        os.makedirs(place, 0o755, exist_ok=True)
        _mount("clew", place, "tmpfs", _NOSUID | _NODEV, f"mode=1777,size={size}")
    show(found, [each.partition(":")[2] for each in shown])
    for place in hidden:
        _mount("clew", place, "tmpfs", _NOSUID | _NODEV, "mode=755,size=4096")


def wall_off(read: list[str], write: list[str]) -> None:
    """Give up all files but these, all ports, and signals and sockets to whoever is outside."""
    rules = struct.pack("=QQQ", _ALL_FILES, _ALL_PORTS, _ALL_SCOPES)
    ruleset = _libc.syscall(_CREATE, rules, len(rules), 0)
    if ruleset < 0:
        raise Refused("this kernel has no Landlock of version 6 (Linux 6.12)")
    for allowed, places in ((_READ, read), (_READ | _WRITE, write)):
        for place in places:
            file = os.open(place, os.O_PATH | os.O_CLOEXEC)
            right = allowed if os.path.isdir(place) else allowed & _ON_FILES
            if _libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", right, file), 0):
                raise Refused(f"Landlock does not take {place}")
            os.close(file)
    if _libc.syscall(_RESTRICT, ruleset, 0):
        raise Refused("Landlock does not take effect")
    os.close(ruleset)


def refuse(program: bytes) -> None:
    """Put a filter of system calls in force."""
    text = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(text))
    if _libc.prctl(_SECCOMP, 2, given, 0, 0):
        raise Refused("the filter of system calls does not take effect")


def is_root() -> bool:
    """Whether we are root in any way."""
    return 0 in {os.geteuid(), os.getuid()}


def main(parent: str, files: str, group: str, kind: str, *rest: str) -> None:
    """Become a session; never returns."""
    stay_while(int(parent))
    os.umask(0o022)
    os.chdir("/")
    named = arrange(numbers(files))
    if group:
        file = os.open(group, os.O_WRONLY)
        os.write(file, b"0")
        os.close(file)
    if kind == "bwrap":
        bubblewrap(int(parent), named, *rest)
    landlock(int(parent), named, kind == "landlock", *rest)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, Refused) as failed:
        sys.exit(f"clew: {failed}")
