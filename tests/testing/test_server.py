"""A real server under a test's control."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the openai package, of Assistants


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def connect(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.openai_base_url, api_key=server.api_key, max_retries=0)


def test_answers_with_the_scripted_model_and_leaves_nothing(model: ScriptedModel) -> None:
    model.reply("Noon.")
    with RunningServer(model) as server, connect(server) as client:
        agent = client.beta.assistants.create(model="any", instructions="Be brief.")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "What time is it?"}])
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=agent.id, poll_interval_ms=10
        )
        assert run.status == "completed"
        answer = client.beta.threads.messages.list(thread.id).data[0].content[0]
        assert answer.type == "text"
        assert answer.text.value == "Noon."
        directory = server.data_dir
    assert model.requests[0].last_user_text == "What time is it?"
    assert not directory.exists()
    assert not server.is_running()


def test_survives_a_kill_on_the_same_url(model: ScriptedModel) -> None:
    with RunningServer(model) as server, connect(server) as client:
        thread = client.beta.threads.create()
        url, pid = server.url, server.pid
        server.kill()
        assert not server.is_running()
        with pytest.raises(openai.APIConnectionError):
            client.beta.threads.retrieve(thread.id)
        server.restart()
        assert server.url == url
        assert server.pid != pid
        assert client.beta.threads.retrieve(thread.id).id == thread.id


def test_settings_reach_the_server_and_a_given_directory_stays(model: ScriptedModel, tmp_path: Path) -> None:
    with RunningServer(model, data_dir=tmp_path, settings={"project": "mine", "run_expiry": 9}) as server:
        assert server.project_endpoint == f"{server.url}/api/projects/mine"
        assert server.environment["PROJECT_ENDPOINT"] == server.project_endpoint
    assert (tmp_path / "clew.db").exists()


def test_a_server_that_cannot_start_says_why(model: ScriptedModel) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 2:\n.*CLEW_RUN_EXPIRY"):
        RunningServer(model, settings={"run_expiry": 0}).start()


def test_an_error_in_the_block_carries_the_log(model: ScriptedModel) -> None:
    with pytest.raises(ZeroDivisionError) as raised, RunningServer(model):
        _ = 1 / 0
    assert "Clew is ready" in raised.value.__notes__[0]


def test_a_program_that_forgets_to_stop_leaves_no_process(model: ScriptedModel, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from clew.testing.server import RunningServer;"
        "s = RunningServer(model_url=sys.argv[1], data_dir=pathlib.Path(sys.argv[2])).start(); print(s.url)"
    )
    command = [sys.executable, "-c", program, model.url, str(tmp_path)]
    url = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/healthz")


def test_needs_a_start(model: ScriptedModel) -> None:
    server = RunningServer(model)
    for name in ("url", "api_key", "pid"):
        with pytest.raises(RuntimeError, match="not"):
            getattr(server, name)
    server.stop()
    server.kill()
    assert server.log == ""
