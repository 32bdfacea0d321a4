"""Conversations: talked, looked back on, written to files, copied, bounded and cleaned up."""

import io
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.console import Console

from clew.testing.scripted_model import Request, ScriptedModel, Usage
from clew.toolkit import ConversationManager, Limits, RunMonitor, Service, ToolExecutor, calculate, connect
from clew.toolkit._blocking import run
from clew.toolkit.errors import (
    ConversationError,
    ConversationTooLong,
    ConversationWarning,
    ExportInvalid,
    NotFound,
    RestoreIncomplete,
    RunFailed,
    ServiceError,
    ThreadBusy,
)
from clew.toolkit.records import Agent
from tests.support.server import KEYS, Server
from tests.toolkit.proxy import Proxy


@pytest.fixture
def conversation(service: Service, agent: Agent) -> ConversationManager:
    return ConversationManager(service, agent.id)


def _said(conversation: ConversationManager) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in conversation.history()]


# --- talking ---------------------------------------------------------------------------------------


def test_a_conversation_through_every_client(each_client: Any, model: ScriptedModel) -> None:
    service = connect(each_client)
    tools = ToolExecutor([calculate])
    agent = service.create_agent("scripted", tools=tools.definitions)
    conversation = ConversationManager(each_client, agent.id, tools=tools)
    assert conversation.thread_id is None
    assert conversation.send("My boat is called Argo.").text == "You said: My boat is called Argo."
    model.call("calculate", {"expression": "6*7"})
    model.reply("It is 42.")
    conversation.add_user_message("What is 6 * 7?", metadata={"topic": "numbers"})
    assert conversation.process_agent_response().text == "It is 42."
    assert _said(conversation) == [
        ("user", "My boat is called Argo."),
        ("assistant", "You said: My boat is called Argo."),
        ("user", "What is 6 * 7?"),
        ("assistant", "It is 42."),
    ]
    assert [message.text for message in conversation.history(last=2)] == ["What is 6 * 7?", "It is 42."]
    assert conversation.history(last=2)[0].metadata == {"topic": "numbers"}


def test_the_model_gets_the_whole_conversation(
    conversation: ConversationManager, model: ScriptedModel
) -> None:
    conversation.send("My boat is called Argo.")
    conversation.send("What is it called?", additional_instructions="Be brief.")
    texts = [message["content"] for message in model.requests[-1].messages]
    assert "My boat is called Argo." in texts
    assert any("Be brief." in text for text in texts)


def test_a_run_that_fails_leaves_the_conversation_usable(
    conversation: ConversationManager, model: ScriptedModel
) -> None:
    model.fail(400, "No.")
    with pytest.raises(RunFailed):
        conversation.send("First")
    assert conversation.send("Second", check=False).text == "You said: Second"
    assert len(conversation.history()) == 3


def test_a_thread_that_others_use_is_busy(
    service: Service, agent: Agent, conversation: ConversationManager, model: ScriptedModel
) -> None:
    conversation.send("Hi")
    held = model.silence(then="Done")
    service.create_run(conversation.thread_id or "", agent.id)
    with pytest.raises(ThreadBusy):
        conversation.send("Me too")
    held.release()


def test_messages_sent_at_once_wait_for_each_other(
    conversation: ConversationManager, model: ScriptedModel
) -> None:
    async def all_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(conversation.asend, f"number {number}")

    run(all_at_once())
    said = _said(conversation)
    assert len(said) == 16
    for (_, asked), (_, answered) in zip(said[::2], said[1::2], strict=True):
        assert answered == f"You said: {asked}"


# --- looking back ----------------------------------------------------------------------------------


def test_a_summary_is_a_table_that_takes_nothing_for_markup(
    conversation: ConversationManager, model: ScriptedModel
) -> None:
    conversation.send("Is [red]this[/] \x1b[31mred?")
    summary = conversation.get_conversation_summary()
    assert summary.roles == {"user": 1, "assistant": 1}
    assert summary.runs == {"completed": 1}
    assert summary.prompt_tokens > 0
    screen = io.StringIO()
    Console(file=screen, width=120, force_terminal=True, color_system=None).print(summary)
    assert "Is [red]this[/] red?" in screen.getvalue()
    assert "1 by user" in " ".join(screen.getvalue().split())


