"""The attacks, carried out in sessions: python -m tests.sandbox.corpus DRIVER USER

DRIVER is ``bwrap``, ``landlock``, ``outer``, or ``none``: without a wall, to see that attacks come through.
USER is ``plain``, somebody without rights, or ``root``, who gives it up for each session. All of it happens
in a mount namespace of its own, and nothing is attacked before that, and who attacks, has been looked at.
Never as root without a wall. The outcome is a line of JSON.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.sandbox.sandbox import Driver

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SECRET = "host secret 8213"
USER = 40_000 + os.getpid() % 20_000
"""Another one each time: whoever has the same number may be looked into."""

_NEWNS, _NEWUSER, _BIND, _REC, _PRIVATE = 0x20000, 0x10000000, 0x1000, 0x4000, 0x40000
STAGE = Path("/tmp/clew-corpus")
_INSIDE = "CORPUS_MOUNTS"
_SECONDS = 20.0
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, place: str, kind: str | None, flags: int, data: str | None = None) -> None:
    given = [None if each is None else each.encode() for each in (source, place, kind)]
    if _libc.mount(*given, ctypes.c_ulong(flags), None if data is None else data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {place}")


def inside() -> str | None:
    """Return the mount namespace that we came from, or None if we have not entered another."""
    return os.environ.get(_INSIDE)


def enter(user: str, module: str = "tests.sandbox.corpus", **more: str) -> None:
    """Go on in a mount namespace of our own, as the user; the module starts anew there.

    ``more`` are folders that are to be seen there too, below :data:`STAGE` by their names.
    """
    before = os.readlink("/proc/self/ns/mnt")
    root = os.geteuid() == 0
    identity = os.geteuid(), os.getegid()
    if _libc.unshare(_NEWNS if root else _NEWNS | _NEWUSER):
        raise OSError(ctypes.get_errno(), "no namespace")
    if not root:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        for kind, number in zip(("uid", "gid"), identity, strict=True):
            Path(f"/proc/self/{kind}_map").write_text(f"{number} {number} 1", "ascii")
    _mount("none", "/", None, _REC | _PRIVATE)
    # What is shown may lie below a folder that the user can't enter.
    shown = {"python": sys.base_prefix, "repository": str(REPOSITORY), **more}
    found = {name: os.open(path, os.O_PATH) for name, path in shown.items()}
    _mount("corpus", "/tmp", "tmpfs", 0, "mode=1777,size=64m")
    for name, file in found.items():
        (STAGE / name).mkdir(parents=True)
        _mount(f"/proc/self/fd/{file}", str(STAGE / name), None, _BIND | _REC)
        os.close(file)
    # Not covered by what is laid out for a session: here only its walls hold.
    _mount("corpus", "/var/tmp", "tmpfs", 0, "mode=1777,size=1m")
    if Path("/mnt").is_dir():
        _mount("corpus", "/mnt", "tmpfs", 0, "mode=755,size=1m")
        Path("/mnt/data").symlink_to("/proc/self/cwd")
    if root and user == "plain":
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    repository = STAGE / "repository"
    packages = [repository, repository / "src", repository / ".venv" / "lib" / version / "site-packages"]
    environment = {
        "PYTHONPATH": ":".join(map(str, packages)),
        "LD_LIBRARY_PATH": str(STAGE / "python" / "lib"),
        "PATH": str(repository / ".venv" / "bin"),
        "CLEW_API_KEY": SECRET,
        _INSIDE: before,
    }
    program = str(STAGE / "python" / "bin" / version)
    os.chdir("/")
    os.execve(program, [program, "-B", "-m", module, *sys.argv[1:]], environment)


def _aims(folder: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """What there is to be reached, and whoever is there to be reached lets everybody in."""
    folder.chmod(0o777)
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    secret.chmod(0o666)
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    path, name = str(folder / "socket"), f"clew-corpus-{os.getpid()}"
    for address in (path, "\0" + name):
        made = stack.enter_context(socket.socket(socket.AF_UNIX))
        made.bind(address)
        made.listen()
    os.chmod(path, 0o777)
    number = _libc.shmget(os.getpid(), 16, 0o1666)
    stack.callback(_libc.shmctl, number, 0, None)
    return {
        "secret": SECRET,
        "file": str(secret),
        "folder": str(folder),
        "server": os.getpid(),
        "tcp": tcp.getsockname()[1],
        "socket": path,
        "abstract": name,
        "shm": os.getpid(),
    }


def look(process: int, mounts: str) -> None:
    """See to it that whoever attacks has no rights and mounts of its own.

    Raises:
        AssertionError: one of both isn't so.
    """
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    for kind in ("Uid:", "Gid:"):
        ids = next(line for line in status.splitlines() if line.startswith(kind)).split()[1:]
        assert "0" not in ids, f"attacks would be root's: {ids}"
    assert os.readlink(f"/proc/{process}/ns/mnt") != mounts, "mounts would be the machine's"


async def attack(kind: str, mounts: str) -> dict[str, str]:
    """Carry the attacks out; return what came of each."""
    from clew.sandbox.choosing import DRIVERS
    from tests.sandbox.attacks import ATTACKS, DEADLY

    source = (HERE / "attacks.py").read_text("utf-8").partition('if __name__ == "__main__"')[0]
    told: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        aims = _aims(folder, stack) | {"inside": "namespaces" if kind == "bwrap" else "none"}
        if kind == "none":
            return await _bare(aims, mounts)
        driver = await _outer() if kind == "outer" else DRIVERS[kind](None, Path("/"))
        session: Any = None
        for name in sorted(ATTACKS, key=lambda each: each in DEADLY):
            if session is None or session.over:
                session = await driver.start("attacked")
                look(session.pid, mounts)
                begun = await session.run(f"{source}\nAIMS.update({aims!r})", _SECONDS)
                assert not begun.raised, begun.logs
            ran = await session.run(f"attempt({name!r})", _SECONDS)
            told[name] = ran.logs.strip() if ran.ended is None else f"held {name} {ran.ended}"
        await driver.close()
        if (folder / "written").exists():
            told["daemon"] = "THROUGH daemon"
    return told


async def _outer() -> "Driver":
    """Return the driver for containers, which takes no process that has secrets."""
    from clew.sandbox.outer import Outer

    driver = Outer()
    refused = await driver.missing()
    assert refused is not None
    assert "CLEW_API_KEY" in refused
    del os.environ["CLEW_API_KEY"]
    assert await driver.missing() is None, await driver.missing()
    return driver


async def _bare(aims: dict[str, Any], mounts: str) -> dict[str, str]:
    look(os.getpid(), mounts)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(HERE / "attacks.py"), json.dumps(aims), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return {line.split()[1]: line for line in said.decode().splitlines() if " " in line}


def main() -> None:
    """Attack, in a namespace of our own."""
    kind, user = sys.argv[1:3]
    assert (kind, user) != ("none", "root"), "never without a wall as root"
    mounts = inside()
    if mounts is None:
        enter(user)
        return
    assert os.readlink("/proc/self/ns/mnt") != mounts, "no mount namespace of our own"
    assert (os.geteuid() == 0) == (user == "root"), f"we are {os.geteuid()}"
    print(json.dumps(asyncio.run(attack(kind, mounts))))


if __name__ == "__main__":
    main()
