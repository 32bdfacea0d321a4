"""Keys that are rows: given, exchanged and revoked beside a running server, which knows at once."""

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.clock import SystemClock
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, error_of
from tests.support.clock import ManualClock
from tests.support.database import Place, dump
from tests.support.ids import CountingIds
from tests.support.server import Server
from tests.support.wait import until

Keys = Callable[..., str]

_ENDED = 5.0
"""Seconds after which nothing of a revoked key is under way."""


def _clock() -> ManualClock:
    """Stands still at the moment from which the command counts."""
    return ManualClock(SystemClock().now())


@pytest.fixture
def beside(place: Place, model: ScriptedModel) -> Iterator[Server]:
    with Server(place, model.url, clock=_clock(), ids=CountingIds()) as server:
        yield server


@pytest.fixture
def keys(place: Place, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Runs ``clew keys`` on the server's database."""
    monkeypatch.setenv("CLEW_DATABASE_URL", place if isinstance(place, str) else f"sqlite:///{place}")

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["keys", *arguments])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


def _status(server: Server, key: str, method: str = "GET") -> int:
    return httpx2.request(method, f"{server.url}/v1/threads", headers={"api-key": key}, json=None).status_code


def test_a_key_opens_its_project_until_it_is_revoked(beside: Server, keys: Keys, place: Place) -> None:
    printed = keys("add", "--project", "alpha", "--name", "ci")
    key = printed.strip()
    assert printed == f"{key}\n"
    assert key.startswith("clew_")
    until(lambda: _status(beside, key) == 200)
    assert _status(beside, key, "POST") == 200
    assert len(dump(place)["threads"]) == 1
    assert key not in str(dump(place))
    assert sha256(key.encode()).hexdigest() in str(dump(place)["keys"])
    assert "already" in keys("add", "--project", "alpha", "--name", "ci", code=2)
    keys("revoke", "ci", "--project", "alpha")
    until(lambda: _status(beside, key) == 401, timeout=_ENDED)
    assert "no key ci" in keys("revoke", "ci", "--project", "alpha", code=3)


def test_a_key_sees_nothing_of_other_projects(beside: Server, keys: Keys, http: httpx2.Client) -> None:
    mine, others = (keys("add", "--project", each, "--name", "n").strip() for each in ("one", "two"))
    until(lambda: _status(beside, others) == 200)
    thread = Api(http, beside.url, mine).thread("Hello")
    Api(http, beside.url, others).refused(404, "GET", f"/threads/{thread}")
    headers = {"api-key": others}
    answer = http.get(f"{beside.url}/api/projects/one/threads", params={"api-version": "v1"}, headers=headers)
    assert error_of(answer, 404)
    keys("revoke", "n", "--project", "two")
    until(lambda: _status(beside, others) == 401)
    assert _status(beside, mine) == 200


def test_a_key_is_exchanged_with_an_overlap(beside: Server, keys: Keys) -> None:
    old = keys("add", "--project", "alpha", "--name", "board", "--read-only").strip()
    new = keys("rotate", "board", "--project", "alpha", "--overlap", "1h").strip()
    until(lambda: _status(beside, new) == 200)
    assert old != new
    assert _status(beside, old) == 200
    assert _status(beside, new, "POST") == 403
    last = keys("rotate", "board", "--project", "alpha", "--overlap", "0").strip()
    until(lambda: _status(beside, last) == 200)
    table = keys("list", "--project", "alpha")
    assert len([line for line in table.splitlines() if "board" in line and "read" in line]) == 3
    assert not any(key in table for key in (old, new, last))
    keys("revoke", "board", "--project", "alpha")
    for key in (old, new, last):
        until(lambda key=key: _status(beside, key) == 401)  # type: ignore[misc]
    assert "no key nobody" in keys("rotate", "nobody", "--project", "alpha", code=3)


def test_a_key_expires_on_the_servers_clock(place: Place, model: ScriptedModel, keys: Keys) -> None:
    clock = _clock()
    with Server(place, model.url, clock=clock, ids=CountingIds()) as server:
        key = keys("add", "--project", "alpha", "--name", "brief", "--expires", "90d").strip()
        until(lambda: _status(server, key) == 200)
        held = max(row[-1] for row in dump(place)["keys"] if isinstance(row[-1], int))
        clock.advance(held - clock.now())
        until(lambda: _status(server, key) == 401)


def test_a_key_that_reads_changes_nothing(
    beside: Server, keys: Keys, place: Place, http: httpx2.Client
) -> None:
    key = keys("add", "--project", "alpha", "--name", "board", "--read-only").strip()
    until(lambda: _status(beside, key) == 200)
    before = dump(place)["threads"]
    for method, path in (("POST", "/threads"), ("DELETE", "/threads/thread_x"), ("POST", "/threads/runs")):
        error = error_of(http.request(method, f"{beside.url}/v1{path}", headers={"api-key": key}), 403)
        assert "'board' may only read" in error["message"]
        assert error["code"] == "insufficient_permissions"
    assert dump(place)["threads"] == before


def test_streams_and_long_polls_of_a_revoked_key_end(
    beside: Server, keys: Keys, model: ScriptedModel, http: httpx2.Client
) -> None:
    key = keys("add", "--project", "alpha", "--name", "ci").strip()
    until(lambda: _status(beside, key) == 200)
    api = Api(http, beside.url, key)
    reply = model.hold("one ", "two")
    thread = api.thread("Count")
    ended: list[object] = []

    def read() -> None:
        try:
            with api.stream("POST", f"/threads/{thread}/runs", {"assistant_id": agent, "stream": True}) as it:
                ended.append(sum(1 for _ in it))
        except httpx2.HTTPError as error:
            ended.append(error)

    def poll() -> None:
        with httpx2.Client(timeout=30) as client:
            waiting = Api(client, beside.url, key).send("GET", path, query={"wait": 60})
            ended.append(waiting.status_code)

    agent = api.agent()
    reader = threading.Thread(target=read)
    reader.start()
    reply.wait_paused()
    path = f"/threads/{thread}/runs/{api.get(f'/threads/{thread}/runs')['data'][0]['id']}"
    poller = threading.Thread(target=poll)
    poller.start()
    keys("revoke", "ci", "--project", "alpha")
    until(lambda: len(ended) == 2, timeout=_ENDED)
    assert 401 in ended
    assert any(isinstance(each, httpx2.HTTPError) for each in ended)
    reply.release()
    reader.join()
    poller.join()


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "--project", "a/b", "--name", "n"),
        ("add", "--project", "p", "--name", ""),
        ("add", "--project", "p", "--name", "n", "--expires", "soon"),
        ("rotate", "n", "--project", "p", "--overlap", "-1h"),
        ("revoke", "n"),
    ],
)
def test_wrong_words_are_refused(database: Place, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, ["keys", *arguments], env={"CLEW_DATABASE_URL": f"sqlite:///{database}"})
    assert result.exit_code == 2, result.output
    assert dump(database)["keys"] == []
