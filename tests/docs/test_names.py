"""What pages for developers name is there: files, modules, and what stands in them."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from clew.core import due, entries, events, records

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "CONTRIBUTING.md",
    *(
        ROOT / "docs" / name
        for name in ("architecture.md", "glossary.md", "durability.md", "embedded-model.md")
    ),
    ROOT / "docs" / "performance.md",
    ROOT / "docs" / "tools.md",
]
HERE = (ROOT, ROOT / "src" / "clew")
"""Where a path that a page names may begin."""

_PATH = re.compile(r"`((?:[a-z_]+/)*(?:[a-z0-9_]+\.(?:py|md|sql)|[a-z_]+/))`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_NAME = re.compile(r"`([A-Za-z_]+(?:\.\w+)*)/?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in _PATH.findall(text) if not any((start / path).exists() for start in HERE)]
    missing += [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_the_glossary_leads_to_what_it_names() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    places = [line.split("|")[3] for line in text.splitlines() if line.startswith("|")]
    named = [name for place in places for name in _NAME.findall(place)]
    assert len(named) > 40
    assert [name for name in named if not _is_there(name)] == []


def test_the_glossary_is_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()[6:] if " | " in line]
    assert words == sorted(words)


def _is_there(name: str) -> bool:
    """Whether there is a module of this name below clew, something in a module, or a field of a record."""
    if name[0].isupper():
        record, _, field = name.partition(".")
        kinds = (getattr(module, record, None) for module in (records, events, entries, due))
        return any(kind is not None and field in _fields(kind) for kind in kinds)
    module, _, inside = f"clew.{name}".rpartition(".")
    return _is_module(f"clew.{name}") or (_is_module(module) and hasattr(import_module(module), inside))


def _fields(kind: type) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
