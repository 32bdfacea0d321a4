"""Which sandbox: the one that is named, or the strongest that works here; never a weaker one untold."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from clew.ids import RandomIds
from clew.sandbox.sandbox import Driver, SandboxTrouble

Maker = Callable[[str | None, Path], Driver]
"""Makes a driver, from the Python that sessions run (None for our own) and Clew's data directory."""


def _bwrap(python: str | None, _: Path) -> Driver:
    from clew.sandbox.bubblewrap import Bubblewrap  # only Linux can import it

    return Bubblewrap(python)


def _landlock(python: str | None, _: Path) -> Driver:
    from clew.sandbox.landlock import Landlock

    return Landlock(python)


def _wasm(_: str | None, data_dir: Path) -> Driver:
    from clew.sandbox.wasm.driver import Wasm

    return Wasm(data_dir, RandomIds())


DRIVERS: Mapping[str, Maker] = {"bwrap": _bwrap, "landlock": _landlock, "wasm": _wasm}
"""By the names that CLEW_SANDBOX knows them by."""

_ELSEWHERE = {
    "outer": "is for `clew code-worker` alone, in a container that is a sandbox itself",
    "remote": "is for servers and workers that have a bus (CLEW_BUS_URL)",
}
"""Drivers that not every process may have."""

BY_STRENGTH = ("bwrap", "wasm")
"""What ``auto`` tries, in this order. The others are used only where they are named."""


async def chosen(
    setting: str, python: str | None, data_dir: Path, others: Mapping[str, Maker] | None = None
) -> Driver:
    """Return the driver that a setting means, tried.

    Args:
        setting: ``auto`` or the name of a driver.
        python: the program that sessions run; None for our own, without its packages.
        data_dir: where Clew keeps its data; what ``wasm`` runs on lies there.
        others: drivers that this process may have besides, by name.

    Raises:
        SandboxTrouble: it does not work here; the message names what is missing, and what brings it.
    """
    makers = {**DRIVERS, **(others or {})}
    if setting != "auto" and setting not in makers:
        why = _ELSEWHERE.get(setting, "there is no such sandbox")
        raise SandboxTrouble(f"CLEW_SANDBOX={setting}: {why}.")
    if _foreign(setting):
        raise SandboxTrouble(f"CLEW_SANDBOX={setting} needs Linux, this is {sys.platform}.")
    names = [name for name in BY_STRENGTH if not _foreign(name)] if setting == "auto" else [setting]
    missing = []
    for name in names:
        driver = makers[name](python, data_dir)
        lacks = await driver.missing()
        if lacks is None:
            return driver
        await driver.close()
        missing.append(lacks)
    # The strongest first: its prerequisite is the one to bring.
    raise SandboxTrouble(f"code_interpreter is not available: {missing[0]}")


def _foreign(name: str) -> bool:
    return name in {"bwrap", "landlock", "outer"} and sys.platform != "linux"
