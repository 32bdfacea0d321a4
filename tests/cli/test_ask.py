"""``clew ask``: answers, exit codes, and what is left behind."""

import json

from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service
from tests.cli.conftest import Clew, Terminal


def test_an_answer_is_printed_and_can_be_asked_on(clew: Clew, model: ScriptedModel) -> None:
    model.reply("A conversation.")
    assert clew("ask", "What is a thread?").stdout == "A conversation.\n"
    model.reply("An agent at work on one.")
    assert clew("ask", "--last", "And a run?").stdout == "An agent at work on one.\n"
    said = [message["content"] for message in model.requests[-1].messages]
    assert said == ["What is a thread?", "A conversation.", "And a run?"]


def test_the_agent_that_was_made_for_it_is_deleted(
    clew: Clew, model: ScriptedModel, service: Service
) -> None:
    model.reply("Yes.")
    clew("ask", "--model", "gpt-x", "--instructions", "Be brief.", "Is it?")
    assert model.requests[-1].body["model"] == "gpt-x"
    assert model.requests[-1].messages[0]["content"] == "Be brief."
    model.fail(401)
    clew("ask", "Is it?", code=1)
    assert service.list_agents().data == ()


def test_an_agent_that_is_there_answers_and_stays(clew: Clew, model: ScriptedModel, service: Service) -> None:
    agent = service.create_agent("gpt", instructions="You are a pirate.")
    model.reply("Arr.")
    assert clew("ask", "--agent", agent.id, "Hello").stdout == "Arr.\n"
    assert "leave the others out" in clew("ask", "--agent", agent.id, "--model", "x", "Hello", code=2).stderr
    assert "No assistant" in clew("ask", "--agent", "asst_nope", "Hello", code=3).stderr
    service.delete_agent(agent.id)


def test_as_json_it_says_everything(clew: Clew, model: ScriptedModel) -> None:
    model.calls(call("calculate", {"expression": "25 * 47"}))
    model.reply("It is 1175.")
    answer = json.loads(clew("ask", "--json", "--tools", "-", stdin="What is 25 * 47?").stdout)
    assert (answer["status"], answer["text"], answer["error"]) == ("completed", "It is 1175.", None)
    (called,) = answer["tool_calls"]
    assert (called["name"], called["output"], called["outcome"]) == ("calculate", "1175", "ok")
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["thread_id"].startswith("thread_")


def test_what_is_forgotten_is_gone(clew: Clew, model: ScriptedModel) -> None:
    model.reply("Yes.")
    thread = json.loads(clew("ask", "--forget", "--json", "Is it?").stdout)["thread_id"]
    clew("threads", "show", thread, code=3)


def test_each_end_has_its_exit_code(clew: Clew, model: ScriptedModel) -> None:
    model.fail(401)
    failed = clew("ask", "Hello", code=1)
    assert failed.stderr.startswith("Error: The run")
    model.fail(401)
    assert json.loads(clew("ask", "--json", "Hello", code=1).stdout)["status"] == "failed"
    clew("ask", "--thread", "thread_nope", "Hello", code=3)
    clew("ask", "--thread", "thread_nope", "--last", "Hello", code=2)
    clew("ask", "", code=2)
    held = model.hold("Just a moment")
    late = clew("ask", "--timeout", "2", "--json", "Hello", code=4)
    held.release()
    assert json.loads(late.stdout)["error"]["code"] == "timeout"
    assert "after 2 s" in late.stderr


def test_an_interruption_cancels_the_run_and_is_130(
    terminal: Terminal, model: ScriptedModel, service: Service
) -> None:
    held = model.hold("Once upon a time", "there was")
    asking = terminal("ask", "Tell me a story")
    asking.expect("Once upon a time")
    asking.sendintr()
    asking.expect("\r\n")
    asking.wait()
    held.release()
    assert asking.exitstatus == 130
    thread = service.list_threads(limit=1).data[0]
    assert service.list_runs(thread.id).data[0].status == "cancelled"
    assert service.list_agents().data == ()


def test_on_a_terminal_the_answer_comes_as_it_is_written(terminal: Terminal, model: ScriptedModel) -> None:
    held = model.hold("The first half \x1b[31m", "and the second.")
    asking = terminal("ask", "Go on")
    asking.expect("The first half ")
    held.release()
    asking.expect("and the second.")
    asking.expect(r"\(clew ask --thread thread_\w+ ... goes on from here\)")
    assert "\x1b[31m" not in (asking.before or "")
    asking.expect_exact("\n")
    asking.wait()
    assert asking.exitstatus == 0
