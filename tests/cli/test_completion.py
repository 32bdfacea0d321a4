"""``clew help`` and ``clew completion``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Clew

BASH = """
source "$1"
COMP_WORDS=($2) COMP_CWORD=$3
_clew_completion clew "${COMP_WORDS[$3]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_help_is_that_of_the_command(clew: Clew) -> None:
    said = clew("help", "runs", "explain").stdout
    assert said.replace("cli ", "") == clew("runs", "explain", "--help").stdout.replace("cli ", "")
    assert "Commands:" in clew("help").stdout
    assert "No such command 'explode'" in clew("help", "runs", "explode", code=2).stderr
    assert "No such command 'x'" in clew("help", "stats", "x", code=2).stderr


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH with the command on it, as an installation has it."""
    command = tmp_path / "bin" / "clew"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m clew.cli.main "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("clew thr", ["threads"]),
        ("clew runs ex", ["explain"]),
        ("clew runs list --stat", ["--status"]),
        ("clew runs list --status comp", ["completed"]),
        ("clew --prof", ["--profile"]),
    ],
)
def test_bash_completes(clew: Clew, tmp_path: Path, words: str, found: list[str]) -> None:
    script = tmp_path / "completion"
    script.write_text(clew("completion", "bash").stdout)
    last = str(len(words.split()) - 1)
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", script, words, last], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == found, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(clew: Clew, shell: str) -> None:
    assert "_CLEW_COMPLETE" in clew("completion", shell).stdout


def test_completing_a_command_imports_none() -> None:
    code = "import sys, click; from clew.cli.main import cli;" + (
        "assert cli.shell_complete(click.Context(cli), 's');"
        "print([m for m in ('rich', 'msgspec', 'clew.settings') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
