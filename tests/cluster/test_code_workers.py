"""Code of runs at code workers: sessions that any server goes on with, and that outlive their server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.sandbox.conftest import unavailable
from tests.sandbox.processes import descendants
from tests.support.api import Api, RunHandle
from tests.support.cluster import Cluster
from tests.support.code_workers import CodeWorker, code_worker
from tests.support.nats import NatsServer
from tests.support.wait import until

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(unavailable("bwrap") is not None, reason=str(unavailable("bwrap"))),
]

TOOL = {"type": "code_interpreter"}
REMOTE: dict[str, Any] = {"sandbox": "remote", "files_url": "db:"}


@pytest.fixture
def worker(nats: NatsServer, postgres_url: str) -> Iterator[CodeWorker]:
    """A code worker of the test's cluster."""
    with code_worker(nats, postgres_url.rpartition("/")[2]) as made:
        yield made


def _run(api: Api, model: ScriptedModel, thread: str, agent: str, code: str) -> RunHandle:
    model.call("code_interpreter", {"code": code})
    model.reply("Done.")
    return api.run(thread, agent)


def _logs(run: RunHandle) -> str:
    (call,) = [
        each["code_interpreter"]
        for step in run.steps()
        if step["type"] == "tool_calls"
        for each in step["step_details"]["tool_calls"]
    ]
    return "".join(out.get("logs", "") for out in call["outputs"])


def test_any_server_goes_on_with_a_session(
    together: Cluster, model: ScriptedModel, worker: CodeWorker
) -> None:
    first, one = together.server(**REMOTE)
    agent, thread = one.agent(tools=[TOOL]), one.thread("Hello")
    run = _run(one, model, thread, agent, "x = 5\nopen('left.txt', 'w').write('left');")
    run.wait("completed")
    first.kill()
    _, other = together.server(**REMOTE)
    again = _run(other, model, thread, agent, "x + 1, open('left.txt').read()")
    again.wait("completed")
    assert _logs(again) == "(6, 'left')"
    [file] = other.get("/files", purpose="assistants_output")["data"]
    assert (file["filename"], file["bytes"]) == ("left.txt", 4)


def test_a_server_that_dies_in_the_middle_of_a_cell_leaves_its_session_to_another(
    together: Cluster, model: ScriptedModel, worker: CodeWorker
) -> None:
    first, one = together.server(**REMOTE)
    _, other = together.server("--no-worker", **REMOTE)
    agent, thread = one.agent(tools=[TOOL]), one.thread("Hello")
    _run(one, model, thread, agent, "x = 5").wait("completed")
    # Only the first time does it take long; its thread tells us that it has come so far.
    code = (
        "import threading, time\n"
        "y = globals().get('y', 0) + 1\n"
        "if y == 1:\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    time.sleep(50)\n"
        "(x, y)"
    )
    before = _threads(worker)
    begun = _run(one, model, thread, agent, code)
    until(lambda: _threads(worker) > before)
    first.kill()
    together.worker(**REMOTE)
    found = RunHandle(other, begun.created)
    found.wait("completed")
    assert _logs(found) == "(5, 2)"


def _threads(worker: CodeWorker) -> int:
    """Return how many threads its sessions have."""
    return sum(len(os.listdir(f"/proc/{each}/task")) for each in descendants(worker.pid))


def test_a_code_worker_that_dies_is_told_and_another_takes_over(
    together: Cluster, nats: NatsServer, model: ScriptedModel, worker: CodeWorker
) -> None:
    _, one = together.server(**REMOTE)
    agent, thread = one.agent(tools=[TOOL]), one.thread("Hello")
    _run(one, model, thread, agent, "x = 5").wait("completed")
    worker.kill()
    with code_worker(nats, together.database):
        again = _run(one, model, thread, agent, "'x' in globals()")
        again.wait("completed")
    assert "variables of earlier code are gone" in _logs(again)
    assert _logs(again).endswith("False")
