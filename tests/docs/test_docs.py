"""The documentation says what is so: its code runs, its tables come from the code, its links lead somewhere.

    python tests/docs/test_docs.py --write

writes the generated tables.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from bench.table import markdown
from clew.cli.main import cli
from clew.core.states import MOVES
from clew.settings import Settings, about
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")]
TESTED_ELSEWHERE = {"testing-your-app.md", "toolkit.md"}
"""Pages whose code has tests of its own."""

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
_SECTION = r"(<!-- {name}: [^\n]* -->\n)(.*?)(<!-- /{name} -->)"


def settings_table() -> str:
    """Return docs/settings.md's table."""
    rows = ["| variable | default | what |", "|---|---|---|"]
    for name in Settings.__struct_fields__:
        description, _, default = about(name)
        shown = "" if default in (None, msgspec.NODEFAULT, "") else f"`{default}`"
        rows.append(f"| `CLEW_{name.upper()}` | {shown} | {description} |")
    return "\n".join(rows) + "\n"


def moves_table() -> str:
    """Return docs/runs.md's table."""
    rows = ["| from | to | because |", "|---|---|---|"]
    rows += [f"| `{move.source}` | `{move.target}` | {move.cause} |" for move in MOVES]
    return "\n".join(rows) + "\n"


def command_help() -> str:
    """Return docs/cli.md's help texts: of every command, and of every command of a group."""
    return "\n".join(
        _help_of(cli, "clew", click.Context(cli, info_name="clew", **cli.context_settings), level=2)
    )


def _help_of(command: click.Command, name: str, context: click.Context, level: int) -> Iterator[str]:
    context.terminal_width = 100
    yield f"{'#' * level} {name}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            inner = click.Context(below, info_name=each, parent=context)
            yield from _help_of(below, f"{name} {each}", inner, level + 1)


GENERATED = {
    "settings.md": ("settings", settings_table),
    "runs.md": ("moves", moves_table),
    "cli.md": ("help", command_help),
    "performance.md": ("figures", markdown),
}


def generated(page: Path) -> str:
    """Return a page with its table as it should be."""
    name, table = GENERATED[page.name]
    text = page.read_text(encoding="utf-8")
    return re.sub(_SECTION.format(name=name), lambda m: m[1] + table() + m[3], text, flags=re.DOTALL)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_tables_are_up_to_date(name: str) -> None:
    page = ROOT / "docs" / name
    assert page.read_text(encoding="utf-8") == generated(page), "run python tests/docs/test_docs.py --write"


def test_help_is_the_same_on_every_machine(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "the-home-of-somebody-with-a-long-name")
    machine = {"HOME": elsewhere, "XDG_DATA_HOME": elsewhere, "LOCALAPPDATA": elsewhere, "COLUMNS": "50"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tests.docs.test_docs import command_help; print(command_help(), end='')",
        ],
        cwd=ROOT,
        env={**os.environ, **machine, "TERM": "dumb", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stdout == command_help(), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [
        link for link in _LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()
    ]
    assert not missing


def blocks() -> list[tuple[str, str]]:
    """Return the code blocks of all pages but those that are tested elsewhere."""
    return [
        (f"{page.name}-{number}", block)
        for page in PAGES
        if page.name not in TESTED_ELSEWHERE
        for number, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")), 1)
    ]


@pytest.mark.parametrize(("name", "block"), [pytest.param(*each, id=each[0]) for each in blocks()])
def test_code_runs_or_stands_in_an_example(name: str, block: str, documented_server: RunningServer) -> None:
    if any(_dedented(block) in _dedented(example) for example in EXAMPLES):
        return
    done = subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, **documented_server.environment, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name}:\n{done.stderr}"


def _dedented(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines() if line.strip())


@pytest.fixture(scope="module")
def documented_server() -> Iterator[RunningServer]:
    with ScriptedModel() as model, RunningServer(model, tls=True) as server:
        yield server


if __name__ == "__main__":
    if "--write" in sys.argv:
        for changed in GENERATED:
            path = ROOT / "docs" / changed
            path.write_text(generated(path), encoding="utf-8")
