"""All attacks, on all sandboxes, as whoever may start one: each is held off; without a wall many are not."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from tests.sandbox.attacks import ATTACKS
from tests.sandbox.conftest import unavailable

_SECONDS = 240
"""Seconds for all attacks on a busy machine: some must be waited for."""

pytestmark = pytest.mark.timeout(300)


def _carried_out(kind: str, user: str) -> dict[str, str]:
    if user == "root" and os.geteuid() != 0:
        pytest.skip("only root can start it as root")
    # In its namespace of mounts it has the link that it needs.
    why = unavailable("bwrap") if kind != "landlock" else None
    if why is not None or sys.platform != "linux":
        pytest.skip(why or "namespaces are Linux'")
    # Into files: what an attack leaves running may hold a pipe open for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as trouble:
        command = [sys.executable, "-m", "tests.sandbox.corpus", kind, user]
        code = subprocess.run(command, stdout=out, stderr=trouble, timeout=_SECONDS, check=False).returncode
        out.seek(0)
        trouble.seek(0)
        assert code == 0, trouble.read()[-2000:].decode()
        told: dict[str, str] = json.loads(out.read())
    return told


@pytest.mark.parametrize("user", ["plain", "root"])
@pytest.mark.parametrize("kind", ["bwrap", "landlock"])
def test_no_attack_comes_through(kind: str, user: str) -> None:
    told = _carried_out(kind, user)

    assert told.keys() == ATTACKS.keys()
    assert [said for said in told.values() if not said.startswith("held ")] == []
    # An attack that is broken would be held off for ever.
    wrong = ("NameError", "TypeError", "AttributeError", "KeyError", "SyntaxError", "ValueError")
    assert [said for said in told.values() if said.endswith(wrong)] == []


def test_without_a_wall_many_come_through() -> None:
    told = _carried_out("none", "plain")

    through = {name for name, said in told.items() if said.startswith("THROUGH")}
    assert {"host_file", "environ_of_others", "own_environ", "tcp", "udp", "abstract_socket", "socket_path",
            "write_outside", "kill_server", "netlink", "raise_limits", "pidfd"} <= through  # fmt: skip
