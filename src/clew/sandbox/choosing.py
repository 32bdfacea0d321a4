"""Which sandbox: the one that is named, or the strongest that works here; never a weaker one untold."""

import sys
from collections.abc import Callable, Mapping

from clew.sandbox.bubblewrap import Bubblewrap
from clew.sandbox.landlock import Landlock
from clew.sandbox.sandbox import Driver, SandboxTrouble

Maker = Callable[[str | None], Driver]
"""Makes a driver; its argument is the Python that sessions run, None for our own."""

DRIVERS: Mapping[str, Maker] = {"bwrap": Bubblewrap, "landlock": Landlock}
"""By the names that CLEW_SANDBOX knows them by."""

BY_STRENGTH = ("bwrap", "wasm")
"""What ``auto`` tries, in this order. The others are used only where they are named."""


async def chosen(setting: str, python: str | None = None) -> Driver:
    """Return the driver that a setting means, tried.

    Args:
        setting: ``auto`` or the name of a driver.
        python: the program that sessions run; None for our own, without its packages.

    Raises:
        SandboxTrouble: it does not work here; the message names what is missing, and what brings it.
    """
    names = [name for name in BY_STRENGTH if name in DRIVERS] if setting == "auto" else [setting]
    missing = []
    for name in names:
        if name not in DRIVERS:
            raise SandboxTrouble(f"CLEW_SANDBOX={name}: there is no such sandbox.")
        driver = DRIVERS[name](python)
        lacks = (
            f"bubblewrap needs Linux, this is {sys.platform}" if _foreign(name) else await driver.missing()
        )
        if lacks is None:
            return driver
        await driver.close()
        missing.append(lacks)
    # The strongest first: its prerequisite is the one to bring.
    raise SandboxTrouble(f"code_interpreter is not available: {missing[0]}")


def _foreign(name: str) -> bool:
    return name in {"bwrap", "landlock"} and sys.platform != "linux"
