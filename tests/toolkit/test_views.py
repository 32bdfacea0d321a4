"""What a run looks like on a screen and in a log."""

import io

import pytest
from rich.console import Console

from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import LiveView, PlainView, RunMonitor, Service, ToolExecutor, calculate, tool
from clew.toolkit.errors import ConnectionFailed
from clew.toolkit.monitor.events import ConnectionDropped, MessageWritten
from clew.toolkit.monitor.views import view_named
from clew.toolkit.records import Content, Message, Text, Thread


def _run(service: Service, thread: Thread, model: ScriptedModel, view: object) -> None:
    tools = ToolExecutor([tool(lambda expression: "\x1b[31m1175\n[red]", name="calculate", parameters={})])
    agent = service.create_agent("scripted", tools=ToolExecutor([calculate]).definitions)
    model.call("calculate", {"expression": "25 * 47"})
    model.reply("It is [bold]1175[/].")
    RunMonitor(service, tools=tools, view=lambda: view).run(thread.id, agent.id)  # type: ignore[arg-type,return-value]


def test_a_log_has_a_line_for_each_thing(service: Service, thread: Thread, model: ScriptedModel) -> None:
    file = io.StringIO()
    _run(service, thread, model, PlainView(file))
    lines = [line.split(" s  ", 1)[1] for line in file.getvalue().splitlines()]
    assert lines[1].endswith(" in_progress")
    assert "step tool_calls in_progress" in lines
    assert "wants calculate" in lines
    assert any(line.startswith("calculate ok in ") and line.endswith("1175 [red]") for line in lines)
    assert any(line.endswith("It is [bold]1175[/].") for line in lines)
    assert lines[-1].startswith("done: completed, ")
    assert "\x1b" not in file.getvalue()


def test_the_live_view_ends_with_everything_in_it(
    service: Service, thread: Thread, model: ScriptedModel
) -> None:
    screen = io.StringIO()
    view = LiveView(Console(file=screen, width=100, color_system=None, force_terminal=False))
    _run(service, thread, model, view)
    shown = io.StringIO()
    Console(file=shown, width=100, color_system=None).print(view.render())
    text = shown.getvalue()
    for expected in (
        "completed",
        "tokens",
        "tool_calls",
        "message_creation",
        "calculate",
        "It is [bold]1175[/].",
    ):
        assert expected in text
    assert "\x1b" not in text
    assert "completed" in screen.getvalue()


def test_trouble_is_shown() -> None:
    view, file = LiveView(Console(file=io.StringIO())), io.StringIO()
    dropped = ConnectionDropped(error=ConnectionFailed("No answer."), seconds=1.5)
    view(dropped)
    PlainView(file)(dropped)
    shown = io.StringIO()
    Console(file=shown).print(view.render())
    assert "connection lost: No answer." in shown.getvalue()
    assert file.getvalue().startswith("   1.500 s  connection lost: No answer.")


def test_secrets_do_not_reach_the_screen() -> None:
    file = io.StringIO()
    text = "the key is sk-proj-abcdefghijklmnopqrstuvwxyz"
    message = Message(id="msg_1", content=(Content(type="text", text=Text(value=text)),))
    PlainView(file)(MessageWritten(message=message, seconds=0.0))
    assert "sk-proj" not in file.getvalue()


def test_views_have_names() -> None:
    assert view_named("live") is LiveView
    assert view_named("plain") is PlainView
    assert view_named("auto") is PlainView  # no terminal here
    with pytest.raises(ValueError, match="no view 'fancy'"):
        view_named("fancy")
