"""``clew code``: the sandbox by hand. What code leaves is as hostile here as anywhere."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner, Result

from clew.cli.main import cli
from clew.installing import how_to_add
from clew.sandbox import setup
from tests.sandbox.conftest import unavailable
from tests.sandbox.processes import descendants, used
from tests.support.wait import until

WHY = unavailable("bwrap")
needs_bwrap = pytest.mark.skipif(WHY is not None, reason=str(WHY))


def _clew(home: Path, *arguments: str, stdin: str | None = None, **environment: str) -> Result:
    given = {"CLEW_DATA_DIR": str(home), "COLUMNS": "200", **environment}
    return CliRunner().invoke(cli, ["code", *arguments], input=stdin, env=given)


def _program(folder: Path, source: str) -> str:
    path = folder / "program.py"
    path.write_text(source, encoding="utf-8")
    return str(path)


@needs_bwrap
def test_a_file_is_run_and_what_it_leaves_is_saved_beside_what_is_there(tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "points.csv"
    out.mkdir()
    (out / "sums.txt").write_text("mine")
    table.write_text("1\n2\n")
    source = "total = sum(map(int, open('/mnt/data/points.csv')))\n"
    source += "open('/mnt/data/sums.txt', 'w').write(str(total))\ntotal"
    for _ in range(2):
        done = _clew(
            tmp_path / "home", "run", _program(tmp_path, source), "--file", str(table), "--out", str(out)
        )
        assert done.exit_code == 0, done.output
        assert done.stdout == "3\n"
    assert {each.name: each.read_text() for each in out.iterdir()} == {
        "sums.txt": "mine",
        "sums_2.txt": "3",
        "sums_3.txt": "3",
    }
    assert not (tmp_path / "home").exists(), "running code has made a data directory"


@needs_bwrap
def test_code_that_raises_or_ends_fails_and_steers_no_terminal(tmp_path: Path) -> None:
    raised = _clew(tmp_path, "run", _program(tmp_path, "print('\\x1b]0;title\\x07\\x1b[31mred')\n1/0"))
    assert raised.exit_code == 1
    assert raised.stdout.startswith("red\n")
    assert "\x1b" not in raised.output
    assert "ZeroDivisionError" in raised.stdout
    ended = _clew(tmp_path, "run", _program(tmp_path, "import os; os._exit(0)"))
    assert ended.exit_code == 1
    assert "Python ended." in ended.stdout


@needs_bwrap
def test_files_are_not_saved_unasked_and_not_outside_of_their_folder(tmp_path: Path) -> None:
    source = "import os\nopen('/mnt/data/.hidden', 'w').write('x')\nopen('/mnt/data/-rf', 'w').write('y')\n"
    unasked = _clew(tmp_path, "run", _program(tmp_path, source))
    assert "--out FOLDER saves them" in unasked.stderr
    out = tmp_path / "out"
    _clew(tmp_path, "run", _program(tmp_path, source), "--out", str(out))
    assert [each.name for each in out.iterdir()] == ["rf"]


def test_where_there_is_no_sandbox_it_says_what_to_bring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _program(tmp_path, "1")
    off = _clew(tmp_path, "run", program, CLEW_SANDBOX="off")
    assert (off.exit_code, off.stderr) == (1, "Error: CLEW_SANDBOX is off: code is run nowhere\n")
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: None)
    missing = _clew(tmp_path, "run", program, CLEW_SANDBOX="bwrap")
    assert missing.exit_code == 1
    assert f"run: {how_to_add('code')}" in missing.stderr
    assert "Traceback" not in missing.output


@needs_bwrap
def test_cells_that_are_piped_share_a_session_and_a_new_one_follows_its_end(tmp_path: Path) -> None:
    typed = "x = 5\nfor n in range(2):\n    print(n)\n\nx + 1\nimport os; os._exit(1)\nx\n'still here'\n"
    done = _clew(tmp_path, "shell", stdin=typed)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("0\n1\n6\nPython ended.")
    assert "NameError: name 'x' is not defined\n'still here'\n" in done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator["pexpect.spawn[str]"]:
    environment = {**os.environ, "CLEW_DATA_DIR": str(tmp_path), "TERM": "dumb"}
    command = ["-m", "clew.cli.main", "code", "shell"]
    child = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=60, env=environment)
    yield child
    child.close(force=True)


@needs_bwrap
def test_ctrl_c_interrupts_a_cell_whose_session_lives_on_and_ctrl_d_ends(
    shell: "pexpect.spawn[str]",
) -> None:
    shell.expect_exact(">>> ")
    shell.sendline("x = 41")
    shell.expect_exact(">>> ")
    shell.sendline("sum(0 for _ in iter(int, 1))")  # never ends
    until(lambda: any(used(each) > 0.5 for each in descendants(shell.pid or 0)))
    shell.sendintr()
    shell.expect_exact("(interrupted)")
    shell.expect_exact(">>> ")
    shell.sendline("for n in [1]:")
    shell.expect_exact("... ")
    shell.sendintr()
    shell.expect_exact("(Ctrl-D ends)")
    shell.expect_exact(">>> ")
    shell.sendline("x + 1")
    shell.expect_exact("42")
    shell.expect_exact(">>> ")
    shell.sendeof()
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 0


def _made(home: Path, lock: bytes) -> Path:
    """Make what looks like a venv, with no packages; return its Python."""
    import venv

    target = setup.folder(home)
    target.parent.mkdir(parents=True)
    venv.create(target, symlinks=True)
    (target / "packages.lock").write_bytes(lock)
    return target / "bin" / "python"


def test_what_is_set_up_is_left_alone_and_an_old_one_is_told(tmp_path: Path) -> None:
    python = _made(tmp_path, setup.LOCK.read_bytes())
    done = _clew(tmp_path, "setup")
    assert (done.exit_code, done.stderr) == (0, f"It is there already: {python}\n")
    python.parent.parent.joinpath("packages.lock").write_bytes(b"older")
    assert "other packages, --again installs them" in _clew(tmp_path, "setup").stderr


def test_packages_that_can_not_be_had_leave_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = _made(tmp_path, b"older")
    lock = tmp_path / "packages.lock"
    lock.write_text("numpy==2.4.6 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(setup, "LOCK", lock)
    done = _clew(
        tmp_path, "setup", "--again", PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull
    )
    assert done.exit_code == 1
    first, *_, last = done.stderr.splitlines()
    assert "downloads 55 MB, takes 260 MB" in first
    assert last.startswith("Error: pip could not install the packages: ERROR: ")
    assert python.exists()
    assert [each.name for each in python.parents[2].iterdir()] == [python.parents[1].name]
