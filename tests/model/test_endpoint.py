"""Endpoints as their owners describe them: what is sent where, and what is refused at the start."""

import math
from pathlib import Path
from typing import Any

import pytest

from clew.model.endpoint import Endpoint, Prices
from clew.model.endpoints import endpoints_of
from clew.model.remote_models import make_remote_models
from clew.model.thinking import thinks_aloud
from clew.settings import WrongSettings, load
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("described", "address"),
    [
        ({"url": "http://h:1/v1"}, "http://h:1/v1/chat/completions"),
        ({"url": " http://h/v1/ "}, "http://h/v1/chat/completions"),
        ({"url": "http://h/v1/chat/completions"}, "http://h/v1/chat/completions"),
        ({"url": "http://h/v1?a=b"}, "http://h/v1/chat/completions?a=b"),
        ({"url": "http://h/v1?a=b", "query": {"c": "d e"}}, "http://h/v1/chat/completions?a=b&c=d+e"),
        ({"url": "http://h"}, "http://h/chat/completions"),
        (
            {
                "url": "https://x.openai.azure.com/openai/deployments/D",
                "query": {"api-version": "1"},
            },
            "https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=1",
        ),
        (
            {"url": "https://x.openai.azure.com/openai/deployments/D"},
            "https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-10-21",
        ),
        (
            {"url": "https://x.openai.azure.com/openai/v1"},
            "https://x.openai.azure.com/openai/v1/chat/completions",
        ),
    ],
)
def test_the_path_goes_before_the_query(described: dict[str, Any], address: str) -> None:
    assert str(Endpoint(**described).address()) == address


@pytest.mark.parametrize(
    ("url", "azure"),
    [
        ("https://x.openai.azure.com/openai/v1", True),
        ("http://127.0.0.1:1/openai/deployments/gpt", True),
        ("https://api.groq.com/openai/v1", False),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", False),
    ],
)
def test_azure_is_known_by_its_address(url: str, azure: bool) -> None:
    assert Endpoint(url=url).is_azure == azure


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"url": "ftp://h"}, "url must look like"),
        ({"url": "http://"}, "url must look like"),
        ({"url": "http://h:port"}, "url must look like"),
        ({"url": "http://user:hunter2@h/v1"}, "user or a password"),
        ({"url": "http://h/v1/ü"}, "character"),
        ({"url": "http://h", "key": "schlüssel-hunter2"}, "ASCII"),
        ({"url": "http://h", "key": "a\nhunter2"}, "ASCII"),
        ({"url": "http://h", "headers": {"x y": "hunter2"}}, "headers"),
        ({"url": "http://h", "headers": {"x": "hunter2\r\nb: c"}}, "headers"),
        ({"url": "http://h", "key": "hunter2", "key_file": "f"}, "only one"),
        ({"url": "http://h", "key_command": []}, "list"),
        ({"url": "http://h", "colour": "hunter2"}, "colour"),
        ({"url": "http://h o/v1"}, "character"),
        ({"url": "http://h", "key_command": ["program", "hunter2\0"]}, "key_command"),
        ({"url": "http://h", "timeout": 0}, "timeout"),
        ({"url": "http://h", "timeout": math.inf}, "timeout"),
        ({"url": "http://h", "retry_for": math.inf}, "retry_for"),
        ({"url": "http://h", "retry_for": math.nan}, "retry_for"),
        ({"url": "http://h", "prices": {"prompt": math.inf, "completion": 1}}, "prices.prompt"),
        ({"url": "http://h", "prices": {"prompt": 1, "completion": 1e300}}, "prices.completion"),
        ({"url": "http://h", "prices": {"prompt": 1}}, "completion"),
        ({"url": "http://h", "fallback": "hunter"}, "fallback names no other model"),
        ({"key": "hunter2"}, "url"),
    ],
)
def test_what_can_not_be_stops_the_start_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: dict[str, Any], said: str
) -> None:
    settings = load(data_dir=tmp_path, models={"mine": described})
    with pytest.raises(WrongSettings, match=said) as wrong:
        endpoints_of(settings)
    assert "models.mine" in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


