"""Agents, threads, messages, runs and steps as commands: for people, and for programs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service
from tests.cli.conftest import Clew
from tests.support.server import Server


def _id(clew: Clew, *arguments: str, stdin: str | None = None) -> str:
    return clew(*arguments, stdin=stdin).stdout.strip()


def test_an_agent_is_created_shown_listed_and_deleted(clew: Clew) -> None:
    agent = _id(clew, "agents", "create", "--model", "gpt", "--name", "helper", "--metadata", "team=blue=1")
    assert agent.startswith("asst_")
    shown = json.loads(clew("agents", "show", agent, "--json").stdout)
    assert (shown["model"], shown["name"], shown["metadata"]) == ("gpt", "helper", {"team": "blue=1"})
    assert f"{agent}  " in clew("agents", "list").stdout
    assert "model            gpt" in clew("agents", "show", agent).stdout
    assert clew("agents", "delete", agent).stdout == f"deleted {agent}\n"
    assert "No assistant found" in clew("agents", "show", agent, code=3).stderr


def test_an_agents_further_fields_come_from_a_file_or_stdin(clew: Clew, tmp_path: Path) -> None:
    fields = {"name": "from the file", "temperature": 0.5, "model": "gpt"}
    (tmp_path / "agent.json").write_text(json.dumps(fields))
    made = json.loads(
        clew("agents", "create", "--fields", str(tmp_path / "agent.json"), "--name", "x", "--json").stdout
    )
    assert (made["name"], made["temperature"], made["model"]) == ("x", 0.5, "gpt")
    made = json.loads(clew("agents", "create", "--fields", "-", "--json", stdin=json.dumps(fields)).stdout)
    assert made["name"] == "from the file"
    clew("agents", "delete", made["id"])


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("threads", "create", "--fields", "-"), "[]", "is no JSON object"),
        (("threads", "create", "--fields", "-"), "{", "is no JSON:"),
        (("threads", "create", "--metadata", "=1"), None, "is not KEY=VALUE"),
        (("threads", "create", "--metadata", f"{'k' * 65}=1"), None, "metadata"),
        (("threads", "list", "--limit", "101"), None, "101"),
        (("runs", "create", "thread_x"), None, "say who answers"),
        (("runs", "watch", "--timeout", "1"), None, "for one run"),
        (("messages", "create", "thread_x", " "), None, "the message is empty"),
        (("messages", "create", "thread_x", "-"), "\n", "the message is empty"),
        (("agents", "delete"), None, "Missing argument"),
        (("runs", "show", "thread_x", ""), None, "the run's id is empty"),
        (("agents", "delete", "asst_x", ""), None, "the agent's id is empty"),
        (("runs", "watch", ""), None, "the thread's id is empty"),
        (("runs", "watch", "thread_x", "run_x", "--timeout", "nan"), None, "nan is not a number"),
        (("ask", "--timeout", "nan", "Well?"), None, "nan is not a number"),
    ],
)
def test_wrong_usage_is_2(clew: Clew, arguments: tuple[str, ...], stdin: str | None, said: str) -> None:
    assert said in clew(*arguments, code=2, stdin=stdin).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("threads", "show", "thread_nope"),
        ("messages", "list", "thread_nope"),
        ("runs", "show", "thread_nope", "run_nope"),
        ("runs", "watch", "thread_nope"),
        ("steps", "list", "../threads", "run_nope"),
    ],
)
def test_what_is_not_there_is_3(clew: Clew, arguments: tuple[str, ...]) -> None:
    assert clew(*arguments, code=3).stderr.startswith("Error: ")


def test_a_wrong_key_is_3_and_is_not_shown(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_API_KEY", "clew_wrong-key-that-nobody-should-see")
    stderr = clew("threads", "list", code=3).stderr
    assert "Incorrect API key" in stderr
    assert "nobody-should-see" not in stderr


def test_without_a_server_it_says_how_to_start_one(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEW_URL")
    assert "start one with `clew serve`" in clew("threads", "list", code=3).stderr
    monkeypatch.setenv("CLEW_URL", "http://127.0.0.1:9")
    assert "start it with `clew serve`" in clew("threads", "list", code=1).stderr
    monkeypatch.setenv("CLEW_URL", "127.0.0.1")
    assert "is not a URL" in clew("threads", "list", code=2).stderr


def test_the_server_of_the_data_folder_is_found(
    clew: Clew, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLEW_URL")
    (tmp_path / "data").mkdir()
    info = {"url": server.url, "project": "alpha", "tls": False, "pid": 1, "model": "own"}
    (tmp_path / "data" / "server.json").write_text(json.dumps(info))
    agent = json.loads(clew("agents", "create", "--json").stdout)
    assert agent["model"] == "own"
    clew("agents", "delete", agent["id"])


def test_lists_have_cursors(clew: Clew, service: Service) -> None:
    thread = service.create_thread().id
    ids = [service.create_message(thread, f"number {number}").id for number in range(5)]
    first = clew("messages", "list", thread, "--limit", "2", "--order", "asc")
    assert [line.split()[0] for line in first.stdout.splitlines()[1:]] == ids[:2]
    assert f"--after {ids[1]}" in first.stderr
    page = json.loads(
        clew("messages", "list", thread, "--order", "asc", "--after", ids[1], "--json", "--limit", "2").stdout
    )
    assert [message["id"] for message in page["data"]] == ids[2:4]
    assert page["has_more"] is True
    before = json.loads(
        clew("messages", "list", thread, "--order", "asc", "--before", ids[2], "--json").stdout
    )
    assert [message["id"] for message in before["data"]] == ids[:2]


def test_all_of_a_list_comes_page_after_page(clew: Clew, service: Service) -> None:
    thread = service.create_thread().id
    ids = [service.create_message(thread, "x").id for _ in range(230)]
    page = json.loads(clew("messages", "list", thread, "--order", "asc", "--all", "--json").stdout)
    assert [message["id"] for message in page["data"]] == ids
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[0], ids[-1], False)


def test_an_empty_list_says_so(clew: Clew, service: Service) -> None:
    thread = service.create_thread().id
    listed = clew("messages", "list", thread)
    assert (listed.stdout, listed.stderr) == ("", "There are none.\n")


def test_messages_are_created_from_stdin_and_deleted(clew: Clew) -> None:
    thread = _id(clew, "threads", "create", "--metadata", "customer=42")
    assert "customer=42" in clew("threads", "list").stdout
    message = _id(clew, "messages", "create", thread, "-", stdin="one\ntwo\n")
    assert (
        "one\ntwo"
        in json.loads(clew("messages", "show", thread, message, "--json").stdout)["content"][0]["text"][
            "value"
        ]
    )
    assert "one two" in clew("messages", "list", thread).stdout
    clew("messages", "delete", thread, message)
    assert clew("messages", "list", thread).stdout == ""
    clew("threads", "delete", thread)
    clew("threads", "show", thread, code=3)


def test_a_run_is_started_waited_for_and_looked_at(clew: Clew, model: ScriptedModel) -> None:
    thread, agent = _id(clew, "threads", "create"), _id(clew, "agents", "create", "--model", "gpt")
    clew("messages", "create", thread, "Where is the way out?")
    model.reply("Left.")
    run = _id(clew, "runs", "create", thread, "--agent", agent, "--wait", "--instructions", "Be brief.")
    assert "completed" in clew("runs", "list", thread).stdout
    assert "Be brief." in clew("runs", "show", thread, run).stdout
    steps = clew("steps", "list", thread, run, "--json")
    step = json.loads(steps.stdout)["data"][0]
    assert step["step_details"]["message_creation"]["message_id"] in clew("steps", "list", thread, run).stdout
    assert "message_creation" in clew("steps", "show", thread, run, step["id"]).stdout
    watched = clew("runs", "watch", thread, run)
    assert "message_creation completed" in watched.stdout
    assert "Left." in watched.stdout


def test_a_run_that_fails_or_waits_for_tools_is_1(clew: Clew, model: ScriptedModel) -> None:
    thread = _id(clew, "threads", "create")
    clew("messages", "create", thread, "Look!")
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    fields = json.dumps({"model": "gpt", "tools": tools})
    agent = _id(clew, "agents", "create", "--fields", "-", stdin=fields)
    assert "look" in clew("agents", "list").stdout
    model.calls(call("look"))
    parked = clew("runs", "create", thread, "--agent", agent, "--wait", code=1)
    assert "waits for tool outputs" in parked.stderr
    run = parked.stdout.strip()
    assert clew("runs", "cancel", thread, run).stdout == "cancelling\n"
    assert "cancelled" in clew("runs", "watch", thread, run, code=1).stderr
    assert "look({})" in clew("steps", "list", thread, run).stdout
    model.fail(401)
    failed = clew("runs", "create", thread, "--agent", agent, "--wait", code=1)
    assert "the run ended failed" in failed.stderr


def test_a_run_that_waits_for_approvals_is_1_too(clew: Clew, model: ScriptedModel) -> None:
    thread = _id(clew, "threads", "create")
    tools = [{"type": "clew_clock", "require_approval": "always"}]
    fields = json.dumps({"model": "gpt", "tools": tools})
    agent = _id(clew, "agents", "create", "--fields", "-", stdin=fields)
    model.calls(call("clew_clock"))
    parked = clew("runs", "create", thread, "--agent", agent, "--wait", code=1)
    assert "waits for approvals" in parked.stderr
    run = parked.stdout.strip()
    assert "waits for approval of: clew_clock" in clew("runs", "watch", run, code=1).stderr
    clew("runs", "cancel", thread, run)


def _started(clew: Clew) -> tuple[str, str]:
    """Start a run on a thread of its own; return both ids."""
    thread, agent = _id(clew, "threads", "create"), _id(clew, "agents", "create", "--model", "gpt")
    clew("messages", "create", thread, "Hello")
    return thread, _id(clew, "runs", "create", thread, "--agent", agent)


def test_a_run_is_watched_by_its_id_alone(clew: Clew, model: ScriptedModel) -> None:
    model.reply("Left.")
    _, run = _started(clew)
    assert "Left." in clew("runs", "watch", run).stdout
    _started(clew)
    assert "Left." in clew("runs", "watch", run).stdout
    assert "No run found with id 'run_nope'" in clew("runs", "watch", "run_nope", code=3).stderr


def test_a_time_that_is_over_before_anything_is_said_is_4_too(clew: Clew, model: ScriptedModel) -> None:
    thread, run = _started(clew)
    told = clew("runs", "watch", thread, run, "--timeout", "0.000001", code=4).stderr
    assert "said nothing of the run within 1e-06 s" in told


def test_a_watch_that_takes_too_long_is_4(clew: Clew, model: ScriptedModel) -> None:
    held = model.hold("Just a moment")
    thread, run = _started(clew)
    assert "still in_progress" in clew("runs", "watch", thread, run, "--timeout", "2", code=4).stderr
    held.release()
    assert "Just a moment" in clew("runs", "watch", thread, run).stdout


def test_nothing_that_was_said_steers_the_terminal(clew: Clew, service: Service) -> None:
    thread = service.create_thread().id
    message = service.create_message(thread, "red \x1b[31m, a title \x1b]0;owned\x07, \x9b2J and a bell \x07")
    for shown in (
        clew("messages", "list", thread),
        clew("messages", "show", thread, message.id),
        clew("messages", "list", thread, "--json"),
        clew("export", thread),
    ):
        assert not set("\x1b\x07\x9b") & set(shown.output)
    assert "owned" not in clew("messages", "list", thread).output
    page = json.loads(clew("messages", "list", thread, "--json").stdout)
    assert page["data"][0]["content"][0]["text"]["value"].endswith("\x9b2J and a bell \x07")


def test_the_example_of_the_documentation(
    server_settings: None, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    example = re.search(r"^```\n(agent=.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example is not None
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    model.reply("Left.")
    done = subprocess.run(["bash", "-euc", example[1]], capture_output=True, text=True, check=True)
    assert re.search(r"user +Where is the way out\?\n.*assistant +Left\.\n", done.stdout)
    assert "1 runs (1 completed)" in done.stdout or "0 runs" in done.stdout, "the server's clock stands still"
