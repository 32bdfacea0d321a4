"""Code that is at work when a server, its session or the wall round it is killed."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.sandbox.processes import alive, descendants, used
from tests.support.api import Api, RunHandle
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap needs Linux")

LEAVE = "open('/mnt/data/once.txt', 'w').write('once')"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


def _run(api: Api, model: ScriptedModel, code: str) -> RunHandle:
    model.call("code_interpreter", {"code": code})
    model.reply("[once](sandbox:/mnt/data/once.txt)")
    return api.run(api.thread("Go"), api.agent(tools=[{"type": "code_interpreter"}]))


def _in_session(server: int, name: str) -> int | None:
    """Return the innermost process of a server's sessions whose command has a word."""
    found = [each for each in descendants(server) if name in _command(each)]
    return found[-1] if found else None


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_at_work(server: int) -> bool:
    """Whether a session has used the processor for half a second: it is in its cell."""
    process = _in_session(server, "/opt/kernel")
    return process is not None and used(process) > 0.5


def _made(api: Api) -> list[str]:
    return [each["filename"] for each in api.get("/files")["data"]]


def test_a_server_that_dies_in_a_cell_leaves_nothing_and_the_run_goes_on(
    http: httpx2.Client, model: ScriptedModel
) -> None:
    with RunningServer(model) as server:
        until_when = time.time() + 6
        code = f"import time\nwhile time.time() < {until_when}: pass\n{LEAVE}"
        run = _run(Api(http, server.url, server.api_key), model, code)
        until(lambda: _is_at_work(server.pid))
        before = descendants(server.pid)
        server.kill()
        until(lambda: not any(map(alive, before)))
        server.start()
        api = Api(http, server.url, server.api_key)
        again = RunHandle(api, run.created)
        until(lambda: again.now()["status"] == "completed", timeout=60)
        assert _made(api) == ["once.txt"]
        (message,) = again.messages()
        assert len(message["content"][0]["text"]["annotations"]) == 1


@pytest.mark.parametrize("victim", ["/opt/kernel", "bwrap"])
def test_a_session_that_is_killed_in_a_cell_is_told_and_another_begins(
    http: httpx2.Client, model: ScriptedModel, victim: str
) -> None:
    with RunningServer(model) as server:
        api = Api(http, server.url, server.api_key)
        model.call("code_interpreter", {"code": "while True: pass"})
        run = _run(api, model, f"{LEAVE}\n6 * 7")
        until(lambda: _is_at_work(server.pid))
        before = descendants(server.pid)
        process = _in_session(server.pid, victim)
        assert process is not None
        os.kill(process, signal.SIGKILL)
        run.wait("completed")
        first, second = (
            step["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"][0]["logs"]
            for step in run.steps()
            if step["type"] == "tool_calls"
        )
        assert "Python ended. It had to be ended: all variables are gone" in first
        assert second.endswith("42")
        assert "variables of earlier code are gone" in second
        assert _made(api) == ["once.txt"]
        until(lambda: not any(map(alive, before)))