def test_the_settings_of_one_model_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_MODEL_URL", "http://one/v1")
    monkeypatch.setenv("CLEW_MODEL_API_KEY", "sk-one")
    monkeypatch.setenv("CLEW_MODELS", '{"big": {"url": "http://big/v1", "name": "big-70b", "key": "sk-big"}}')
    found = endpoints_of(load(data_dir=tmp_path))
    assert (found["default"].url, found["default"].key) == ("http://one/v1", "sk-one")
    assert (found["big"].url, found["big"].name) == ("http://big/v1", "big-70b")


def test_tables_are_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clew.toml").write_text(
        '[models.default]\nurl = "http://table/v1"\nname = "m"\ndrop = ["temperature"]\n\n'
        '[models."meta/llama"]\nurl = "http://other/v1"\nprices = { prompt = 1, completion = 2.5 }\n'
    )
    found = endpoints_of(load(data_dir=tmp_path))
    assert found["default"].url == "http://table/v1"
    assert found["meta/llama"].prices == Prices(prompt=1, completion=2.5)
    monkeypatch.setenv("CLEW_MODEL_URL", "http://environment/v1")
    found = endpoints_of(load(data_dir=tmp_path))
    assert (found["default"].url, found["default"].name) == ("http://environment/v1", "m")


def test_a_key_in_the_environment_wins_over_a_tables_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clew.toml").write_text('[models.default]\nurl = "http://h/v1"\nkey_file = "/run/key"\n')
    assert endpoints_of(load(data_dir=tmp_path))["default"].key_file == "/run/key"
    monkeypatch.setenv("CLEW_MODEL_API_KEY", "sk-one")
    found = endpoints_of(load(data_dir=tmp_path))["default"]
    assert (found.key, found.key_file) == ("sk-one", None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLEW_MODEL_URL", "http://user:hunter2@h/v1", "CLEW_MODEL_URL: must not hold a user"),
        ("CLEW_MODEL_API_KEY", "schlüssel", "CLEW_MODEL_API_KEY: has a character"),
        ("CLEW_MODELS", "[1]", "CLEW_MODELS: must be"),
        ("CLEW_MODELS", "{", "CLEW_MODELS: must be a JSON object"),
    ],
)
def test_a_wrong_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("CLEW_MODEL_URL", "http://h/v1")
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=said):
        endpoints_of(load(data_dir=tmp_path))


def test_agents_ask_for_names_and_the_default_takes_the_others(tmp_path: Path) -> None:
    tables = {
        "small": {"url": "http://h/v1", "name": "llama-8b", "fallback": "default"},
        "plain": {"url": "http://h/v1"},
        "default": {"url": "http://h/v1"},
    }
    models = make_remote_models(load(data_dir=tmp_path, models=tables), ManualClock())
    assert models is not None
    assert [(each.endpoint, each.model) for each in models.chain("small")] == [
        ("small", "llama-8b"),
        ("default", "default"),
    ]
    assert models.chain("plain")[0].model == "plain"
    assert (models.chain("gpt-9")[0].endpoint, models.chain("gpt-9")[0].model) == ("default", "gpt-9")
    assert models.knows("gpt-9")
    without = make_remote_models(load(data_dir=tmp_path, models={"plain": tables["plain"]}), ManualClock())
    assert without is not None
    assert (without.knows("gpt-9"), without.names) == (False, ("plain",))


def test_models_that_think_aloud_are_known_by_name() -> None:
    assert thinks_aloud("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")
    assert not thinks_aloud("gpt-4o")
    assert Endpoint(url="http://h", think="hide").hides_thoughts("gpt-4o")
    assert not Endpoint(url="http://h", think="keep").hides_thoughts("qwq-32b")
