"""The compose files' services run as they are written: users, commands, mounts, health, their ends."""

import json
import shutil
import sys

import pytest

from tests.deploy.machine import Machine
from tests.support.wait import until

pytestmark = pytest.mark.usefixtures("containers")

_PROGRAM = """
import openai
client = openai.OpenAI()
agent = client.beta.assistants.create(model="any")
thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello!"}])
runs = client.beta.threads.runs
run = runs.create_and_poll(thread_id=thread.id, assistant_id=agent.id, poll_interval_ms=20)
print(run.status, len(client.beta.threads.messages.list(thread.id).data))
"""


def use(site: Machine) -> str:
    """Have an OpenAI program ask for a run at the published port; return what it printed."""
    return site.program(
        sys.executable,
        "-W",
        "ignore",
        "-c",
        _PROGRAM,
        OPENAI_BASE_URL="http://127.0.0.1:8787/v1",
        OPENAI_API_KEY=site.secret("api-key"),
    )


def test_one_machine(site: Machine) -> None:
    server = site.up("compose.yaml", "clew")
    server.wait_healthy()
    assert use(site) == "completed 2\n"
    assert server.run("id", "-u").stdout == "10001\n"
    assert "Read-only file system" in server.run("touch", "/opt/clew/x").stderr
    assert "0000000000000000" in server.run("grep", "CapBnd", "/proc/self/status").stdout
    assert server.run("touch", "/tmp/x").returncode == 0
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert any("Clew is ready at http://127.0.0.1:8787" in line["message"] for line in lines), lines[0]
    assert not [line for line in lines if line["level"] == "error"]
    assert site.down("clew") == 0
    again = site.up("compose.yaml", "clew")
    again.wait_healthy()
    assert use(site) == "completed 2\n"


def test_postgresql_a_bus_a_server_and_workers(site: Machine) -> None:
    file = "compose.cluster.yaml"
    site.up(file, "database").wait_healthy()
    bus = site.up(file, "bus")
    if shutil.which("wget"):  # which its health check asks with
        bus.wait_healthy()
    until(lambda: "Server is ready" in bus.log)
    migrate = site.up(file, "migrate")
    assert migrate.wait() == 0, migrate.log
    server = site.up(file, "server")
    server.wait_healthy()
    workers = [site.up(file, "worker", instance=str(number)) for number in (1, 2)]
    for worker in workers:
        until(lambda worker=worker: "Clew works on the runs of" in worker.log)  # type: ignore[misc]
    assert use(site) == "completed 2\n"
    assert not [line for line in server.log.splitlines() if '"level": "error"' in line]
    assert [site.down(name) for name in ("worker1", "worker2", "server", "database")] == [0, 0, 0, 0]
