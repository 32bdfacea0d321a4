"""How Deno is found and started: without a permission, besides to read what Pyodide consists of."""

import importlib
import os
import shutil
from pathlib import Path

from msgspec import Struct

from clew.settings import bare_environment

HERE = Path(__file__).parent
_RELAY, _RUNNER = HERE / "relay.js", HERE / "runner.js"
_MOST_WASM_PAGES = 8192
"""Of 64 KiB: the memory of Python itself, 512 MB."""
_MOST_HEAP = 128
"""MB of JavaScript's objects in a thread; files are not among them."""


_CLOSED = (
    "--no-prompt",
    "--no-remote",
    "--no-npm",
    "--no-config",
    "--no-lock",
    "--no-code-cache",
    "--cached-only",
    "--quiet",
    "--deny-write",
    "--deny-net",
    "--deny-env",
    "--deny-run",
    "--deny-ffi",
    "--deny-sys",
    "--deny-import",
)


def find_deno() -> str | None:
    """Return the path of Deno: the package's that Clew's extra brings, or the one on the path, if any."""
    try:
        return os.fsdecode(importlib.import_module("deno").find_deno_bin())
    except (ImportError, AttributeError, OSError):
        return shutil.which("deno")


class Wall(Struct, frozen=True):
    """Deno as it is started for a session: every permission denied, and its denial said.

    What is said can't be allowed by an environment, a file or a prompt.
    """

    deno: str
    folder: Path
    """Pyodide's; absolute."""

    @property
    def image(self) -> Path:
        """Where the memory of a Python that has just started is kept."""
        return self.folder / "started.image"

    def command(self) -> list[str]:
        """Return the command. It may read Pyodide and the program that runs it, and do nothing else."""
        readable = ",".join(str(path).replace(",", ",,") for path in (self.folder, _RUNNER))
        flags = f"--wasm-max-mem-pages={_MOST_WASM_PAGES},--max-old-space-size={_MOST_HEAP}"
        return [self.deno, "run", *_CLOSED, f"--allow-read={readable}", f"--v8-flags={flags}", str(_RELAY)]

    def environment(self) -> dict[str, str]:
        """Return all that Deno is told of its surroundings: what it allows without any permission is closed.

        Caches that programs ask for (``caches.open``) would lie on the disk, and one session would find what
        another has left: they get no folder. The graphics card's driver is large and trusting: there is none.
        """
        closed = {"DENO_DIR": os.path.join(os.devnull, "none"), "DENO_WEBGPU_BACKEND": "none"}
        return bare_environment() | closed | {"NO_COLOR": "1"}

    def places(self) -> dict[str, str]:
        """Return where the runner finds Pyodide, as a path as an address, and the image if there is one."""
        image = str(self.image) if self.image.exists() else ""
        return {"folder": str(self.folder), "url": self.folder.as_uri(), "image": image}
