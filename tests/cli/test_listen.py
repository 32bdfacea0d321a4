"""``clew listen`` and ``clew webhooks``: events as they happen, forwarded as webhooks are told."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

from clew.cli.listening import Event, Listener
from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service, connect
from clew.toolkit.errors import ConnectionFailed
from tests.cli.conftest import Clew
from tests.support.server import KEYS, Server
from tests.support.wait import until
from tests.toolkit.proxy import Proxy
from tests.webhooks.receiver import Answer, Receiver

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def _run(service: Service, *, tools: Any = (), wait: bool = True) -> tuple[str, str]:
    """Start a run on a thread of its own, and wait until it is over or waits; return both ids."""
    agent = service.create_agent("gpt", tools=list(tools)).id
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    run = service.create_run(thread, agent).id
    if wait:
        service.request("GET", "threads", thread, "runs", run, query={"wait": 30})
    return thread, run


class Listening:
    """``clew listen`` in a process of its own: what it has printed so far, line by line."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err

    @property
    def printed(self) -> list[str]:
        return self._out.read_text(encoding="utf-8").splitlines()

    @property
    def said(self) -> str:
        return self._err.read_text(encoding="utf-8")


@pytest.fixture
def listening(server_settings: None, tmp_path: Path) -> Callable[..., AbstractContextManager[Listening]]:
    @contextmanager
    def start(*arguments: str) -> Iterator[Listening]:
        out, err = tmp_path / "out", tmp_path / "err"
        command = [sys.executable, "-m", "clew.cli.main", "listen", *arguments]
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                command, stdout=stdout, stderr=stderr, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )
            told = Listening(process, out, err)
            try:
                until(lambda: "Listening" in told.said or process.poll() is not None)
                yield told
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(15)
        assert "Traceback" not in told.said

    return start


def test_events_are_printed_as_they_happen(listening: Any, service: Service, model: ScriptedModel) -> None:
    _run(service)
    with listening() as told:
        thread, run = _run(service)
        model.fail(400, message="no \x1b[31m such field")
        _, failed = _run(service)
        model.calls(call("look"))
        _, waiting = _run(service, tools=[LOOK])
        until(lambda: len(told.printed) == 3)
        assert [line.split()[2:4] for line in told.printed] == [
            ["run.completed", run],
            ["run.failed", failed],
            ["run.requires_action", waiting],
        ]
        assert thread in told.printed[0]
        assert "such field" in told.printed[1]
        assert "\x1b" not in told.printed[1]
    assert told.process.returncode == 130


def test_events_are_forwarded_as_a_webhook_is_told(
    listening: Any, clew: Clew, service: Service, model: ScriptedModel
) -> None:
    secret = clew("listen", "--print-secret").stdout.strip()
    assert secret == clew("listen", "--print-secret").stdout.strip()
    with Receiver() as receiver, listening("--forward", receiver.address + "/hook") as told:
        receiver.answer(200, 500, Answer(302, {"location": f"http://{receiver.address}/elsewhere"}))
        runs = [_run(service)[1] for _ in range(3)]
        first, *_ = receiver.wait(3)
        first.verify(secret)
        assert first.path == "/hook"
        assert (first.event["type"], first.event["data"]["id"]) == ("run.completed", runs[0])
        assert set(first.event) == {"id", "type", "created_at", "data"}
        assert first.event["id"] == first.id
        with openai.OpenAI(api_key="x", webhook_secret=secret) as client:
            client.webhooks.verify_signature(first.body, dict(first.headers))
        until(lambda: told.said.count(" -> ") == 3)
        assert f"{runs[0]} run.completed -> 200" in told.said
        assert f"{runs[1]} run.completed -> 500: a webhook would be told again" in told.said
        assert "-> 302: redirects are not followed" in told.said
        assert len(receiver.heard) == 3


def test_nobody_to_forward_to_is_said_and_stops_nothing(
    listening: Any, service: Service, model: ScriptedModel
) -> None:
    with listening("--forward", "http://user:hidden-word@127.0.0.1:9/") as told:
        _run(service)
        _run(service)
        until(lambda: told.said.count("no answer: ") == 2)
        assert len(told.printed) == 2
        assert "hidden-word" not in told.said


