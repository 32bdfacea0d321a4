"""``clew serve`` as people start it."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the openai package, of Assistants


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.settings import Settings

    for name in Settings.__struct_fields__:
        monkeypatch.delenv(f"CLEW_{name.upper()}", raising=False)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def test_every_setting_that_is_a_flag_names_its_variable() -> None:
    text = " ".join(CliRunner().invoke(cli, ["serve", "--help"]).stdout.split())
    for name in ("HOST", "PORT", "TLS", "DATABASE_URL", "BUS_URL", "MODEL_URL", "DATA_DIR"):
        assert f"CLEW_{name}" in text
    assert "default 8787" in text


def test_banner_server_file_and_env(model: ScriptedModel) -> None:
    with RunningServer(model) as server:
        for said in (server.url, server.project_endpoint, str(server.data_dir / "api-key"), model.url):
            assert said in server.log
        assert f'eval "$(clew env --data-dir {server.data_dir})"' in server.log
        assert server.api_key not in server.log
        path = server.data_dir / "server.json"
        assert json.loads(path.read_bytes())["pid"] == server.pid
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        printed = CliRunner().invoke(cli, ["env", "--data-dir", str(server.data_dir)])
        assert f"export OPENAI_BASE_URL={server.url}/v1" in printed.stdout
        assert "No server answers" not in printed.stderr
        assert f"export OPENAI_API_KEY={server.api_key}" in printed.stdout
        server.stop()
        assert not path.exists()


def test_who_reads_a_feed_does_not_keep_a_server_from_stopping(model: ScriptedModel) -> None:
    with RunningServer(model) as server:
        key = {"Authorization": f"Bearer {server.api_key}"}
        with httpx2.stream("GET", f"{server.openai_base_url}/events", headers=key) as told:
            lines = told.iter_lines()
            assert "event: ready" in lines
            server.stop()
            assert list(lines)[-2:] == ["data: [DONE]", ""]
        assert "Traceback" not in server.log


def test_who_reads_a_run_that_is_parked_does_not_keep_a_server_from_stopping(model: ScriptedModel) -> None:
    with RunningServer(model, settings={"drain_timeout": 30}) as server:
        model.call("look")
        tools = [{"type": "function", "function": {"name": "look"}}]
        with httpx2.Client(base_url=server.openai_base_url, timeout=60) as http:
            http.headers["Authorization"] = f"Bearer {server.api_key}"
            agent = http.post("/assistants", json={"model": "m", "tools": tools}).json()["id"]
            thread = {"messages": [{"role": "user", "content": "Go."}]}
            body = {"assistant_id": agent, "thread": thread, "stream": False}
            run = http.post("/threads/runs", json=body).json()
            path = f"/threads/{run['thread_id']}/runs/{run['id']}"
            assert http.get(path, params={"wait": 10}).json()["status"] == "requires_action"
            with http.stream("GET", f"{path}/events") as reading:
                lines = reading.iter_lines()
                assert any("requires_action" in line for line in lines)
                begun = time.monotonic()
                server.stop()
                assert "[DONE]" not in list(lines)
            assert time.monotonic() - begun < 20
        assert "Traceback" not in server.log


def test_env_notices_that_the_key_is_another(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunningServer(model) as server:
        monkeypatch.setenv("CLEW_API_KEY", "wrong")
        printed = CliRunner().invoke(cli, ["env", "--data-dir", str(server.data_dir)])
        assert "doesn't take this key" in printed.stderr


def test_https_with_the_bundle(model: ScriptedModel) -> None:
    with RunningServer(model, tls=True) as server:
        assert server.url.startswith("https://")
        assert server.environment["SSL_CERT_FILE"] == str(server.ca_bundle)
        trust = openai.DefaultHttpxClient(verify=str(server.ca_bundle))
        with openai.OpenAI(
            base_url=server.openai_base_url, api_key=server.api_key, http_client=trust
        ) as client:
            assert client.beta.threads.create().id.startswith("thread_")
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{server.url}/healthz")


def test_unmodified_azure_programs_work_after_env(model: ScriptedModel, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import os
from azure.ai.projects import AIProjectClient
from azure.identity import DefaultAzureCredential

with AIProjectClient(os.environ["PROJECT_ENDPOINT"], DefaultAzureCredential()) as project:
    print(project.agents.threads.create().id)
"""
    )
    with RunningServer(model, tls=True) as server:
        environment = os.environ | server.environment
        done = subprocess.run(
            [sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("thread_")


def serve(data_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    command = [sys.executable, "-m", "clew.cli.main", "serve", "--port", "0", "--data-dir", str(data_dir)]
    return subprocess.run(
        [*command, *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_port_that_is_taken_is_one_line(model: ScriptedModel, tmp_path: Path) -> None:
    port = model.url.rsplit(":", 1)[1].split("/")[0]
    done = serve(tmp_path, "--port", port, "--model-url", model.url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "in use" in done.stderr


@pytest.mark.parametrize(
    ("database", "code", "said"),
    [
        ("mysql://user:secret@host/db", 2, "CLEW_DATABASE_URL: must look like"),
        ("sqlite:///{tmp_path}/not-a-database", 1, "not-a-database"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(
    tmp_path: Path, database: str, code: int, said: str
) -> None:
    (tmp_path / "not-a-database").write_text("This is not an SQLite file." * 100)
    url = database.replace("{tmp_path}", str(tmp_path))
    done = serve(tmp_path / "data", "--model-url", "http://127.0.0.1:1/v1", "--database", url)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_ctrl_c_is_130(model: ScriptedModel) -> None:
    with RunningServer(model) as server:
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "Traceback" not in server.log
        assert not (server.data_dir / "server.json").exists()


def test_a_missing_embedded_model_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from clew.cli import serve as module
    from clew.settings import load

    caplog.set_level("INFO")
    monkeypatch.setattr("clew.weights.machine.obstacle", lambda: "no engine: pip install that")
    module.warn_about_model(load(data_dir=tmp_path))
    monkeypatch.setattr("clew.weights.machine.obstacle", lambda: None)
    module.warn_about_model(load(data_dir=tmp_path))
    module.warn_about_model(load(data_dir=tmp_path, embedded_model="gpt-17"))
    module.warn_about_model(load(data_dir=tmp_path, model_url="http://127.0.0.1:1/v1"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert "pip install that" in said[0]
    assert "491 MB" in said[1]
    assert "gpt-17" in said[2]


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    from clew.cli.serve import _banner
    from clew.cli.server_file import ServerInfo
    from clew.settings import load

    settings = load(data_dir=tmp_path, model_url="https://user:secret@models.example/v1", model_name="big")
    banner = _banner(settings, ServerInfo(url="http://h", project="default", tls=False, pid=1))
    assert "secret" not in banner
    assert "big at https://models.example/v1" in banner