def test_an_empty_conversation_has_a_summary_too(conversation: ConversationManager) -> None:
    assert conversation.get_conversation_summary().messages == 0
    assert conversation.history() == []
    with pytest.raises(ConversationError, match="nothing to summarise"):
        conversation.write_summary()
    with pytest.raises(ConversationError, match="hasn't begun"):
        conversation.transcript()


def test_a_written_summary_leaves_the_conversation_as_it_was(
    service: Service, conversation: ConversationManager, model: ScriptedModel
) -> None:
    conversation.send("My boat is called Argo.")
    before, threads = _said(conversation), len(service.all_threads())
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return "They spoke of Argo."

    model.answer(answer)
    assert conversation.write_summary(sentences=2) == "They spoke of Argo."
    assert "at most 2 sentences" in asked[0].last_user_text
    assert any("Argo" in str(message["content"]) for message in asked[0].messages)
    assert _said(conversation) == before
    assert len(service.all_threads()) == threads


def test_a_failed_summary_cleans_up_as_well(
    service: Service, conversation: ConversationManager, model: ScriptedModel
) -> None:
    conversation.send("Hello")
    threads = len(service.all_threads())
    model.fail(400, "No.")
    with pytest.raises(RunFailed):
        conversation.write_summary()
    assert len(service.all_threads()) == threads


def test_searching_ignores_case_and_says_where(conversation: ConversationManager) -> None:
    conversation.send("Die STRASSE heißt Hauptstraße, [a-z]+ is no pattern.")
    places = conversation.search("straße", role="user")
    assert [match.message.text[match.start : match.end] for match in places] == ["STRASSE", "straße"]
    assert len(conversation.search("straße")) == 4
    assert conversation.search("missing") == []
    assert len(conversation.search("[a-z]+", role="user")) == 1
    with pytest.raises(ValueError, match="nothing to search"):
        conversation.search(" ")


# --- files -----------------------------------------------------------------------------------------


def test_the_export_has_the_lessons_shape(conversation: ConversationManager, tmp_path: Path) -> None:
    conversation.send("Grüße 🐙")
    path = conversation.export(tmp_path / "conversation.json")
    exported = json.loads(path.read_text(encoding="utf-8"))
    history = conversation.history()
    assert exported == {
        "thread_id": conversation.thread_id,
        "messages": [
            {
                "id": message.id,
                "role": message.role,
                "content": message.text,
                "created_at": f"{_iso(message.created_at)}",
            }
            for message in history
        ],
    }
    assert "Grüße 🐙" in path.read_text(encoding="utf-8")


def test_markdown_quotes_what_was_said(conversation: ConversationManager, tmp_path: Path) -> None:
    conversation.send("# Not a heading\nsecond line")
    text = conversation.export(tmp_path / "conversation.md").read_text(encoding="utf-8")
    assert "> # Not a heading\n> second line\n" in text
    assert text.count("\n# ") == 0


def test_an_export_says_its_form(conversation: ConversationManager, tmp_path: Path) -> None:
    conversation.send("Hello")
    with pytest.raises(ValueError, match=r"\.jsonl"):
        conversation.export(tmp_path / "conversation.txt")
    assert conversation.export(tmp_path / "conversation.txt", "markdown").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["conversation.txt"]


