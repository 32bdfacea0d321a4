"""A session: what cells say, what stays, what ends it, and that nothing outlives it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clew.sandbox.bubblewrap import Bubblewrap
from clew.sandbox.jailed import ENVIRONMENT, Jailed
from clew.sandbox.sandbox import MOST_LOGS, SandboxTrouble
from clew.sandbox.session import KernelSession
from tests.sandbox.conftest import Run
from tests.sandbox.processes import alive, descendants
from tests.support.wait import until, until_async

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).parents[2]


async def test_prints_errors_and_the_last_value_come_in_order(run: Run) -> None:
    ran = await run(
        "import sys\nprint('one')\nprint('two', file=sys.stderr)\nsys.stdout.write('three\\n')\n4"
    )

    # The value of ``write`` is that of no last expression.
    assert (ran.logs, ran.raised, ran.ended) == ("one\ntwo\nthree\n4\n", False, None)
    assert (await run("None")).logs == ""
    assert (await run("5;")).logs == ""
    assert (await run("")).logs == ""


async def test_variables_stay_and_a_traceback_has_the_cells_frames_alone(run: Run) -> None:
    await run("x = 20\ndef f(y):\n    return x / y")
    ran = await run(
        "try:\n    f(0)\nexcept ZeroDivisionError as error:\n    raise ValueError('no') from error"
    )

    assert ran.raised
    assert ran.ended is None
    assert "kernel" not in ran.logs
    assert "return x / y" in ran.logs
    assert "direct cause" in ran.logs
    assert ran.logs.endswith("ValueError: no\n")
    assert (await run("f(2) + _ if '_' in globals() else f(2)")).logs == "10.0\n"


async def test_code_that_is_none_is_told_where(run: Run) -> None:
    ran = await run("a = (1\nb")

    assert ran.raised
    assert "kernel" not in ran.logs
    assert "SyntaxError" in ran.logs


async def test_to_leave_is_not_to_end(run: Run) -> None:
    assert not (await run("x = 1\nimport sys; sys.exit()")).raised
    ran = await run("sys.exit('why')")
    assert (ran.logs, ran.raised, (await run("x")).logs) == ("SystemExit: why\n", True, "1\n")


@pytest.mark.parametrize(
    "code",
    ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)", "import os; os.close(3)",
     "import os; os.closerange(0, 1000)", "import os; os.kill(os.getpid(), 9)"],
)  # fmt: skip
async def test_who_ends_python_is_told_so(session: KernelSession, code: str) -> None:
    ran = await session.run(f"print('so far')\n{code}")

    assert ran.ended == "died"
    assert ran.raised
    assert ran.logs.startswith("so far\n")
    assert "all variables are gone" in ran.logs
    assert session.over
    with pytest.raises(SandboxTrouble):
        await session.run("1")


async def test_what_a_cell_does_to_its_streams_is_undone(run: Run) -> None:
    for code in (
        "import sys, io; sys.stdout = sys.stderr = io.StringIO(); print('lost')",
        "import os; os.close(1); os.close(2); os.close(0)",
        "sys.stdout.close(); sys.stderr.close()",
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    ):
        await run(code)
        assert (await run("print('heard')\n1/0")).logs.startswith("heard\nTraceback"), code


async def test_output_is_bounded(run: Run) -> None:
    ran = await run("print('x' * (3 * 1024 * 1024))\nprint('end')")

    assert ran.ended is None
    assert len(ran.logs) < MOST_LOGS + 100
    assert ran.logs.endswith(f"[{2 * 1024 * 1024 + 5} more bytes were dropped]\n")
    assert (await run("'\\x00\\ud800'")).logs == "'\\x00\\ud800'\n"
    assert (await run("import os; os.write(1, b'\\xff\\x00\\n');")).logs == "\ufffd\ufffd\n"


async def test_output_without_end_ends_the_session(session: KernelSession) -> None:
    ran = await session.run("import os\nwhile True: os.write(1, b'x' * 65536)", 30)

    assert ran.ended == "output"
    assert session.over
    assert len(ran.logs) < MOST_LOGS + 300


async def test_a_start_that_is_called_off_leaves_nothing(driver: Jailed) -> None:
    await (await driver.start("first")).end()
    before = set(descendants(os.getpid()))
    for moment in range(10):
        begun = asyncio.create_task(driver.start(f"called off {moment}"))
        await asyncio.sleep(moment * 0.008)
        begun.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await begun).end()
    await until_async(lambda: not any(map(alive, set(descendants(os.getpid())) - before)))


async def test_what_a_cancelled_cell_has_left_comes_with_the_next(session: KernelSession) -> None:
    code = "open('a', 'w').write('1')\nopen('b', 'w').write('1')\nprint('left')\nwhile True: pass"
    cell = asyncio.create_task(session.run(code))
    await until_async(lambda: "left" in session.heard)
    cell.cancel()
    await asyncio.wait({cell})
    ran = await session.run("open('b', 'w').write('22')")

    assert sorted((each.name, each.size) for each in ran.left) == [("a", 1), ("b", 2)]
    assert not (await session.run("1")).left


async def test_a_cell_that_is_cancelled_stops_within_a_second_and_variables_stay(
    session: KernelSession,
) -> None:
    await session.run("x = 1")
    for code in ("while True: x += 1", "import time; time.sleep(60)"):
        cell = asyncio.create_task(session.run(f"print('begun')\n{code}"))
        await until_async(lambda: session.heard == "begun\n")
        begun = time.monotonic()
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell
        assert time.monotonic() - begun < 1
        assert not session.over
        assert (await session.run("x > 0")).logs == "True\n"


async def test_what_can_not_be_interrupted_ends_within_a_second(session: KernelSession) -> None:
    cell = asyncio.create_task(session.run("print('begun')\n9**9**8"))
    await until_async(lambda: session.heard == "begun\n")
    begun = time.monotonic()
    cell.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cell
    assert time.monotonic() - begun < 1
    assert session.over


async def test_a_cell_has_its_time(session: KernelSession) -> None:
    ran = await session.run("x = 7\nwhile True: pass", 0.2)
    assert (ran.raised, ran.ended) == (True, None)
    assert ran.logs.endswith("The cell was stopped after 0.2 seconds; variables are kept.\n")
    assert (await session.run("x")).logs == "7\n"

    ran = await session.run("9**9**8", 0.2)
    assert ran.ended == "time"
    assert "all variables are gone" in ran.logs


async def test_a_child_is_heard_but_does_not_answer(bwrap: Jailed) -> None:
    session = await bwrap.start("children")
    ran = await session.run(
        "import os, sys\nchild = os.fork()\nchild and os.waitpid(child, 0)\nprint('one of two')\nchild > 0"
    )
    assert ran.logs.splitlines().count("one of two") == 2
    assert (await session.run("1 + 1")).logs == "2\n"
    ran = await session.run(
        "import subprocess\nsubprocess.run([sys.executable, '-c', 'print(6 * 7)']).returncode"
    )
    assert ran.logs == "42\n0\n"


async def test_all_it_knows_is_its_own(session: KernelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_API_KEY", "a secret")
    ran = await session.run("import os, sys\nsorted(os.environ), sys.path, os.getcwd()")
    names, path, _ = eval(ran.logs)
    assert set(names) <= {*ENVIRONMENT, "PWD"}
    assert all("site-packages" not in each for each in path)
    hidden = "import glob\n[glob.glob(each + '/site-packages/*') for each in sys.path if each]"
    assert set(map(tuple, eval((await session.run(hidden)).logs))) == {()}
    for place in ("/etc/passwd", str(REPOSITORY / "pyproject.toml"), str(Path.home()), "/root", "/home"):
        assert (
            "Error"
            in (
                await session.run(
                    f"os.listdir({place!r}) if not {place!r}.endswith('d') else open({place!r})"
                )
            ).logs
        )


async def test_behind_bubblewrap_no_other_process_is_seen(bwrap: Jailed) -> None:
    session = await bwrap.start("alone")
    assert (
        await session.run("import os\nsorted(filter(str.isdigit, os.listdir('/proc')))")
    ).logs == "['1', '2']\n"


async def test_two_sessions_never_meet(driver: Jailed) -> None:
    one, other = await asyncio.gather(driver.start("one"), driver.start("other"))
    await one.run("x = 1\nopen('/mnt/data/mine', 'w').write('x')\nopen('/tmp/mine', 'w').write('x')")
    for name in ("/mnt/data/mine", "/tmp/mine"):
        assert "FileNotFoundError" in (await other.run(f"open({name!r})")).logs
    assert "NameError" in (await other.run("x")).logs
    if os.geteuid() == 0:
        assert len({_user(one.pid), _user(other.pid), "0"}) == 3
    inside = (await one.run("import os; os.getpid()")).logs
    assert (await other.run(f"import os, signal\nos.kill({inside.strip()} + 1000, 0)")).raised


def _user(process: int) -> str:
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return next(line for line in lines if line.startswith("Uid:")).split()[1]


async def test_nothing_outlives_a_session(driver: Jailed, kind: str) -> None:
    session = await driver.start("ending")
    if kind == "bwrap":
        await session.run(
            "import os, signal, time\nfor n in range(3):\n    if os.fork() == 0:\n        os.setsid()\n"
            "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        os.closerange(0, 100)\n"
            "        time.sleep(1000)"
        )
    all_of_it = [session.pid, *descendants(session.pid)]
    assert len(all_of_it) >= (5 if kind == "bwrap" else 1)
    await session.end()
    await session.end()
    await until_async(lambda: not any(map(alive, all_of_it)))


_SERVER = """
import asyncio, sys
from pathlib import Path
from clew.sandbox.choosing import DRIVERS
async def main():
    session = await DRIVERS[sys.argv[1]](None, Path("/")).start("x")
    print(session.pid, flush=True)
    await session.run("while True: pass" if sys.argv[2] == "loop" else "9**9**8")
asyncio.run(main())
"""


@pytest.mark.parametrize("code", ["loop", "stuck"])
def test_a_server_that_is_killed_leaves_nothing(kind: str, code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, kind, code], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        first = int(server.stdout.readline())
        until(lambda: descendants(first) or kind == "landlock")
        all_of_it = [first, *descendants(first)]
        server.send_signal(signal.SIGKILL)
    until(lambda: not any(map(alive, all_of_it)))


async def test_what_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxTrouble, match="no Python"):
        await Bubblewrap("/bin/false").start("x")
    with pytest.raises(SandboxTrouble, match="no Python"):
        await Bubblewrap("/nowhere/python").start("x")
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: None)
    with pytest.raises(SandboxTrouble, match="pip install"):
        await Bubblewrap().start("x")
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: ["/bin/false"])
    with pytest.raises(SandboxTrouble, match="did not start"):
        await Bubblewrap().start("x")
