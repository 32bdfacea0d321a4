"""The Python that sessions run: where its parts lie, and what of the system it needs."""

import os
import sysconfig
from pathlib import Path

import msgspec
from msgspec import Struct

from clew.sandbox.sandbox import SandboxTrouble
from clew.sandbox.started import output_of

INSIDE = "/opt/python"
"""Where it lies for code; nothing tells where it does outside."""

_SECONDS = 20.0
_COMPILE = """
import importlib.util, marshal, sys
code = compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[2], "exec")
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
"""
_ASK = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "version": list(sys.version_info[:2]),
    "base": sys.base_prefix,
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "library": sysconfig.get_config_var("LDLIBRARY") or "",
    "libraries": [each for each in (sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib") if each],
    "standard": sorted({sysconfig.get_path(each, vars={"base": sys.base_prefix, "platbase": sys.base_prefix,
        "installed_base": sys.base_prefix, "installed_platbase": sys.base_exec_prefix})
        for each in ("stdlib", "platstdlib")}),
    "packages": sorted({paths["purelib"], paths["platlib"]}) if sys.prefix != sys.base_prefix else [],
}))
"""


class Interpreter(Struct, frozen=True):
    """What a Python says of itself; paths outside. ``packages`` only if it is that of a venv."""

    version: tuple[int, int]
    base: str
    executable: str
    library: str
    libraries: list[str]
    standard: list[str]
    packages: list[str]

    @property
    def program(self) -> str:
        """Where its program lies for code."""
        return f"{INSIDE}/bin/python{self.version[0]}.{self.version[1]}"

    def binds(self) -> list[tuple[str, str]]:
        """Return what is to be shown inside: the place outside, and the place inside."""
        shown = [(str(Path(self.executable).resolve()), self.program)]
        shown += [(each, f"{INSIDE}/{Path(each).relative_to(self.base)}") for each in self.standard]
        shared = self.shared()
        if shared is not None:
            shown.append((str(shared), f"{INSIDE}/lib/{shared.name}"))
        return shown + list(zip(self.packages, self.inside_packages(), strict=True))

    def shared(self) -> Path | None:
        """Return its shared library, if it has one. A Python that was moved names a folder that is none."""
        for each in self.libraries if ".so" in self.library else []:
            place = os.path.join(each, self.library)
            if os.path.isfile(place):
                return Path(place).resolve()
        return None

    def without_packages(self) -> "Interpreter":
        """Return the same without what was installed for it."""
        return msgspec.structs.replace(self, packages=[])

    def inside_packages(self) -> list[str]:
        """Return where its packages lie for code."""
        return [f"{INSIDE}/packages/{number}" for number, _ in enumerate(self.packages)]

    def hidden(self) -> list[str]:
        """Return the folders inside whose content is none of code's business: the base's own packages."""
        names = ("site-packages", "dist-packages")
        return [
            f"{INSIDE}/{Path(each).relative_to(self.base)}/{name}"
            for each in self.standard
            for name in names
            if (Path(each) / name).is_dir()
        ]


async def interpreter(program: str) -> Interpreter:
    """Ask a Python about itself.

    Raises:
        SandboxTrouble: it doesn't answer as one does, or is too old.
    """
    try:
        said = await output_of([program, "-I", "-c", _ASK], _SECONDS)
        known = msgspec.json.decode(said, type=Interpreter)
    except (OSError, msgspec.MsgspecError) as error:
        raise SandboxTrouble(f"{program} is no Python that sessions can run: {error}") from error
    if known.version < (3, 9):
        raise SandboxTrouble(f"{program} is older than Python 3.9.")
    return known


async def compiled(program: str, source: Path, name: str) -> bytes:
    """Return a file of Python, compiled by a Python that will run it; ``name`` is what tracebacks call it.

    Raises:
        SandboxTrouble: it does not compile.
    """
    made = await output_of([program, "-I", "-S", "-c", _COMPILE, str(source), name], _SECONDS)
    if not made:
        raise SandboxTrouble(f"{program} can't compile the kernel.")
    return made


def system_libraries() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return what of the system is shown (outside, inside), and links to make (to what, where)."""
    shown, links = [], []
    kind = str(sysconfig.get_config_var("MULTIARCH") or "none")
    for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64"):
        place = Path(name)
        if place.is_symlink():
            links.append((str(place.readlink()), name))
        elif (place / kind).is_dir():
            shown.append((f"{name}/{kind}", f"{name}/{kind}"))
        elif place.is_dir():
            shown.append((name, name))
    more = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
    return shown + [(name, name) for name in more if Path(name).exists()], links
