"""Sandboxes as this machine has them; a test of one that it has not is left out, and says why."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from clew.sandbox.bubblewrap import Bubblewrap, tools
from clew.sandbox.jailed import Jailed
from clew.sandbox.landlock import Landlock
from clew.sandbox.sandbox import DATA, Ran
from clew.sandbox.session import KernelSession

_DRIVERS: dict[str, Callable[[], Jailed]] = {"bwrap": Bubblewrap, "landlock": Landlock}
_MADE: dict[str, Jailed] = {}


def unavailable(kind: str) -> str | None:
    """Return why a sandbox can't be tried here, if it can't."""
    if sys.platform != "linux":
        return "there is no such sandbox outside of Linux"
    if kind == "bwrap" and tools() is None:
        return "bubblewrap is not installed; make setup brings it"
    if kind == "landlock" and os.geteuid() != 0 and not os.path.islink(DATA):
        return f"as this user it needs: sudo ln -s /proc/self/cwd {DATA}"
    return None


@pytest.fixture(params=["bwrap", "landlock"])
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a sandbox."""
    name: str = request.param
    why = unavailable(name)
    if why is not None:
        pytest.skip(why)
    return name


@pytest.fixture
async def driver(kind: str) -> AsyncIterator[Jailed]:
    """A driver. What it knows of Python, it asks once."""
    if kind not in _MADE:
        _MADE[kind] = _DRIVERS[kind]()
    yield _MADE[kind]
    await _MADE[kind].close()


@pytest.fixture
async def bwrap() -> AsyncIterator[Jailed]:
    """bubblewrap, for what the other can't do, such as to start processes."""
    why = unavailable("bwrap")
    if why is not None:
        pytest.skip(why)
    made = _MADE.setdefault("bwrap", Bubblewrap())
    yield made
    await made.close()


@pytest.fixture
async def session(driver: Jailed) -> KernelSession:
    """A session."""
    return await driver.start("tested")


Run = Callable[..., Coroutine[Any, Any, Ran]]


@pytest.fixture
def run(session: KernelSession) -> Run:
    """Runs a cell of a session."""
    return session.run
