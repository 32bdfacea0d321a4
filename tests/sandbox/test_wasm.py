"""Sessions of the driver wasm: cells, files, bounds, and what a hostile one can say."""

import asyncio
import os
import subprocess
import sys
import tarfile
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from clew.ids import RandomIds
from clew.sandbox.sandbox import MOST_DISK, MOST_FILES, MOST_LOGS, Left, Ran, SandboxTrouble
from clew.sandbox.wasm import deno, pyodide
from clew.sandbox.wasm.driver import Wasm
from clew.sandbox.wasm.session import WasmSession
from clew.sandbox.wasm.usage import usage_of
from clew.weights.errors import WeightsError
from clew.weights.files import sha256_of
from tests.support.wait import until, until_async
from tests.support.wasm import running_wasm
from tests.support.weights import weights_cache

T = TypeVar("T")


def computed(pid: int) -> float:
    """Return the seconds that a process has computed."""
    usage = usage_of(pid)
    return 0.0 if usage is None else usage.computed


class World:
    """A driver, its loop, and a session that nobody spoils: to start one takes a second of computing."""

    def __init__(self, runner: asyncio.Runner, driver: Wasm) -> None:
        self.runner, self.driver = runner, driver
        self.session = self.new()

    def new(self) -> WasmSession:
        return self.do(self.driver.start("tested"))

    def do(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return self.runner.run(done())

    def run(self, code: str, seconds: float = 30.0) -> Ran:
        return self.do(self.session.run(code, seconds))

    def take(self, name: str, session: WasmSession | None = None) -> bytes:
        async def taken() -> bytes:
            return b"".join([piece async for piece in (session or self.session).take(name)])

        return self.do(taken())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_wasm() as (runner, driver):
        yield World(runner, driver)


def js(script: str) -> str:
    """Return Python that runs JavaScript in the runner's thread, as code would that wants out."""
    return f"import pyodide_js\npyodide_js.FS.readdir.constructor({script!r})()"


class TestCells:
    def test_variables_live_on(self, world: World) -> None:
        world.run("kept = 20")
        assert world.run("kept + 1") == Ran(logs="21\n")

    def test_what_is_printed_stands_in_order(self, world: World) -> None:
        ran = world.run("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')\n4")
        assert ran.logs == "one\ntwo\nthree\n4\n"

    def test_nul_is_replaced(self, world: World) -> None:
        assert world.run("print('a\\0b')").logs == "a\ufffdb\n"

    def test_a_semicolon_hides_the_value(self, world: World) -> None:
        assert world.run("5;").logs == ""

    def test_a_traceback_has_the_cells_own_frames(self, world: World) -> None:
        ran = world.run("def broken():\n    return 1 / 0\nbroken()")
        assert ran.raised
        assert ran.logs.startswith('Traceback (most recent call last):\n  File "<cell ')
        assert "return 1 / 0" in ran.logs
        assert "<kernel>" not in ran.logs
        assert ran.logs.endswith("ZeroDivisionError: division by zero\n")

    def test_a_syntax_error_is_shown_where_it_is(self, world: World) -> None:
        ran = world.run("x = (")
        assert ran.raised
        assert "'(' was never closed" in ran.logs
        assert "ast.py" not in ran.logs

    def test_a_package_that_is_not_there_is_said_not_to_be(self, world: World) -> None:
        ran = world.run("import numpy")
        assert ran.raised
        assert "No module named 'numpy'\nThere is Python's standard library here" in ran.logs
        assert "micropip" not in ran.logs

    @pytest.mark.parametrize(
        ("code", "raised", "logs"), [("exit()", False, ""), ("exit(3)", True, "SystemExit: 3\n")]
    )
    def test_leaving_ends_the_cell_and_not_the_session(
        self, world: World, code: str, raised: bool, logs: str
    ) -> None:
        assert world.run(f"import sys\nsys.{code}") == Ran(logs=logs, raised=raised)

    def test_nobody_answers_a_question(self, world: World) -> None:
        assert "EOFError" in world.run("input()").logs

    def test_coroutines_run(self, world: World) -> None:
        assert (
            world.run(
                "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 6\nasyncio.run(f())"
            ).logs
            == "6\n"
        )

    def test_output_beyond_the_bound_is_dropped_and_said_to_be(self, world: World) -> None:
        ran = world.run(f"print('x' * {3 * MOST_LOGS})\nprint('end')")
        assert len(ran.logs) < MOST_LOGS + 100
        assert "[Only the first 1024 KiB" in ran.logs
        assert ran.ended is None

    def test_random_numbers_are_others_in_each_session(self, world: World) -> None:
        code = "import random, secrets\nrandom.random()"
        other = world.new()
        assert world.run(code).logs != world.do(other.run(code)).logs
        world.do(other.end())

    def test_too_much_for_python_is_an_error_of_the_cell(self, world: World) -> None:
        ran = world.run("x = bytearray(1 << 30)")
        assert "MemoryError" in ran.logs
        assert ran.ended is None

    def test_endless_recursion_is_an_error_of_the_cell(self, world: World) -> None:
        ran = world.run("def f():\n    f()\nf()")
        assert "RecursionError" in ran.logs
        assert ran.ended is None


class TestStopping:
    def test_a_cell_that_takes_too_long_is_stopped_and_variables_are_kept(self, world: World) -> None:
        ran = world.run("before = 7\nprint('begun')\nwhile True:\n    pass", 0.2)
        assert ran.raised
        assert ran.logs.startswith("begun\n")
        assert "stopped after 0.2 seconds; variables are kept" in ran.logs
        assert ran.ended is None
        assert world.run("before").logs == "7\n"

    @pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether the cell has begun")
    def test_a_cell_that_is_called_off_stops_and_what_it_left_is_told_later(self, world: World) -> None:
        before = computed(world.session.pid)

        async def call_off() -> None:
            code = "kept = 8\nopen('late.txt', 'w').write('x')\nwhile True:\n    pass"
            cell = asyncio.create_task(world.session.run(code))
            await until_async(lambda: computed(world.session.pid) > before + 0.1)
            cell.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cell

        world.do(call_off())
        assert not world.session.over
        assert world.run("kept") == Ran(logs="8\n", left=(Left("late.txt", 1),))

    def test_one_that_does_not_listen_ends_the_session(self, world: World) -> None:
        session = world.new()
        ran = world.do(
            session.run(
                "print('begun')\nwhile True:\n  try:\n    while True: pass\n  except BaseException: pass", 0.2
            )
        )
        assert ran.ended == "time"
        assert ran.logs.startswith("begun\nThe cell did not stop when its time was up.")
        assert session.over
        with pytest.raises(SandboxTrouble, match="variables are gone"):
            world.do(session.run("1"))
        world.do(session.end())


class TestFiles:
    def test_they_go_in_and_come_out(self, world: World, tmp_path: Path) -> None:
        data = os.urandom(3 * 1024 * 1024 + 5)
        (tmp_path / "given").write_bytes(data)
        world.do(world.session.put("a b.bin", tmp_path / "given"))
        ran = world.run("data = open('/mnt/data/a b.bin', 'rb').read()\nopen('copy.bin', 'wb').write(data);")
        assert ran.left == (Left("copy.bin", len(data)),)
        assert world.take("copy.bin") == data

    def test_what_is_put_is_no_news_until_it_is_changed(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "given").write_text("old")
        world.do(world.session.put("news.txt", tmp_path / "given"))
        assert world.run("1;").left == ()
        assert world.run("open('news.txt', 'w').write('new');").left == (Left("news.txt", 3),)
        assert world.run("1;").left == ()

    def test_an_empty_one(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "given").touch()
        world.do(world.session.put("empty.txt", tmp_path / "given"))
        assert world.take("empty.txt") == b""

    def test_moved_and_cut_ones_are_news(self, world: World) -> None:
        world.run("open('first.txt', 'w').write('12345');")
        assert world.run("import os\nos.rename('first.txt', 'second.txt')").left == (Left("second.txt", 5),)
        assert world.run("os.truncate('second.txt', 2)").left == (Left("second.txt", 2),)

    def test_links_folders_and_odd_names_are_not_taken(self, world: World) -> None:
        ran = world.run(
            "import os\nos.symlink('/etc/passwd', 'link')\nos.mkdir('folder')\n"
            "for name in ('folder/in', '.hidden', r'a\\b', 'new\\nline', 'x' * 250 + '.csv'):\n"
            "    open(name, 'w').close()"
        )
        assert ran.left == (Left("x" * 250 + ".csv", 0),)
        for name in ("link", "folder", "none", "../x", ".hidden"):
            with pytest.raises(SandboxTrouble):
                world.take(name)

    def test_a_name_that_can_not_be_shown_stays_inside_and_the_session_lives(self, world: World) -> None:
        ran = world.run("for name in ('a\\u00a0b', 'shown'): open(name, 'w').close()\nodd = 5")
        assert (ran.ended, ran.left) == (None, (Left("shown", 0),))
        assert world.run("odd").logs == "5\n"

    def test_names_that_are_not_plain_are_not_put(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "given").touch()
        for name in ("../x", "/etc/x", "", ".", "a\x00b"):
            with pytest.raises(SandboxTrouble):
                world.do(world.session.put(name, tmp_path / "given"))

    def test_ten_thousand(self, world: World) -> None:
        ran = world.run("for n in range(10_000):\n    open(f'many{n:05}.txt', 'w').write('x')")
        assert [each.name for each in ran.left] == [f"many{n:05}.txt" for n in range(MOST_FILES)]
        assert ran.unseen == 10_000 - MOST_FILES
        assert world.run("import glob\nfor each in glob.glob('many*'):\n    os.unlink(each)").left == ()

    def test_they_have_a_bound_all_together(self, world: World, tmp_path: Path) -> None:
        block = MOST_DISK // 64
        ran = world.run(f"for n in range(70):\n    open(f'big{{n}}', 'wb').write(bytes({block}))")
        assert "No space left on device" in ran.logs
        assert not world.run("open('big.last', 'wb').write(bytes(1000))").raised
        (tmp_path / "given").write_bytes(bytes(block))
        with pytest.raises(SandboxTrouble, match="no room"):
            world.do(world.session.put("more", tmp_path / "given"))
        assert "No space left" in world.run("os.truncate('big0', 1 << 40)").logs
        assert not world.run("import glob\nfor each in glob.glob('big*'):\n    os.unlink(each)").raised
        world.do(world.session.put("more", tmp_path / "given"))


class TestHostile:
    """Code that has taken over its thread, as Pyodide lets it."""

    def ended(self, world: World, code: str, seconds: float = 20.0) -> Ran:
        session = world.new()
        try:
            ran = world.do(session.run(code, seconds))
            assert session.over == (ran.ended is not None)
            return ran
        finally:
            world.do(session.end())

    def test_a_forged_reply_ends_the_session(self, world: World) -> None:
        forged = b'{"id":"guessed","kind":"done","left":[["passwd",1]]}'
        frame = list(len(forged).to_bytes(4, "big") + bytes(4) + forged)
        ran = self.ended(world, js(f"Deno.stdout.writeSync(new Uint8Array({frame}))"))
        assert (ran.ended, ran.left) == ("died", ())

    def test_nonsense_ends_the_session(self, world: World) -> None:
        ran = self.ended(world, js("Deno.stdout.writeSync(new Uint8Array(100).fill(255))"))
        assert ran.ended == "died"

    def test_endless_output_ends_the_session(self, world: World) -> None:
        ran = self.ended(world, "while True:\n    print('x' * 100_000)")
        assert ran.ended == "output"
        assert len(ran.logs) < MOST_LOGS + 300

    def test_more_memory_than_allowed_ends_the_session(self, world: World) -> None:
        keep = "globalThis.kept = []; for (;;) globalThis.kept.push(new Uint8Array(1 << 24).fill(1))"
        assert self.ended(world, js(keep)).ended == "memory"

    def test_python_that_ends_is_seen(self, world: World) -> None:
        assert self.ended(world, "import os\nos._exit(0)").ended == "died"

    @pytest.mark.skipif(sys.platform != "linux", reason="computing time is looked at in /proc")
    def test_who_computes_unasked_is_ended(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clew.sandbox.wasm.session._MOST_IDLE", 0.5)
        session = world.new()
        source = "data:application/javascript,for(;;);"
        world.do(session.run(js(f"globalThis.busy = new Worker({source!r}, {{type: 'module'}})")))
        world.do(until_async(lambda: session.over))
        world.do(session.end())


_PARENT = """
import asyncio, sys
from pathlib import Path
from clew.ids import RandomIds
from clew.sandbox.wasm.driver import Wasm

async def main():
    session = await Wasm(Path(sys.argv[1]), RandomIds()).start("orphan")
    print(session.pid, flush=True)
    await session.run("while True: pass", 600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_outlives_a_killed_parent(world: World) -> None:
    command = [sys.executable, "-c", _PARENT, str(weights_cache())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        before = computed(pid)
        until(lambda: computed(pid) > before + 0.3)  # it is in the cell
        parent.kill()
    until(lambda: usage_of(pid) is None)


class TestPyodide:
    @pytest.fixture
    def archive(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Pyodide's files in an archive that lies where a download would, known by its hash."""
        archive = pyodide.folder_of(tmp_path).with_name("pyodide-314.0.7.tgz")
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz", compresslevel=1) as made:
            made.add(pyodide.folder_of(weights_cache()), "package", filter=_no_image)
        known = replace(pyodide.ARCHIVE, sha256=sha256_of(archive), size=archive.stat().st_size)
        monkeypatch.setattr(pyodide, "ARCHIVE", known)
        return archive

    def test_an_archive_that_lies_there_is_laid_out(self, archive: Path, tmp_path: Path) -> None:
        folder = pyodide.fetch_pyodide(tmp_path)
        assert pyodide.is_right(folder)
        assert not archive.exists()
        assert pyodide.fetch_pyodide(tmp_path) == folder

    def test_changed_files_are_replaced(self, archive: Path, tmp_path: Path) -> None:
        content = archive.read_bytes()
        folder = pyodide.fetch_pyodide(tmp_path)
        (folder / "pyodide.mjs").write_text("changed")
        archive.write_bytes(content)
        assert not pyodide.is_right(folder)
        assert pyodide.is_right(pyodide.fetch_pyodide(tmp_path))

    def test_wrong_bytes_are_deleted(self, archive: Path, tmp_path: Path) -> None:
        archive.write_bytes(bytes(archive.stat().st_size))
        with pytest.raises(WeightsError, match="wrong hash"):
            pyodide.fetch_pyodide(tmp_path)
        assert not archive.exists()
        assert not pyodide.folder_of(tmp_path).exists()


def _no_image(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.endswith(".image") else member


class TestDriver:
    def test_what_is_missing_is_said(self, world: World, tmp_path: Path) -> None:
        driver = Wasm(tmp_path, RandomIds())
        missing = world.do(driver.missing())
        assert missing is not None
        assert "clew code setup --wasm" in missing
        with pytest.raises(SandboxTrouble, match="clew code setup --wasm"):
            world.do(driver.start("tested"))

    def test_an_open_wall_is_refused(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        closed = [flag for flag in deno._CLOSED if flag != "--deny-env"]
        monkeypatch.setattr(deno, "_CLOSED", (*closed, "--allow-env"))
        missing = world.do(world.driver.missing())
        assert missing == "Deno does not hold here, so it is not used: code in it could see the environment"
