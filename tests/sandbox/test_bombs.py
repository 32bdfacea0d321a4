"""Code that takes all there is: it gets so much, others don't notice, and nothing of it is left."""

import pytest

from clew.sandbox.jailed import Jailed
from clew.sandbox.session import KernelSession
from tests.sandbox.processes import alive, descendants
from tests.support.wait import until_async

pytestmark = pytest.mark.anyio

_FORKS = """
import os, time
made = 0
try:
    while made < 1000:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
except BlockingIOError:
    print(made)
"""
_THREADS = """
import threading
wait, made = threading.Event(), 0
try:
    while made < 5000:
        threading.Thread(target=wait.wait, daemon=True).start()
        made += 1
except RuntimeError:
    print(made)
wait.set()
"""
_MEMORY = """
held = []
try:
    while True:
        held.append(bytearray(32 * 1024 * 1024))
except MemoryError:
    print(len(held))
"""
_MEMORY_OF_CHILDREN = """
import os, time
for n in range(6):
    if os.fork() == 0:
        held = bytearray(b'x') * (300 * 1024 * 1024)
        time.sleep(1000)
time.sleep(1000)
"""
_LARGE = """
with open('/mnt/data/large', 'wb') as file:
    while True:
        file.write(bytes(8 * 1024 * 1024))
"""
_TEMPORARY = _LARGE.replace("/mnt/data", "/tmp")
_SHARED = _LARGE.replace("/mnt/data", "/dev/shm")
_FDS = """
import os
held = []
while True:
    held.append(os.open('/dev/null', os.O_RDONLY))
"""
_RECURSION = "def f(): f()\nf()"
_C_RECURSION = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"


async def test_processes_are_bounded(bwrap: Jailed) -> None:
    session = await bwrap.start("forks")
    ran = await session.run(_FORKS, 20)
    assert 30 <= int(ran.logs) <= 64
    all_of_it = [session.pid, *descendants(session.pid)]
    assert len(all_of_it) > 30
    await session.end()
    await until_async(lambda: not any(map(alive, all_of_it)))


async def test_threads_are_bounded(session: KernelSession) -> None:
    ran = await session.run(_THREADS, 20)
    assert ran.ended is None
    assert 10 <= int(ran.logs) <= 1000


async def test_memory_is_bounded(session: KernelSession) -> None:
    ran = await session.run(_MEMORY, 20)
    # Either the process meets its limit, or all of the session does.
    assert ran.ended == "memory" or int(ran.logs) <= 48


async def test_memory_of_all_children_is_bounded(bwrap: Jailed) -> None:
    session = await bwrap.start("children")
    ran = await session.run(_MEMORY_OF_CHILDREN, 20)
    assert ran.ended == "memory"
    assert "memory" in ran.logs


async def test_memory_is_counted_where_no_group_does(bwrap: Jailed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.sandbox.group._parents", list)
    session = await bwrap.start("counted")
    ran = await session.run(_MEMORY_OF_CHILDREN, 20)
    assert ran.ended == "memory"


@pytest.mark.parametrize(
    "code", [_LARGE, _TEMPORARY, _FDS, _RECURSION], ids=["data", "tmp", "fds", "recursion"]
)
async def test_what_is_full_is_an_error_and_python_lives_on(session: KernelSession, code: str) -> None:
    ran = await session.run(code, 30)
    assert ran.raised
    assert ran.ended is None, ran.logs
    assert "Error" in ran.logs
    assert (await session.run("held = None; 1 + 1")).logs.endswith("2\n")


async def test_memory_that_is_shared_is_bounded(bwrap: Jailed) -> None:
    session = await bwrap.start("shared")
    assert "No space left" in (await session.run(_SHARED, 20)).logs


async def test_recursion_without_a_bound_ends_python_at_most(session: KernelSession) -> None:
    ran = await session.run(_C_RECURSION, 20)
    assert ran.raised
    assert ran.ended in {None, "died", "memory", "time"}
