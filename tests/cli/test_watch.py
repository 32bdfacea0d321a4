"""``clew runs watch``: the full screen, driven as by a person, and plain lines."""

import html
import re
from collections.abc import AsyncIterator

import anyio
import pytest
from textual.pilot import Pilot

from clew.cli.watch_app import WatchApp
from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service, connect
from clew.toolkit.records import Agent
from tests.cli.conftest import Terminal
from tests.support.server import KEYS, Server

pytestmark = pytest.mark.anyio

_PATIENCE = 20.0


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


async def _until_shown(pilot: Pilot[None], pattern: str) -> str:
    """Look until the screen shows something, and return all of it."""
    app = pilot.app
    assert isinstance(app, WatchApp)
    with anyio.move_on_after(_PATIENCE):
        while not re.search(pattern, _screen(app), re.DOTALL):
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
