"""How many files and sockets a process may have open."""

import contextlib

MOST = 65_536
"""Files that are asked for, at most."""


def raise_file_limit() -> int:
    """Let this process open as many files as the system allows it; return how many.

    Systems begin with 1,024 or 256 for programs that can't count further; each connection is a file.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit for sockets
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
