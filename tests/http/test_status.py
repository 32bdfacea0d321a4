"""``GET /status``: what an operator is told, and that it is true."""

import sys
from collections.abc import Iterator

import httpx2
import msgspec
import pytest

from clew import __version__
from clew.installing import how_to_add
from clew.testing.scripted_model import ScriptedModel
from clew.wire.status import StatusObject
from tests.sandbox.conftest import unavailable
from tests.support.api import Api, error_of
from tests.support.server import OPERATOR_KEY, Server
from tests.support.servers import Servers
from tests.support.wait import until


@pytest.fixture
def own(servers: Servers) -> Iterator[Api]:
    with servers.start() as api:
        yield api


def _status(api: Api, **query: str) -> StatusObject:
    answer = httpx2.get(f"{api.url}/status", headers={"api-key": OPERATOR_KEY}, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return msgspec.json.decode(answer.content, type=StatusObject)


def test_it_says_what_is_there(own: Api) -> None:
    status = _status(own)
    assert (status.version, status.trouble, status.bus.kind, status.bus.up) == (
        __version__,
        None,
        "local",
        True,
    )
    assert status.store.kind in ("SQLite", "PostgreSQL")
    assert "@" not in status.store.where
    assert status.tools == ["clew_calculator", "clew_clock", "code_interpreter", "file_search"]
    if sys.platform == "linux":
        assert 10_000_000 < (status.process.memory_bytes or 0) < 10_000_000_000
    assert status.connections.open >= 1
    assert [model.reachable for model in status.models] == [True]


def test_runs_and_calls_of_models_are_counted(own: Api, model: ScriptedModel) -> None:
    agent = own.agent()
    model.reply("Hi.")
    own.run(own.thread("Hello"), agent).wait("completed")
    model.fail(401)
    own.run(own.thread("Hello again"), agent).wait("failed")
    model.calls()
    until(lambda: _status(own).runs.ended_here.get("failed"))
    status = _status(own)
    assert status.runs.ended_here == {"completed": 1, "failed": 1}
    assert status.runs.live["queued"] == 0
    (calls,) = status.model_calls
    assert (calls.name, calls.calls, calls.failures, calls.answered_since) == ("scripted", 2, 1, False)
    assert calls.last_failure is not None
    assert "sk-" not in calls.last_failure


def test_limits_and_wrong_keys_are_counted(own: Api) -> None:
    for _ in range(3):
        assert httpx2.get(f"{own.url}/v1/threads", headers={"api-key": "clew_no"}).status_code == 401
    long = httpx2.get(f"{own.url}/v1/threads", headers={"x": "y" * 70_000})
    assert long.status_code == 431
    status = _status(own)
    assert status.wrong_keys == 3
    assert status.limits_met == {"a request's head": 1}


def test_a_model_is_asked_only_if_that_is_wanted(own: Api, model: ScriptedModel) -> None:
    before = len(model.requests)
    _status(own)
    assert len(model.requests) == before


def test_it_is_for_operators(server: Server, api: Api) -> None:
    refused = httpx2.get(f"{server.url}/status", headers={"api-key": api.key})
    assert refused.status_code == 403
    assert "is for operators" in error_of(refused, 403)["message"]
    assert httpx2.get(f"{server.url}/status").status_code == 401


def test_where_code_runs_is_told_once_it_was_to_run(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(sandbox="landlock" if unavailable("bwrap") else "auto") as api:
        before = _status(api).code
        assert before is not None
        assert (before.driver, before.trouble, before.sessions, before.most_sessions) == (None, None, 0, 8)
        model.call("code_interpreter", {"code": "1"})
        model.reply("One.")
        api.run(api.thread("Go"), api.agent(tools=[{"type": "code_interpreter"}])).wait("completed")
        after = _status(api).code
        assert after is not None
        if after.driver is None:
            assert after.trouble is not None
        else:
            assert (after.driver, after.trouble, after.sessions, after.python) == ("bwrap", None, 1, None)
            assert after.packages == {}


def test_why_no_code_runs_is_told(
    servers: Servers, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: None)
    with servers.start(sandbox="bwrap") as api:
        model.call("code_interpreter", {"code": "1"})
        model.reply("One.")
        api.run(api.thread("Go"), api.agent(tools=[{"type": "code_interpreter"}])).wait("completed")
        code = _status(api).code
    assert code is not None
    assert code.driver is None
    assert f"run: {how_to_add('code')}" in str(code.trouble)