@pytest.mark.parametrize("name", ["backup.jsonl", "export.jsonl", "export.json"])
def test_a_thread_moves_into_another_project(
    server: Server, service: Service, agent: Agent, model: ScriptedModel, tmp_path: Path, name: str
) -> None:
    conversation = ConversationManager(service, agent.id, metadata={"topic": "boats"})
    for number in range(20):  # more than a thread may be created with at once
        conversation.send(f"number {number}", metadata={"n": str(number)})
    conversation.add_user_message("tagged", metadata={"tag": "x"})
    path = tmp_path / name
    if name.startswith("backup"):
        conversation.backup(path)
    else:
        conversation.export(path)
    with connect(f"{server.url}/v1", KEYS["beta"]) as elsewhere:
        other_agent = elsewhere.create_agent("scripted")
        restored = ConversationManager.restore(elsewhere, other_agent.id, path)
        assert _said(restored) == _said(conversation)
        assert restored.send("Still there?").text == "You said: Still there?"
        if name.endswith(".jsonl"):
            assert restored.history()[40].metadata == {
                "tag": "x",
                "restored_from": conversation.history()[40].id,
                "restored_created_at": str(conversation.history()[40].created_at),
            }
            assert elsewhere.get_thread(restored.thread_id or "").metadata == {"topic": "boats"}
        moved_on = restored.backup(tmp_path / "again.jsonl")
        again = ConversationManager.restore(elsewhere, other_agent.id, moved_on)
        first = again.history()[0].metadata or {}
        assert first["restored_from"] == conversation.history()[0].id


def test_a_backup_holds_runs_and_steps(conversation: ConversationManager, tmp_path: Path) -> None:
    conversation.send("Hello")
    conversation.send("Again")
    lines = conversation.backup(tmp_path / "b.jsonl").read_text(encoding="utf-8").splitlines()
    header, *records = [json.loads(line) for line in lines]
    assert (header["format"], header["version"]) == ("clew-thread", 1)
    assert [record["kind"] for record in records] == ["message"] * 4 + ["run"] * 2 + ["step"] * 2
    assert (header["messages"], header["runs"], header["steps"]) == (4, 2, 2)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda text: text.replace("Hello", "Hallo", 1), "was changed"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "cut short"),
        (lambda text: text.replace('"version":1', '"version":2'), "version 2"),
        (lambda text: text.replace("clew-thread", "other"), "format 'other'"),
        (lambda text: text[: len(text) // 2], "Line"),
        (lambda text: "not json", "isn't an exported"),
        (lambda text: '{"thread_id": "x"}', "isn't an exported"),
        (lambda text: '{"thread_id":"x","messages":[{"role":"user","content":1}]}', "isn't an exported"),
    ],
)
def test_a_damaged_file_is_refused_and_nothing_is_created(
    service: Service,
    agent: Agent,
    conversation: ConversationManager,
    tmp_path: Path,
    damage: Any,
    what: str,
) -> None:
    conversation.send("Hello")
    path = conversation.export(tmp_path / "c.jsonl")
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    threads = len(service.all_threads())
    with pytest.raises(ExportInvalid, match=what):
        ConversationManager.restore(service, agent.id, path)
    assert len(service.all_threads()) == threads


def test_a_restore_that_fails_halfway_leaves_nothing(
    through_proxy: Service,
    proxy: Proxy,
    service: Service,
    agent: Agent,
    conversation: ConversationManager,
    tmp_path: Path,
) -> None:
    for number in range(17):
        conversation.send(f"number {number}")
    path = conversation.backup(tmp_path / "b.jsonl")
    threads = len(service.all_threads())
    proxy.answer("POST .*/messages", 400, body=b'{"error":{"message":"Too many"}}')
    with pytest.raises(ServiceError, match="Too many"):
        ConversationManager.restore(through_proxy, agent.id, path)
    proxy.answer("GET .*/messages", 200, body=b'{"data":[{"id":"msg_1","role":"user"}],"has_more":false}')
    with pytest.raises(RestoreIncomplete, match="1 messages instead of 34") as error:
        ConversationManager.restore(through_proxy, agent.id, path)
    assert len(error.value.differences) == 2
    assert len(service.all_threads()) == threads


# --- branches --------------------------------------------------------------------------------------


def test_a_branch_begins_where_one_says(conversation: ConversationManager) -> None:
    conversation.send("one")
    conversation.send("two")
    at = conversation.history()[1].id
    branch = conversation.branch(at)
    assert _said(branch) == [("user", "one"), ("assistant", "You said: one")]
    branch.send("another two")
    assert len(conversation.history()) == 4
    assert len(conversation.branch().history()) == 4
    with pytest.raises(NotFound):
        conversation.branch("msg_missing")


# --- limits ----------------------------------------------------------------------------------------


