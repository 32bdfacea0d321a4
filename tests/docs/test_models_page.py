"""docs/models.md: it explains every key of a table, its examples are tables, and what was tried is there."""

import re
import tomllib
from pathlib import Path

import pytest

from clew.model.endpoint import Endpoint
from clew.model.endpoints import endpoints_of
from clew.settings import load
from clew.testing.oddities import ODDITIES

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECTIONS = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NAMED = {
    "OpenAI", "Azure OpenAI", "Ollama", "vLLM", "llama.cpp", "LM Studio", "OpenRouter", "Mistral", "Gemini",
    "DeepSeek", "Anthropic and Bedrock, behind gateways", "LiteLLM",
}  # fmt: skip


def test_every_key_of_a_table_is_explained_once() -> None:
    (rows,) = re.findall(r"^\| key \| what it is \|\n\|---\|---\|\n((?:\|[^\n]*\n)+)", PAGE, re.MULTILINE)
    keys = [key for row in rows.splitlines() for key in re.findall(r"`(\w+)`", row.split(" | ")[0])]
    assert sorted(keys) == sorted(Endpoint.__struct_fields__)


@pytest.mark.parametrize("table", TABLES)
def test_every_example_is_a_table_that_the_server_takes(table: str, tmp_path: Path) -> None:
    (tmp_path / "clew.toml").write_text(table)
    assert set(endpoints_of(load(data_dir=tmp_path))) == set(tomllib.loads(table)["models"])


def test_every_endpoint_has_its_table_and_what_was_tried_is_there() -> None:
    assert set(SECTIONS) == NAMED
    for name, section in SECTIONS.items():
        assert "```toml\n[models." in section, name
        assert "tried" in section.lower(), name
        for said in re.findall(r"Tried:([^.;]*)", section):
            tried = re.findall(r"`(\w+)`", said)
            assert tried, name
            assert set(tried) <= ODDITIES.keys(), name
