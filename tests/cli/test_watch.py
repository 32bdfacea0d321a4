"""``clew runs watch``: the full screen, driven as by a person, and plain lines."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import anyio
import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from clew.cli import watched
from clew.cli.watch_app import WatchApp
from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service, connect
from clew.toolkit.records import Agent, RunChange
from tests.cli.conftest import Terminal
from tests.support.server import KEYS, Server
from tests.toolkit.proxy import Proxy

pytestmark = pytest.mark.anyio

_TIMEOUT = 20.0


@pytest.fixture
async def service(server: Server) -> AsyncIterator[Service]:
    async with connect(f"{server.url}/v1", KEYS["alpha"]) as service:
        yield service


@pytest.fixture
async def agent(service: Service) -> Agent:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    return await service.acreate_agent("gpt", tools=tools)


def _screen(app: WatchApp) -> str:
    """Return what is on the screen, as text."""
    drawn = re.sub(r"<style>.*?</style>|<[^>]+>", " ", app.export_screenshot(), flags=re.DOTALL)
    return html.unescape(drawn).replace("\N{NO-BREAK SPACE}", " ")


async def _until_shown(pilot: Pilot[None], pattern: str, *, look: bool = True) -> str:
    """Wait until the screen shows something, and return all of it; with ``look``, hurry it."""
    app = pilot.app
    assert isinstance(app, WatchApp)
    with anyio.move_on_after(_TIMEOUT):
        while not re.search(pattern, _screen(app), re.DOTALL):
            if look:
                app.look()
            await pilot.pause()
    assert re.search(pattern, _screen(app), re.DOTALL), _screen(app)
    return _screen(app)


async def _asked(service: Service, agent: Agent, text: str) -> tuple[str, str]:
    """Start a run on a thread of its own; return both ids."""
    thread = await service.acreate_thread(messages=[{"role": "user", "content": text}])
    return thread.id, (await service.acreate_run(thread.id, agent.id)).id


async def test_runs_are_shown_chosen_and_cancelled(
    service: Service, model: ScriptedModel, agent: Agent
) -> None:
    held = model.hold("Just a moment")
    thread, run = await _asked(service, agent, "Hello")
    app = WatchApp(service, None)
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        await _until_shown(pilot, rf"in_progress.*{run}.*{thread}")
        model.calls(call("look", {"at": "the \x1b[31m wall"}))
        _, second = await _asked(service, agent, "Look!")
        await _until_shown(pilot, f"requires_action.*{second}.*{run}")
        await pilot.press("up")
        shown = await _until_shown(pilot, "waits for look")
        assert "tool_calls" in shown
        assert "\x1b" not in shown
        await pilot.press("down")
        await _until_shown(pilot, rf"{run} +in_progress")
        await pilot.press("c")
        await _until_shown(pilot, rf"{run} +cancelled")
        held.release()
        await pilot.press("c")
        await _until_shown(pilot, "Cannot cancel run")
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_newest_active_run_shows_its_answer_as_it_is_written(
    service: Service, model: ScriptedModel, agent: Agent
) -> None:
    app = WatchApp(service, None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        held = model.hold("Ariadne gave ", "Theseus ", "a ball of thread.")
        _, run = await _asked(service, agent, "Hello")
        await held.gates[0].reached.wait_async()
        held.gates[0].release()
        shown = await _until_shown(pilot, f"{run} .*{run} +in_progress.*Ariadne gave Theseus", look=False)
        assert "ball" not in shown
        held.release()
        await _until_shown(pilot, f"{run} +completed.*Ariadne gave Theseus a ball of thread", look=False)
        await _until_shown(pilot, f"completed .*{run} .*1 \\+ ", look=False)
        model.call("look")
        _, parked = await _asked(service, agent, "Look!")
        shown = await _until_shown(pilot, f"requires_action .*{parked}.*{run} +completed", look=False)
        assert "a ball of thread" in shown, "what was said can still be read"


async def test_live_runs_are_shown_however_many_came_after_them(
    service: Service, model: ScriptedModel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "RECENT", 2)
    model.call("look")
    _, live = await _asked(service, agent, "Look!")
    await _over(service, live, "requires_action")
    for _ in range(3):
        model.reply("Hi.")
        _, run = await _asked(service, agent, "Hello")
        await _over(service, run, "completed")
    board = watched.Board()
    await board.look(service)
    assert live in board.runs
    assert next(iter(board.runs)) == run


async def _over(service: Service, run_id: str, status: str) -> None:
    with anyio.fail_after(_TIMEOUT):
        while (await service.alist_project_runs(limit=1)).data[0].status != status:
            await anyio.lowlevel.checkpoint()
    assert (await service.alist_project_runs(limit=1)).data[0].id == run_id


async def test_a_lost_feed_is_asked_for_again_and_the_list_is_read_anew(
    server: Server, model: ScriptedModel, service: Service, agent: Agent
) -> None:
    with Proxy(server.url) as proxy:
        proxy.cut("GET /v1/events", b"event: ready\ndata: {}\n\n")
        async with connect(f"{proxy.url}/v1", KEYS["alpha"]) as behind:
            told = watched.news(behind)
            with anyio.fail_after(_TIMEOUT):
                async with aclosing(told):
                    heard = [each async for each in _until_twice_ready(told)]
    kinds = [type(each).__name__ for each in heard if not isinstance(each, RunChange)]
    assert kinds == ["NoneType", "StreamLost", "NoneType"]


async def _until_twice_ready(told: AsyncIterator[watched.News]) -> AsyncIterator[watched.News]:
    ready = 0
    async for each in told:
        yield each
        ready += each is None
        if ready == 2:
            return


def test_what_was_told_later_counts_whatever_the_list_said() -> None:
    board = watched.Board("thread_1")
    change = RunChange(run="run_1", thread="thread_1", agent="asst_1", status="completed", version=3, at=1)
    assert board.hear(change)
    assert not board.hear(replace(change, status="in_progress", version=2))
    assert not board.hear(replace(change, run="run_2", thread="thread_2"))
    assert board.stale


async def test_what_a_run_said_is_shown(service: Service, model: ScriptedModel, agent: Agent) -> None:
    model.reply("The way out is on the left.")
    thread, run = await _asked(service, agent, "Hello")
    app = WatchApp(service, thread)
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        await _until_shown(pilot, rf"completed.*{run}.*message_creation.*The way out is on the left")


async def test_a_thread_that_goes_is_said(service: Service, model: ScriptedModel, agent: Agent) -> None:
    thread = await service.acreate_thread()
    app = WatchApp(service, thread.id)
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        await _until_shown(pilot, "No run yet")
        await service.adelete_thread(thread.id)
        await _until_shown(pilot, "No thread found")


async def test_in_a_terminal_it_fills_the_screen_and_leaves(terminal: Terminal) -> None:
    watching = terminal("runs", "watch")
    watching.expect("Look now")
    watching.send("q")
    watching.wait()
    assert watching.exitstatus == 0


async def test_plain_lines_until_it_is_interrupted(
    terminal: Terminal, model: ScriptedModel, service: Service, agent: Agent
) -> None:
    model.reply("Hi.")
    _, run = await _asked(service, agent, "Hello")
    watching = terminal("runs", "watch", "--plain")
    watching.expect(rf"completed .*{run}")
    watching.sendintr()
    watching.wait()
    assert watching.exitstatus == 130