def test_one_is_warned_before_the_tokens_run_out(
    service: Service, agent: Agent, model: ScriptedModel
) -> None:
    conversation = ConversationManager(service, agent.id, limits=Limits(tokens=100))
    model.reply("Fine.", usage=Usage(50, 10))
    conversation.send("Hello")
    assert conversation.tokens == 60
    model.reply("Fine.", usage=Usage(70, 10))
    conversation.send("Hello")
    assert conversation.tokens == 80
    with pytest.warns(ConversationWarning, match="of at most 100 tokens"):
        conversation.add_user_message("Hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conversation.add_user_message("Hello")  # warned once, not each time
    before = len(conversation.history())
    with pytest.raises(ConversationTooLong, match="100 are allowed"):
        conversation.add_user_message("word " * 100)
    assert len(conversation.history()) == before
    assert model.pending == 0
    assert conversation.write_summary() != ""  # most wanted now


def test_only_the_last_model_call_counts_as_context(service: Service, model: ScriptedModel) -> None:
    tools = ToolExecutor([calculate])
    agent = service.create_agent("scripted", tools=tools.definitions)
    conversation = ConversationManager(service, agent.id, tools=tools, limits=Limits(tokens=1000))
    model.call("calculate", {"expression": "1"})
    model.reply("One.", usage=Usage(40, 2))
    result = conversation.send("One?")
    assert result.usage.total_tokens > 42
    assert conversation.tokens == 42


def test_messages_are_counted_in_a_thread_that_was_there(
    service: Service, agent: Agent, model: ScriptedModel
) -> None:
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}] * 4)
    told: list[str] = []
    conversation = ConversationManager(
        service, agent.id, thread_id=thread.id, limits=Limits(messages=6, warn_at=0.5), on_warning=told.append
    )
    conversation.send("Hello")
    assert told == [
        "The conversation has 5 of at most 6 messages: summarise it and start a new one, or branch from a "
        "later message."
    ]
    with pytest.raises(ConversationTooLong, match="7 messages"):
        conversation.send("Hello")


def test_one_message_may_not_be_too_long(service: Service, agent: Agent) -> None:
    conversation = ConversationManager(service, agent.id, limits=Limits(message_characters=10))
    with pytest.raises(ConversationTooLong, match="11 characters"):
        conversation.send("x" * 11)


# --- leaving ---------------------------------------------------------------------------------------


def test_leaving_deletes_what_was_created_and_nothing_else(
    service: Service, agent: Agent, model: ScriptedModel, tmp_path: Path
) -> None:
    existing = service.create_thread()
    before = {thread.id for thread in service.all_threads()}
    with ConversationManager(service, agent.id, delete_on_leaving=True) as conversation:
        conversation.send("Hello")
        with conversation.branch() as branch:
            branch.send("Hello")
        path = conversation.backup(tmp_path / "b.jsonl")
    with ConversationManager(service, agent.id, thread_id=existing.id, delete_on_leaving=True) as attached:
        attached.send("Hello")
    with ConversationManager.restore(service, agent.id, path, delete_on_leaving=True):
        pass
    assert {thread.id for thread in service.all_threads()} == before
    assert conversation.thread_id is None


def test_leaving_keeps_threads_unless_asked(service: Service, agent: Agent, model: ScriptedModel) -> None:
    with ConversationManager(service, agent.id) as conversation:
        conversation.send("Hello")
    assert service.get_thread(conversation.thread_id or "").id == conversation.thread_id
    conversation.delete()
    conversation.delete()
    conversation.send("A new beginning")
    assert len(conversation.history()) == 2


def test_leaving_by_an_exception_deletes_too(service: Service, agent: Agent, model: ScriptedModel) -> None:
    before = len(service.all_threads())
    monitor = RunMonitor(service, timeout=0.1)
    model.hold("Just a moment")

    def talk() -> None:
        with ConversationManager(service, agent.id, monitor=monitor, delete_on_leaving=True) as conversation:
            conversation.send("Hello")

    with pytest.raises(Exception, match=r"after 0\.1 s"):
        talk()
    model.reset()
    assert len(service.all_threads()) == before


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
