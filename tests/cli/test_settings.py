"""Settings: where they come from, which comes first, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest

from clew.settings import FROM_FILES, Secret, Settings, WrongSettings, about, load


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
        ("embeddings_url", "none", "none"),
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


def test_every_secret_can_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        name for name in Settings.__struct_fields__ if Secret in getattr(about(name).kind, "__args__", ())
    }
    assert secrets
    assert set(FROM_FILES) == secrets | {"database_url", "bus_url"}
    values = dict.fromkeys(secrets, "0123456789abcdef0123456789abcdef")
    values |= {"database_url": "postgresql://clew:password@db/clew", "bus_url": "nats://clew:password@bus"}
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setenv(f"CLEW_{name.upper()}_FILE", str(tmp_path / name))
    settings = load()
    for name, value in values.items():
        known = getattr(settings, name)
        assert (known.reveal() if isinstance(known, Secret) else known) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"CLEW_API_KEY_FILE: .*key can't be read: No such file or directory"),
        ("\n", "CLEW_API_KEY_FILE: .*key is empty"),
    ],
)
def test_a_secret_file_that_does_not_help_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    monkeypatch.setenv("CLEW_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(WrongSettings, match=said):
        load()


def test_a_secret_twice_is_refused_without_telling_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("one-long-secret-key-in-a-file")
    monkeypatch.setenv("CLEW_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("CLEW_API_KEY", "another-long-secret-key")
    with pytest.raises(WrongSettings, match="CLEW_API_KEY is set too; leave one of them out") as caught:
        load()
    assert "secret" not in str(caught.value)


def test_what_is_wrong_in_a_file_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("mysql://clew:hidden@db")
    monkeypatch.setenv("CLEW_DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(WrongSettings, match="CLEW_DATABASE_URL: must look like") as caught:
        load()
    assert "hidden" not in str(caught.value)
