"""Becomes a session: a small process that gives up all it has, then becomes bwrap. Stands alone, as kernel.py.

The server starts it with a plan (JSON, its one argument) and the files that the plan names, no others. What is
done here can't be done in the server: it has threads, and must keep what this gives up.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys

CONTROL = 3
FIRST_UID = 200_000
"""Where the users of sessions begin when root starts them: this and the session's process, so that no two that
live have the same."""

_NEWNS, _NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 0x20000, 2, 4, 0x1000, 0x4000, 0x40000
_DEATHSIG, _NO_NEW_PRIVS = 1, 38
_STAGE = "/tmp"

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The system does not let us; the message says what is missing."""


def _mount(source, target, kind, flags, data=None):
    given = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    if _libc.mount(*given, ctypes.c_ulong(flags), None if data is None else data.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def stay_while(parent):
    """Die when the server does."""
    _libc.prctl(_DEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the server is gone")


def limit(limits):
    """Take the limits, each as soft and hard one; what is lower already stays."""
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def stage(binds, tools):
    """As root: lay all that the session is shown under one folder that its user can reach.

    The folder is seen by this process and its children alone. Without the right to do so, things stay where
    they lie, and the user must be able to reach them there.
    """
    if _libc.unshare(_NEWNS):
        return binds, tools
    _mount("none", "/", None, _REC | _PRIVATE)
    sources = [source for source, _ in binds] + tools
    found = [os.open(source, os.O_PATH) for source in sources]
    _mount("clew", _STAGE, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    places = []
    for number, (source, file) in enumerate(zip(sources, found, strict=True)):
        place = f"{_STAGE}/{number}"
        if os.path.isdir(f"/proc/self/fd/{file}"):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{file}", place, None, _BIND | _REC)
        os.close(file)
        places.append(place)
    return [[place, target] for place, (_, target) in zip(places, binds, strict=False)], places[len(binds) :]


def drop():
    """As root: become a user that nobody else is, for good."""
    user = FIRST_UID + os.getpid()
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError as error:
        raise Refused(f"can't become the user {user}: {error.strerror}") from error
    with contextlib.suppress(OSError):
        os.setresuid(0, 0, 0)
    if 0 in os.getresuid() or 0 in os.getresgid() or os.getgroups():
        raise Refused("root can't be given up")


def arrange(files):
    """Lay the files that the plan names from 10 on, the socket at its place, and close all others."""
    kept = {name: fcntl.fcntl(number, fcntl.F_DUPFD, 10) for name, number in files.items()}
    os.dup2(kept.pop("control"), CONTROL, inheritable=True)
    lowest = CONTROL + 1
    for number in sorted(kept.values()):
        os.closerange(lowest, number)
        lowest = number + 1
    os.closerange(lowest, 65536)
    return {name: str(number) for name, number in kept.items()}


def main(plan):
    """Do what the plan says; never returns."""
    stay_while(plan["parent"])
    os.umask(0o077)
    os.chdir("/")
    files = arrange(plan["files"])
    if plan["cgroup"]:
        with open(plan["cgroup"], "w") as joined:
            joined.write("0")
    binds, tools = plan["binds"], plan["tools"]
    if 0 in {os.geteuid(), os.getuid()}:
        binds, tools = stage(binds, tools)
        drop()
        stay_while(plan["parent"])
    os.nice(5)
    limit(plan["limits"])
    command = ["bwrap", *plan["before"]]
    for source, target in binds:
        command += ["--ro-bind", source, target]
    command += [files.get(each, each) for each in plan["after"]]
    os.execve(tools[0], command, {"LD_LIBRARY_PATH": tools[1]} if tools[1:] else {})


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (OSError, Refused) as failed:
        sys.exit(f"clew: {failed}")