def test_only_what_is_wanted_is_told(listening: Any, service: Service, model: ScriptedModel) -> None:
    with listening("--event", "run.failed", "--json") as told:
        _run(service)
        model.fail(400)
        _, run = _run(service)
        until(lambda: told.printed)
        (line,) = told.printed
        assert json.loads(line)["data"]["id"] == run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--forward", "ftp://x/"), "is not a URL"),
        (("--forward", "99999"), "is not a URL"),
        (("--forward", ""), "is not a URL"),
        (("--event", "run.queued"), "is not one of"),
    ],
)
def test_what_can_not_be_listened_to_is_2(clew: Clew, arguments: tuple[str, ...], said: str) -> None:
    assert said in clew("listen", *arguments, code=2).stderr


def test_a_wrong_key_is_said(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_API_KEY", "clew_wrong-key-0123456789")
    assert "Incorrect API key" in clew("listen", code=3).stderr


# --- lost connections ---------------------------------------------------------------------------------


@pytest.fixture
async def proxied(server: Server) -> AsyncIterator[tuple[Proxy, Service]]:
    with Proxy(server.url) as proxy:
        async with connect(f"{proxy.url}/v1", KEYS["alpha"]) as service:
            yield proxy, service


@pytest.mark.anyio
async def test_what_happens_while_the_feed_is_lost_is_told_afterwards(
    proxied: tuple[Proxy, Service], server: Server, service: Service, model: ScriptedModel
) -> None:
    """One run that was live ends meanwhile, one begins and ends, one is deleted with its thread."""
    proxy, through = proxied
    missed: list[str] = []

    def meanwhile() -> None:
        service.cancel_run(*waiting)
        until(lambda: service.get_run(*waiting).status == "cancelled")
        missed.append(_run(service)[1])
        service.delete_thread(gone[0])

    model.calls(call("look"))
    waiting = await anyio.to_thread.run_sync(lambda: _run(service, tools=[LOOK]))
    model.calls(call("look"))
    gone = await anyio.to_thread.run_sync(lambda: _run(service, tools=[LOOK]))
    proxy.cut("GET /v1/events", b'"status":"completed"', then=meanwhile)
    told: list[Event] = []
    losses = 0
    with anyio.fail_after(30):
        async with aclosing(Listener(through).events()) as heard:
            async for each in heard:
                if each is None and not told:
                    await anyio.to_thread.run_sync(lambda: missed.append(_run(service)[1]))
                elif isinstance(each, Event):
                    told.append(each)
                elif isinstance(each, ConnectionFailed):
                    losses += 1
                if each is None and losses:
                    break
    assert losses == 1
    assert {(event.name, event.run["id"]) for event in told} == {
        ("run.cancelled", waiting[1]),
        *(("run.completed", run) for run in missed),
    }
    assert len(told) == 3, "an event is told once"
    assert gone[1] not in [event.run["id"] for event in told]


# --- webhooks -----------------------------------------------------------------------------------------


def test_webhooks_are_added_listed_shown_and_deleted(clew: Clew, service: Service) -> None:
    added = clew("webhooks", "add", "https://example.com/hook", "--event", "run.failed", "--metadata", "a=b")
    webhook = added.stdout.strip()
    assert webhook.startswith("wh_")
    assert "not shown again: whsec_" in added.stderr
    assert clew("webhooks", "list").stdout.splitlines()[1].split()[0] == webhook
    shown = clew("webhooks", "show", webhook, "--json").stdout
    assert (json.loads(shown)["events"], json.loads(shown)["metadata"]) == (["run.failed"], {"a": "b"})
    assert "whsec_" not in shown
    everything = json.loads(clew("webhooks", "add", "https://example.com/all", "--json").stdout)
    assert everything["secret"].startswith("whsec_")
    assert " all" in clew("webhooks", "list", "--limit", "1").stdout
    assert clew("webhooks", "delete", webhook, everything["id"]).stdout.count("deleted wh_") == 2
    assert "No webhook found" in clew("webhooks", "show", webhook, code=3).stderr
    assert "Invalid 'url'" in clew("webhooks", "add", "http://127.0.0.1/", code=2).stderr
