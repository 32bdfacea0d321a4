"""Fixtures for programs that use Clew: ``clew_model`` and ``clew_server``.

pytest loads this in every environment that has Clew installed: it imports nothing until a fixture
is used, and changes nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, cast

import pytest

if TYPE_CHECKING:
    from clew.testing.scripted_model import ScriptedModel
    from clew.testing.server import RunningServer

_SCOPE = "clew_server_scope"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting ``clew_server_scope``."""
    parser.addini(
        _SCOPE,
        "how long one server of the fixture clew_server lives: function, module or session",
        default="function",
    )


def _scope(fixture_name: str, config: pytest.Config) -> Literal["function", "module", "session"]:
    scope = str(config.getini(_SCOPE))
    if scope not in ("function", "module", "session"):
        raise pytest.UsageError(f"{_SCOPE} must be function, module or session, not {scope!r}")
    return cast(Literal["function", "module", "session"], scope)


@pytest.fixture(scope=_scope)
def _clew_model() -> Iterator[ScriptedModel]:
    from clew.testing.scripted_model import ScriptedModel

    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope=_scope)
def _clew_server(_clew_model: ScriptedModel) -> Iterator[RunningServer]:
    from clew.settings import Settings
    from clew.testing.server import RunningServer

    with pytest.MonkeyPatch.context() as environment:  # a test must not depend on who runs it
        for name in Settings.__struct_fields__:
            environment.delenv(f"CLEW_{name.upper()}", raising=False)
        with RunningServer(_clew_model) as server:
            yield server


@pytest.fixture
def clew_model(_clew_model: ScriptedModel) -> Iterator[ScriptedModel]:
    """A :class:`clew.testing.scripted_model.ScriptedModel` that knows nothing of other tests."""
    _clew_model.reset()
    yield _clew_model
    _clew_model.reset()
    _clew_model.check()


@pytest.fixture
def clew_server(_clew_server: RunningServer, clew_model: ScriptedModel) -> RunningServer:
    """A running :class:`clew.testing.server.RunningServer` that asks ``clew_model``.

    Each test gets a new one; ``clew_server_scope = session`` in pytest's configuration shares one
    among all tests, which is faster, with its agents and threads.
    """
    if not _clew_server.is_running():
        _clew_server.restart()
    return _clew_server
