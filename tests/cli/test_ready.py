"""What supervisors ask: whether the server of a data directory is ready."""

import os
import subprocess
import sys
from pathlib import Path

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer


def ask(data_dir: Path) -> tuple[int, str]:
    """Ask as a container engine does, where proxies are set; return the exit code and what it says."""
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "clew.cli.ready"],
        env={**os.environ, "CLEW_DATA_DIR": str(data_dir), "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr.strip()


def test_a_server_that_serves_http() -> None:
    with ScriptedModel() as model, RunningServer(model) as server:
        assert ask(server.data_dir) == (0, "")


def test_a_server_with_a_certificate_of_its_own() -> None:
    with ScriptedModel() as model, RunningServer(model, tls=True) as server:
        assert ask(server.data_dir) == (0, "")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    assert ask(tmp_path) == (1, f"no server has said that it runs on {tmp_path}")


def test_a_server_that_was_killed(tmp_path: Path) -> None:
    with ScriptedModel() as model, RunningServer(model, data_dir=tmp_path) as server:
        server.kill()
        code, said = ask(tmp_path)
    assert code == 1
    assert said.startswith(f"{server.url} does not answer: ")
