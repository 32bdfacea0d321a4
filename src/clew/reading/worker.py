"""The process that reads one file: ``worker.py text KIND`` or ``worker.py image LONGEST``, the file on stdin.

Started by its path, without a path of imports and without an environment. It limits itself before it imports
anything that parses, answers as :mod:`clew.reading.formats.out` says, and ends.

On Linux it has 1 GiB of addresses, 60 seconds of processor, 64 open files, no file that it may write and no
core dump. macOS knows those limits, but holds a process to the memory only sometimes; Windows has none of
them, so that there only the parent's limit of time holds.
"""

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

MEMORY = 1 << 30  # bytes
CPU = 60  # seconds
LIFE = 100  # seconds, if the parent is not there to end it after fewer
_HEAD = 1024
_NICE = 5  # a third of the weight of those who answer requests

_READERS = {
    "text": ("plain", "read"),
    "html": ("html", "read"),
    "pdf": ("pdf", "read"),
    "docx": ("office", "read_document"),
    "pptx": ("office", "read_slides"),
    "xlsx": ("xlsx", "read"),
    "epub": ("epub", "read"),
}


def limit() -> None:
    """Have the operating system hold this process to its limits, and prefer the server to it.

    Raises:
        OSError: on Linux, that it can't.
    """
    if sys.platform == "win32":
        return
    import resource

    os.nice(_NICE)
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    wanted = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: CPU,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        hard = resource.getrlimit(what)[1]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # A second more before the signal that nothing tells from a stranger's.
        bounds = (soft, soft + 1) if what == resource.RLIMIT_CPU and hard != soft else (soft, soft)
        with suppress(*(() if sys.platform == "linux" else (OSError, ValueError))):
            resource.setrlimit(what, bounds)
    signal.setitimer(signal.ITIMER_REAL, LIFE)


def private_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of libraries that print."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(pipe, "wb")


def find_clew() -> None:
    """Make the readers importable, and only them: their folder is on no path when this returns."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    importlib.import_module("clew.reading.formats")
    del sys.path[0]


def read(task: str, argument: str, file: BinaryIO, out: Any) -> None:
    """Read the file, to the end of what is to be said.

    Raises:
        Refused: it can't be read.
    """
    refused = importlib.import_module("clew.reading.formats.out").Refused
    if not (head := file.peek(_HEAD)):  # type: ignore[attr-defined]
        raise refused("invalid_file", "The file is empty.")
    if task == "image":
        importlib.import_module("clew.reading.formats.picture").read(file, int(argument), out)
        return
    found = importlib.import_module("clew.reading.kinds").contradiction(argument, head[:_HEAD])
    if found:
        raise refused("invalid_file", f"The file's name says otherwise, but it is {found}.")
    module, function = _READERS[argument]
    getattr(importlib.import_module(f"clew.reading.formats.{module}"), function)(file, out)
    out.end()


def main() -> None:
    """Read, answer, and leave without ceremony."""
    pipe = private_stdout()
    limit()
    find_clew()
    formats = importlib.import_module("clew.reading.formats.out")
    out = formats.Out(pipe)
    try:
        read(sys.argv[1], sys.argv[2], sys.stdin.buffer, out)
    except formats.Refused as refused:
        out.refuse(refused.code, refused.message)
    except MemoryError:
        out.refuse("invalid_file", "The file is damaged, or needs more memory to read than it gets.")
    except ImportError as error:
        out.refuse("server_error", f"The server lacks {error.name}: it comes with clew[files].")
    except BaseException:  # among them the panics of Rust, which are no Exception
        out.refuse("invalid_file", "The file is damaged, or is not of the type that its name says.")
    pipe.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
