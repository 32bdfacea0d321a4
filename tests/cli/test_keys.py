"""The API key."""

import multiprocessing
import stat
import sys
from pathlib import Path

import pytest

from clew import ids
from clew.cli import keys
from clew.cli.files import create_private, write_private
from clew.cli.problems import USAGE, Problem
from clew.cli.serve import check_key
from clew.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("CLEW_API_KEY", raising=False)
    return load(data_dir=tmp_path / "clew")


def test_is_made_once_and_is_private(settings: Settings) -> None:
    assert keys.existing_key(settings) is None
    assert not settings.data_dir.exists()
    key = keys.api_key(settings)
    assert key.startswith("clew_")
    assert keys.api_key(settings) == keys.existing_key(settings) == key
    assert keys.key_path(settings).read_text() == f"{key}\n"
    if sys.platform != "win32":
        assert stat.S_IMODE(keys.key_path(settings).stat().st_mode) == 0o600
        assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert [path.name for path in settings.data_dir.iterdir()] == ["api-key"]


def test_the_environment_wins(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.api_key(settings)
    monkeypatch.setenv("CLEW_API_KEY", "mine")
    assert keys.api_key(load(data_dir=settings.data_dir)) == "mine"
    monkeypatch.setenv("CLEW_API_KEY", "")
    assert keys.api_key(load(data_dir=settings.data_dir)).startswith("clew_")


def test_a_readable_key_is_made_private_again(settings: Settings) -> None:
    key = keys.api_key(settings)
    path = keys.key_path(settings)
    path.chmod(0o644)
    assert keys.api_key(settings) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_key_is_refused(settings: Settings) -> None:
    write_private(keys.key_path(settings), b"\n")
    with pytest.raises(Problem, match="is empty") as raised:
        keys.api_key(settings)
    assert raised.value.code == 3


def _make(
    data_dir: Path, start: "multiprocessing.synchronize.Event", answers: "multiprocessing.Queue[str]"
) -> None:
    start.wait()
    answers.put(keys.api_key(load(data_dir=data_dir)))


def test_processes_that_race_get_the_same_key(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    start, answers = context.Event(), context.Queue()
    processes = [context.Process(target=_make, args=(settings.data_dir, start, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    found = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert found == {keys.api_key(settings)}


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr("os.link", no_links)
    assert create_private(tmp_path / "key", b"one") == b"one"
    assert create_private(tmp_path / "key", b"two") == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("key", ["a", "changeme", "fifteen-letters", "a" * 40])
def test_a_key_that_can_be_guessed_is_refused_where_others_reach_it(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(Problem, match="can be reached from elsewhere") as refused:
            check_key(Settings(data_dir=tmp_path, host=host, tls=True), key)
        assert refused.value.code == USAGE
        assert key not in refused.value.message.split()
    check_key(Settings(data_dir=tmp_path), key)
    assert "can guess it" in caplog.text


def test_a_blank_key_is_refused_everywhere(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="blank"):
        check_key(Settings(data_dir=tmp_path), "  ")


def test_a_made_key_is_strong_and_a_network_without_tls_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = ids.new_api_key()
    check_key(Settings(data_dir=tmp_path), key)
    check_key(Settings(data_dir=tmp_path, host="0.0.0.0", tls=True), key)
    assert caplog.text == ""
    check_key(Settings(data_dir=tmp_path, host="0.0.0.0"), key)
    assert "without --tls" in caplog.text
