"""Settings: where they come from, which comes first, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest

from clew.settings import Settings, WrongSettings, load


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Settings.__struct_fields__:
        monkeypatch.delenv(f"CLEW_{name.upper()}", raising=False)
    monkeypatch.setenv("CLEW_DATA_DIR", str(tmp_path))
    return tmp_path


def test_flags_then_environment_then_file_then_defaults(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().port == 8787
    (data_dir / "clew.toml").write_text("port = 1\nmodel_timeout = 2\nworker = true\n")
    assert load().port == 1
    monkeypatch.setenv("CLEW_PORT", "2")
    assert load(host=None).port == 2
    assert load(port=3).port == 3
    assert load().model_timeout == 2.0
    monkeypatch.setenv("CLEW_PORT", "")
    assert load().port == 1


def test_the_file_lies_in_the_data_directory_that_a_flag_names(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "clew.toml").write_text("port = 4\n")
    assert load(data_dir=other).port == 4
    assert load().port == 8787


@pytest.mark.parametrize(
    ("name", "value", "is_now"),
    [
        ("tls", "true", True),
        ("tls", "1", True),
        ("tls", "On", True),
        ("tls", "no", False),
        ("drain_timeout", "0", 0.0),
        ("daily_token_budget", "5", 5),
        ("model_file", "weights.gguf", Path("weights.gguf")),
        ("model_limit_field", "max_tokens", "max_tokens"),
        ("data_dir", "relative", Path("relative").absolute()),
        ("data_dir", "~/clew", Path.home() / "clew"),
        ("database_url", "sqlite:///here.db", "sqlite:///here.db"),
        ("model_name", "123", "123"),
    ],
)
def test_text_becomes_what_the_setting_is(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_now: object
) -> None:
    monkeypatch.setenv(f"CLEW_{name.upper()}", value)
    assert getattr(load(), name) == is_now


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        ("port", "many", "must be a whole number from 0 to 65535"),
        ("port", 65536, "must be a whole number from 0 to 65535"),
        ("port", 1.5, "must be a whole number from 0 to 65535"),
        ("tls", "perhaps", "must be true or false"),
        ("model_timeout", "0", "must be a number above 0"),
        ("model_timeout", "inf", "must be a number that is not infinite"),
        ("drain_timeout", float("inf"), "must be a number that is not infinite"),
        ("takeover_after", "Infinity", "must be a number that is not infinite"),
        ("daily_token_budget", "0", "must be a whole number from 1"),
        ("daily_token_budget", "some", "must be a whole number from 1"),
        ("project", "no spaces please", "must be text that matches ^[A-Za-z0-9]"),
        ("project", "default\n", "must be text that matches ^[A-Za-z0-9]"),
        ("sqlite_synchronous", "OFF", "must be FULL or NORMAL"),
        ("api_key", 17, "must be text"),
        ("model_file", 17, "must be text"),
        ("host", 17, "must be text"),
        ("bus_url", "localhost", "must look like nats://"),
        ("database_url", "mysql://h/d", "must look like sqlite:"),
        ("database_url", "sqlite:///", "must look like sqlite:"),
        ("model_url", "ftp://h", "must look like http://"),
        ("bus_url", "nats://h:4222", "is for several processes on PostgreSQL"),
        ("worker", "off", "false, and without CLEW_BUS_URL"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(name: str, value: Any, must: str) -> None:
    with pytest.raises(WrongSettings) as raised:
        load(**{name: value})
    assert str(raised.value).startswith(f"CLEW_{name.upper()}: {must}")


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_PORT", "many")
    monkeypatch.setenv("CLEW_TLS", "perhaps")
    with pytest.raises(WrongSettings, match=r"CLEW_PORT: .*; CLEW_TLS: "):
        load()


def test_secrets_are_not_shown(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_API_KEY", "hush-hush")
    settings = load()
    assert settings.api_key is not None
    assert settings.api_key.reveal() == "hush-hush"
    assert "hush" not in f"{settings!r} {settings} {settings.api_key} {settings.api_key!r}"
    (data_dir / "clew.toml").write_text("model_api_key = ['hush-hush']\n")
    with pytest.raises(WrongSettings) as raised:
        load()
    assert "hush" not in str(raised.value)


def test_a_file_that_is_not_toml_or_says_unknown_things(data_dir: Path) -> None:
    path = data_dir / "clew.toml"
    path.write_text("port =\n")
    with pytest.raises(WrongSettings, match=r"clew\.toml: "):
        load()
    path.write_text("prot = 1\n")
    with pytest.raises(WrongSettings, match=r"clew\.toml: there is no setting prot"):
        load()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WrongSettings, match=r"clew\.toml: "):
        load()


def test_a_flag_that_is_no_setting_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        load(prot=1)
