"""A container engine in small, for machines without one: enough to run what the files in ``deploy`` say.

A container here is a root file system of its own (an overlay above this machine's, read-only where the file
says so, with the file's volumes, tmpfs and secrets), the user, capabilities and environment that the file
says, and the file's command. All containers of a machine share one network, where nothing but they listen: so
ports are those of the files. It needs Linux and root. What it is not: another distribution's files, limits of
memory or processors, seccomp, namespaces of processes and users.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.wait import until

_TOOLS = ("unshare", "nsenter", "setpriv", "chroot", "mount", "ip")
BASE_PATH = f"{Path(sys.base_prefix) / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the base's python would be, then what every base has."""

SHOWN = 3000


@dataclass
class Image:
    """Folders that lie above this machine's files, the first one on top, and how a container begins."""

    layers: list[Path] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    user: str = "0:0"
    folder: str = "/"
    health: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mount:
    """Something of this machine, or an empty tmpfs, at a place of a container."""

    target: str
    source: Path | None = None
    options: str = ""

    def script(self, root: Path) -> str:
        """Return the lines of a shell that mount it."""
        # a place may lie behind a link, which leads elsewhere outside
        lines = [f'place="{root}$(chroot {root} realpath -m {shlex.quote(self.target)})"']
        if self.source is None:
            lines += ['mkdir -p "$place"', f'mount -t tmpfs -o {shlex.quote(self.options)} tmpfs "$place"']
        elif self.source.is_dir():
            lines += ['mkdir -p "$place"', f'mount --bind {shlex.quote(str(self.source))} "$place"']
        else:
            lines += ['mkdir -p "$(dirname "$place")"', 'touch "$place"']
            lines += [f'mount --bind {shlex.quote(str(self.source))} "$place"']
        return "\n".join(lines) + "\n"


def obstacle() -> str | None:
    """Return why containers can't run here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root of a Linux machine may lay out a container's file system"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"there is no {missing[0]} here"
    with open_folder() as folder:
        command = ["unshare", "--mount", "--net", "sh", "-euc", layout(folder, [])]
        probe = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"overlays can't be mounted here: {probe.stderr[:200]}"


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may pass through."""
    with tempfile.TemporaryDirectory(prefix="clew-deploy-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def layout(folder: Path, layers: Sequence[Path], *, keep: Path | None = None) -> str:
    """Return a shell's lines that lay out a root at ``folder/root``; what is written stays in ``keep``."""
    root, over = folder / "root", folder / "over"
    top, work = (keep, keep.with_name(f"{keep.name}-work")) if keep else (over / "top", over / "work")
    lines = [
        "mount --make-rprivate /",
        f"mkdir -p {root} {over}",
        f"mount -t tmpfs tmpfs {over}",
        f"mkdir -p {top} {work} {over}/layer",
        # an overlay takes no layer that lies in another one
        *(f"cp -a {layer}/. {over}/layer/" for layer in reversed(layers)),
        f"mount -t overlay -o lowerdir={over}/layer:/,upperdir={top},workdir={work} overlay {root}",
        *(f"mount --rbind /{name} {root}/{name}" for name in ("proc", "dev", "sys")),
    ]
    return "\n".join(lines) + "\n"


def as_user(user: str, *, confined: bool) -> list[str]:
    """Return the beginning of a command that runs as a user; confined: without any capability, for good."""
    uid, _, gid = user.partition(":")
    command = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return [*command, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"] if confined else command


def environment(variables: Mapping[str, str]) -> list[str]:
    """Return the beginning of a command that has these variables and no others."""
    return ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]


class Container:
    """A process in a root of its own."""

    def __init__(
        self,
        image: Image,
        mounts: Sequence[Mount],
        folder: Path,
        network: int,
        *,
        read_only: bool,
        confined: bool,
    ) -> None:
        self._image = image
        user = as_user(image.user, confined=confined)
        self._log = folder / "log"
        root = folder / "root"
        script = layout(folder, image.layers) + "".join(mount.script(root) for mount in mounts)
        if read_only:
            script += f"mount -o remount,ro {root}\n"
        self._inside = ["env", f"--chdir={image.folder}", *user, *environment(image.environment)]
        script += f"exec chroot {root} {shlex.join([*self._inside, *image.entrypoint, *image.command])}\n"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["nsenter", f"--target={network}", "--net", "unshare", "--mount", "sh", "-euc", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as ``docker exec`` does."""
        enter = ["nsenter", f"--target={self._process.pid}", "--mount", "--net", "--root"]
        whole = [*enter, *self._inside, *command]
        return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)

    def wait_healthy(self) -> None:
        """Return when its health check says so."""
        try:
            until(self.is_healthy, timeout=30)
        except AssertionError as error:
            error.add_note(f"{self.run(*self._image.health)}\n{self.log[-SHOWN:]}")
            raise

    def is_healthy(self) -> bool:
        """Whether its health check says so; it must still run."""
        assert self._process.poll() is None, f"it ended with {self._process.returncode}:\n{self.log[-SHOWN:]}"
        return self.run(*self._image.health).returncode == 0

    def wait(self, timeout: float = 60) -> int:
        """Return its exit code once it has ended."""
        return self._process.wait(timeout)

    def stop(self, patience: float = 30) -> int:
        """Ask it to end, as ``docker stop`` does; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it took longer, and was killed.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
