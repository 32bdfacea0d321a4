"""Keys from files and programs, kept for as long as they are good."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from clew.model import keys
from clew.model.chat import ModelError
from clew.model.endpoint import Endpoint
from clew.model.keys import KeySource
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

URL = "http://h/v1"


def _source(clock: ManualClock, program: str) -> KeySource:
    return KeySource(Endpoint(url=URL, key_command=[sys.executable, "-c", program]), clock)


def _counting(folder: Path, said: str) -> str:
    """Return a program that says something, and counts how often it is asked."""
    return f"open({str(folder / 'asked')!r}, 'a').write('x'); print({said!r})"


def _asked(folder: Path) -> int:
    return len((folder / "asked").read_text())


async def test_a_key_of_the_settings_is_trimmed() -> None:
    assert await KeySource(Endpoint(url=URL, key=" sk-1 "), ManualClock()).key() == "sk-1"
    assert await KeySource(Endpoint(url=URL), ManualClock()).key() is None


async def test_a_file_is_read_anew_when_its_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    source = KeySource(Endpoint(url=URL, key_file=str(path)), ManualClock())
    assert await source.key() == "first"
    path.write_text("second\n")
    assert await source.key() == "first"
    assert source.refused("first")
    assert await source.key() == "second"


async def test_a_token_is_kept_until_it_expires(tmp_path: Path) -> None:
    clock = ManualClock()
    ends = clock.now() // 1000 + 600
    source = _source(clock, _counting(tmp_path, json.dumps({"accessToken": "t-1", "expires_on": ends})))
    assert [await source.key() for _ in range(3)] == ["t-1"] * 3
    assert _asked(tmp_path) == 1
    clock.advance(550_000)
    assert await source.key() == "t-1"
    assert _asked(tmp_path) == 2, "a minute before its end it is asked for anew"


async def test_a_plain_token_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    source = _source(ManualClock(), _counting(tmp_path, "t-1"))
    assert await source.key() == "t-1"
    assert source.refused("t-1")
    assert await source.key() == "t-1"
    assert _asked(tmp_path) == 2


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; print('hunter2'); sys.exit(3)", "ended with code 3"),
        ("pass", "is none"),
        ("print('schlüssel')", "is none"),
        ("import time; time.sleep(60)", "longer than"),
    ],
)
async def test_a_program_that_gives_no_key_is_told_of(
    program: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_TIMEOUT", 2.0)
    with pytest.raises(ModelError, match=said) as failed:
        await _source(ManualClock(), program).key()
    assert "hunter2" not in failed.value.message


@pytest.mark.parametrize(
    "endpoint",
    [Endpoint(url=URL, key_file="/nowhere/key"), Endpoint(url=URL, key_command=["/nowhere/program"])],
)
async def test_a_file_or_a_program_that_is_not_there_is_told_of(endpoint: Endpoint) -> None:
    with pytest.raises(ModelError, match="key_file and key_command"):
        await KeySource(endpoint, ManualClock()).key()


@pytest.mark.parametrize(
    "command", [["sh", "-c", "sleep 30; true"], ["yes"], ["sh", "-c", "trap '' TERM; sleep 30 & wait"]]
)
async def test_a_program_that_does_not_end_is_ended_with_all_that_it_began(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_TIMEOUT", 0.3)
    source = KeySource(Endpoint(url=URL, key_command=command), ManualClock())
    async with asyncio.timeout(5):
        with pytest.raises(ModelError, match="longer than"):
            await source.key()


async def test_a_program_may_leave_something_running() -> None:
    source = KeySource(Endpoint(url=URL, key_command=["sh", "-c", "sleep 2 & echo t-1"]), ManualClock())
    async with asyncio.timeout(1):
        assert await source.key() == "t-1"


@pytest.mark.parametrize("said", ['{"token": "t-1", "expires_on": 1' + "0" * 400 + "}", "[" * 60_000])
async def test_what_a_program_says_never_breaks(said: str) -> None:
    source = _source(ManualClock(), f"print({said!r})" if len(said) < 1_000 else "print('[' * 60_000)")
    assert await source.key() in ("t-1", said)
