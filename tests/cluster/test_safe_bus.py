"""Processes on a bus as the documentation has it: TLS, an account of their own, and a user's key."""

import os
import subprocess
import sys
from pathlib import Path

import nkeys
import pytest

from clew.cli import certificates
from clew.clock import SystemClock
from clew.testing.scripted_model import ScriptedModel
from tests.support.cluster import cluster
from tests.support.nats import running_nats
from tests.support.nats_access import Key, example
from tests.support.server import MODEL_KEY
from tests.support.sse import said

pytestmark = pytest.mark.timeout(60)


def test_processes_work_together_on_a_bus_that_lets_nobody_else_in(
    postgres_url: str, model: ScriptedModel, tmp_path: Path
) -> None:
    key = Key(nkeys.PREFIX_BYTE_USER)
    made = certificates.ensure(tmp_path / "made", "127.0.0.1", SystemClock().now())
    (tmp_path / "seed").write_text(key.seed, encoding="utf-8")
    safe = {
        "CLEW_BUS_CA": str(made.ca),
        "CLEW_BUS_CREDENTIALS": str(tmp_path / "seed"),
        "CLEW_MODEL_API_KEY": MODEL_KEY,
    }
    with running_nats(example(key, made)) as nats:
        url = nats.url.replace("nats://", "tls://")
        with cluster(postgres_url, url, model.url, **safe) as together:
            _, api = together.server("--no-worker")
            together.worker()
            held = model.hold("Go left ", "and right.")
            body = {"assistant_id": api.agent(), "stream": True}
            with api.stream("POST", f"/threads/{api.thread('Where?')}/runs", body) as stream:
                told = []
                for frame in stream:
                    told.append(frame)
                    if (
                        frame.event == "thread.message.delta"
                    ):  # over the bus, while the model was still speaking
                        held.release()
            assert said(told) == "Go left and right."
            assert "does not permit" not in together.logs
            assert key.seed not in together.logs

            outside = together.begin("worker", bus_credentials="")
            assert outside.wait_ended() == 1
            assert "does not let this process in" in outside.log
            settings = {**safe, "CLEW_DATABASE_URL": postgres_url, "CLEW_BUS_URL": url}
            assert "with JetStream" in _doctor(tmp_path / "data", settings)


def _doctor(data_dir: Path, settings: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    environment = {**clean, **settings, "CLEW_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "clew.cli.main", "doctor"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50).stdout
