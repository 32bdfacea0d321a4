"""The command itself: help, exit codes, laziness."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.cli.problems import FAILED, NOT_FOUND, TIMED_OUT, Problem
from clew.store.database import StoreError


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_DATA_DIR", str(tmp_path_factory.mktemp("data")))


def test_help_names_every_command_with_examples() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert 'eval "$(clew env)"' in result.stdout
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert f"\n  {name} " in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from clew.cli.main import cli; cli.main(['--help'], standalone_mode=False);" + (
        "print([m for m in ('pydantic', 'rich', 'msgspec', 'clew.settings', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout == "clew, version 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["serve", "--port", "99999"], "99999"),
        (["env", "--shell", "csh"], "csh"),
        (["env", "--url", "somewhere"], "is not a URL"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLEW_PORT", "many", "Error: CLEW_PORT: must be a whole number from 0 to 65535"),
        ("CLEW_PROJECT", "no spaces please", "Error: CLEW_PROJECT: must be text that matches"),
    ],
)
def test_a_wrong_setting_is_one_line_and_2(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, ["env"])
    assert result.exit_code == 2
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem("no"), 1),
        (Problem("no", NOT_FOUND), 3),
        (TimeoutError("too slow"), 4),
        (PermissionError("not yours"), 3),
        (OSError("disk full"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("how?"), 2),
    ],
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli, "get_command", lambda context, name: failing)
    result = CliRunner().invoke(cli, ["failing"])
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_a_server_that_did_not_answer_in_time_is_a_time_out() -> None:
    unreachable = StoreError("Cannot use the PostgreSQL database")
    assert Problem.of(unreachable).code == FAILED
    unreachable.__cause__ = TimeoutError()
    assert Problem.of(unreachable).code == TIMED_OUT


def test_models_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(cli, ["models", "list"])
    assert result.exit_code == 0
    assert "qwen2.5-coder-0.5b" in result.stdout
    assert "491 MB" in result.stdout
    assert CliRunner().invoke(cli, ["models", "pull", "gpt-17"]).exit_code == 3
