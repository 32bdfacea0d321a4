"""The command, in this process and in a terminal of its own, against a server."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from clew.cli.main import cli
from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import Service, connect
from tests.support.server import KEYS, Server

Clew = Callable[..., Result]
Terminal = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def server_settings(
    server: Server, model: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment in which commands find the module's server."""
    monkeypatch.setenv("CLEW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CLEW_URL", server.url)
    monkeypatch.setenv("CLEW_API_KEY", KEYS["alpha"])
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def clew(server_settings: None) -> Clew:
    """Runs a command line in this process; its output is no terminal."""

    def run(*arguments: str, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli, list(arguments), input=stdin)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def terminal(server_settings: None) -> Iterator[Terminal]:
    """Runs a command line in a terminal of its own."""
    opened: list[pexpect.spawn[Any]] = []

    def run(*arguments: str, rows: int = 40, columns: int = 140) -> "pexpect.spawn[str]":
        command = ["-m", "clew.cli.main", *arguments]
        # pexpect sets the size when the program runs already: it may look before.
        size = {"COLUMNS": str(columns), "LINES": str(rows)}
        child = pexpect.spawn(
            sys.executable,
            command,
            encoding="utf-8",
            timeout=15,
            dimensions=(rows, columns),
            echo=False,
            env={**os.environ, **size},
        )
        opened.append(child)
        return child

    yield run
    for child in opened:
        child.close(force=True)


@pytest.fixture
def service(server: Server) -> Iterator[Service]:
    """The service behind the commands."""
    with connect(f"{server.url}/v1", KEYS["alpha"]) as service:
        yield service
