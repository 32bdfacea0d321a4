"""``clew chat`` in a real terminal, and fed from a file."""

import re
import sys
from pathlib import Path

import pexpect
import pytest

from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service
from tests.cli.conftest import Clew, Terminal
from tests.support.wait import until


def test_a_chat_remembers_and_leaves_its_thread_behind(
    terminal: Terminal, model: ScriptedModel, service: Service
) -> None:
    chat = terminal("chat", "--instructions", "Be brief.")
    chat.expect("/help says what else")
    chat.expect("> ")
    model.reply("Nice name.")
    chat.sendline("My boat is called Argo.")
    chat.expect("Nice name.")
    model.reply("Argo.")
    chat.sendline("What is my boat \\")
    chat.sendline("called?")
    chat.expect(r"Argo\.")
    assert model.requests[-1].messages[-1]["content"] == "What is my boat \ncalled?"
    chat.expect("> ")
    chat.sendeof()
    chat.expect(r"Go on with: clew chat --thread (thread_\w+)")
    assert isinstance(chat.match, re.Match)
    thread = chat.match.group(1)
    chat.wait()
    assert chat.exitstatus == 0
    assert [message.text for message in service.all_messages(thread)][-1] == "Argo."
    assert service.list_agents().data == ()

    again = terminal("chat", "--thread", thread)
    again.expect("assistant: Argo.")
    model.reply("Still Argo.")
    again.sendline("Sure?")
    again.expect("Still Argo.")
    again.sendline("/quit")
    again.wait()
    assert again.exitstatus == 0


def interrupt_at_the_prompt(chat: "pexpect.spawn[str]") -> None:
    """Press Ctrl-C once the process waits for a key.

    A signal between readline's prompt and its wait is only seen at the next key: no matter to a person,
    but a machine presses no second one.
    """
    state = Path(f"/proc/{chat.pid}/stat")
    if state.exists():  # elsewhere, pexpect's 50 ms have to do
        until(lambda: state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "S")
    chat.sendintr()


def test_ctrl_c_stops_the_answer_and_at_the_prompt_twice_it_leaves(
    terminal: Terminal, model: ScriptedModel, service: Service
) -> None:
    chat = terminal("chat")
    chat.expect("> ")
    held = model.hold("Once upon a time", "there was")
    chat.sendline("Tell me a story")
    chat.expect("Once upon a time")
    chat.sendintr()
    chat.expect(r"\(stopped\)")
    held.release()
    thread = service.list_threads(limit=1).data[0]
    assert service.list_runs(thread.id).data[0].status == "cancelled"
    model.reply("Still here.")
    chat.sendline("Are you there?")
    chat.expect("Still here.")
    chat.expect("> ")
    interrupt_at_the_prompt(chat)
    chat.expect("Ctrl-C again leaves")
    chat.expect("> ")
    interrupt_at_the_prompt(chat)
    chat.wait()
    assert chat.exitstatus == 130
    assert service.list_agents().data == ()


def test_what_is_pasted_is_one_message(terminal: Terminal, model: ScriptedModel) -> None:
    chat = terminal("chat")
    chat.expect("> ")
    model.reply("A poem.")
    chat.send("\x1b[200~First line\nsecond line\n\nlast line\x1b[201~")
    chat.send("\r")
    chat.expect(r"A poem\.")
    assert model.requests[-1].messages[-1]["content"] == "First line\nsecond line\n\nlast line"


def test_a_message_is_written_in_an_editor(
    clew: Clew, model: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command may have arguments; no shell reads them, nor what was typed."""
    script = tmp_path / "an editor.py"
    script.write_text("import sys; open(sys.argv[-1], 'a').write(f' and {sys.argv[1]}')", encoding="utf-8")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}' more;x")
    model.reply("Read.")
    result = clew("chat", stdin="/edit $(touch never) first\n")
    assert "Read." in result.stdout
    assert model.requests[-1].messages[-1]["content"] == "$(touch never) first and more;x"
    monkeypatch.setenv("EDITOR", str(tmp_path / "none"))
    assert "can't be started" in clew("chat", stdin="/edit\n").stderr
    monkeypatch.setenv("EDITOR", "vim 'x")
    assert "VISUAL or EDITOR can't be read" in clew("chat", stdin="/edit\n").stderr
    monkeypatch.setenv("EDITOR", "false")
    assert "nothing is sent" in clew("chat", stdin="/edit\n").stderr


def test_what_was_broken_off_is_marked(clew: Clew, model: ScriptedModel, service: Service) -> None:
    model.reply("Half an ans", finish_reason="length")
    clew("chat", stdin="Tell me.\n/history\n")
    thread = service.list_threads(limit=1).data[0].id
    assert "Half an ans [unfinished: max_tokens]" in clew("messages", "list", thread).stdout


def test_tools_are_asked_for_before_they_are_called(terminal: Terminal, model: ScriptedModel) -> None:
    chat = terminal("chat", "--approve")
    chat.expect("> ")
    model.calls(call("calculate", {"expression": "6 * 7"}))
    model.reply("It is 42.")
    chat.sendline("What is 6 * 7?")
    chat.expect(r"Run calculate\(expression='6 \* 7'\)\? \[y/N\]:")
    chat.sendline("y")
    chat.expect("-> 42")
    chat.expect("It is 42.")
    model.calls(call("calculate", {"expression": "6 * 8"}))
    model.reply("I may not.")
    chat.sendline("And 6 * 8?")
    chat.expect(r"\[y/N\]:")
    chat.sendline("n")
    chat.expect("I may not.")
    assert "refused" in str(model.requests[-1].messages[-1]["content"])


def test_the_commands(clew: Clew, model: ScriptedModel, tmp_path: Path) -> None:
    model.reply("Nice name.")
    written = tmp_path / "chat.md"
    lines = [
        "/help",
        "/history",
        "My boat is called Argo.",
        "/tools",
        "/search argo",
        "/search nothing-of-the-kind",
        "/summary",
        f"/export {written}",
        "/export",
        "/export chat.exe",
        "/history 1",
        "/history x",
        "/nope",
        "/new",
        "/history",
        "",
        "/quit",
        "never sent",
    ]
    result = clew("chat", "--tools", stdin="\n".join(lines))
    for said in (
        "leave (Ctrl-D does too)",
        "calculate",
        "current_time",
        "user: My boat is called Argo.",
        "  nothing",
        "2 messages (1 by user, 1 by assistant)",
        f"wrote {written}",
        "assistant: Nice name.",
        "left thread_",
    ):
        assert said in result.stdout
    for said in ("say where: /export chat.md", "say the form", "There is no /nope"):
        assert said in result.stderr
    assert "> My boat is called Argo." in written.read_text(encoding="utf-8")


def test_what_fails_is_said_and_the_chat_goes_on(clew: Clew, model: ScriptedModel) -> None:
    model.fail(401)
    model.reply("Better.")
    result = clew("chat", stdin="Hello\nHello again\n")
    assert "Error: The run" in result.stderr
    assert result.stdout.endswith("Better.\n")


def test_a_terminal_that_is_closed_leaves_no_agent_behind(terminal: Terminal, service: Service) -> None:
    chat = terminal("chat")
    chat.expect("> ")
    assert len(service.list_agents().data) == 1
    chat.close()
    until(lambda: service.list_agents().data == ())
