"""Sessions in a container that is the sandbox: what their thin wall holds, and what it leaves to that."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.ids import RandomIds
from clew.sandbox.choosing import chosen
from clew.sandbox.sandbox import SandboxTrouble
from clew.vault import code_key
from tests.sandbox.attacks import ATTACKS
from tests.support.code_workers import READY, server
from tests.support.nats import SECRET, NatsServer
from tests.support.wait import until_async

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux'"),
]

_FILES = {"host_file", "etc_passwd", "write_outside", "symlink", "devices", "kernel_memory", "sys_files"}
"""What reaches files that anybody may reach: the container's, which has nothing else."""


@pytest.fixture(params=["plain", "root"])
def user(request: pytest.FixtureRequest) -> str:
    """Who starts it."""
    name: str = request.param
    if name == "root" and os.geteuid() != 0:
        pytest.skip("only root can start it as root")
    return name


def test_it_holds_all_but_files_that_anybody_may_reach(user: str) -> None:
    command = [sys.executable, "-m", "tests.sandbox.corpus", "outer", user]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:].decode()
    told: dict[str, str] = json.loads(done.stdout)
    assert told.keys() == ATTACKS.keys()
    through = {name for name, said in told.items() if not said.startswith("held ")}
    # The last is seen by a file that another attack has written. As the same user, code can end its worker.
    assert through - {"daemon"} == _FILES | ({"kill_server"} if user == "plain" else set())


async def test_a_server_can_not_have_it() -> None:
    with pytest.raises(SandboxTrouble, match="code-worker"):
        await chosen("outer", None, Path("/"))
    with pytest.raises(SandboxTrouble, match="CLEW_BUS_URL"):
        await chosen("remote", None, Path("/"))


@pytest.fixture
def worker(nats: NatsServer, user: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A code worker that is ready."""
    given = {
        "CLEW_BUS_URL": nats.url,
        "CLEW_BUS_PREFIX": f"outer-{user}",
        "CLEW_CODE_KEY": code_key(SECRET),
        "CLEW_SANDBOX": "outer",
        "CLEW_DATA_DIR": "/tmp",
    }
    made = subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.sandbox.outer_worker", user, json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert made.stdout is not None
        assert f"{READY}outer" in made.stdout.readline().decode()
        yield made
    finally:
        made.kill()
        made.communicate()


async def test_a_code_worker_ends_with_its_one_session(
    nats: NatsServer, user: str, worker: "subprocess.Popen[bytes]"
) -> None:
    async with server(nats, f"outer-{user}") as driver:
        session = await driver.start(RandomIds().new("session_"))
        ran = await session.run("import os\nopen('/mnt/data/a', 'w').write('b')\nos.getuid() > 0")
        assert (ran.logs, [each.name for each in ran.left]) == ("True\n", ["a"])
        assert [piece async for piece in session.take("a")] == [b"b"]
        await session.end()
    await until_async(lambda: worker.poll() is not None)
    assert worker.returncode == 0
