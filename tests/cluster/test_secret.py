"""The secret that the processes of an installation share: who has another one doesn't start."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.cluster import Cluster, Process
from tests.support.nats import SECRET
from tests.support.wait import until

pytestmark = pytest.mark.timeout(60)

OTHER = "another secret that has characters enough"


def _is_refused(process: Process) -> None:
    assert process.wait_ended() == 1
    assert re.search(r"^Error: This process has another secret [^\n]*\n\Z", process.log, re.MULTILINE)
    for secret in (SECRET.decode(), OTHER):
        assert secret not in process.log


def test_a_process_with_another_secret_does_not_start(together: Cluster, model: ScriptedModel) -> None:
    together.server()
    _is_refused(together.begin("worker", secret_key=OTHER))
    _is_refused(together.begin("serve", "--port", "0", secret_key=OTHER))
    together.worker()


def test_a_secret_that_was_made_lets_in_those_that_have_it_too(together: Cluster) -> None:
    first, _ = together.server(secret_key="")
    made = first.folder / "secret.key"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert made.read_text().strip() not in first.log
    second = together.begin("worker", secret_key="")
    _is_refused(second)
    shutil.copyfile(made, second.folder / "secret.key")
    second.start()
    until(lambda: "Clew works on" in second.log)
    assert stat.S_IMODE((second.folder / "secret.key").stat().st_mode) == 0o600


def _rotate(data_dir: Path, database_url: str, **more: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    settings = {"CLEW_DATA_DIR": str(data_dir), "CLEW_DATABASE_URL": database_url, **more}
    command = [sys.executable, "-m", "clew.cli.main", "secrets", "rotate"]
    return subprocess.run(command, env={**clean, **settings}, capture_output=True, text=True, timeout=30)


def test_a_secret_is_replaced_while_nobody_uses_it(
    together: Cluster, postgres_url: str, tmp_path: Path
) -> None:
    first, _ = together.server()
    done = _rotate(tmp_path, postgres_url)
    assert done.returncode == 2
    assert "stop every process on it first" in done.stderr
    assert not (tmp_path / "secret.key").exists()
    first.ask_to_end()
    assert first.wait_ended() == 0

    done = _rotate(tmp_path, postgres_url)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "secret.key") in done.stdout
    made = (tmp_path / "secret.key").read_text().strip()
    assert made not in done.stdout + done.stderr
    together.worker(secret_key=made).kill()

    done = _rotate(tmp_path, postgres_url, CLEW_SECRET_KEY=OTHER)
    assert done.returncode == 0, done.stderr
    assert "CLEW_SECRET_KEY" in done.stdout
    assert (tmp_path / "secret.key").read_text().strip() == made
    _is_refused(together.begin("worker", secret_key=made))


def test_one_machine_makes_its_own(tmp_path: Path, model: ScriptedModel) -> None:
    settings: dict[str, Any] = {"CLEW_MODEL_URL": model.url}
    alone = Process(tmp_path, ["serve", "--port", "0"], settings)
    alone.start()
    alone.wait_ready()
    alone.kill()
    assert (tmp_path / "api-key").exists()
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
