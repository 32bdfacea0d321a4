"""``clew runs explain``: what a person reads in front of a run that went wrong."""

import json
from pathlib import Path

from clew.testing.scripted_model import ScriptedModel, call
from clew.toolkit import Service
from tests.cli.conftest import Clew

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def _waiting(service: Service, model: ScriptedModel) -> tuple[str, str]:
    """Start a run that waits for the outputs of two calls; return its id and its thread's."""
    ask = {"type": "function", "function": {"name": "ask", "parameters": {"type": "object"}}}
    agent = service.create_agent("gpt", tools=[LOOK, ask]).id
    thread = service.create_thread(messages=[{"role": "user", "content": "Look!"}]).id
    model.calls(call("look"), call("ask", {"whom": "Ariadne"}))
    run = service.create_run(thread, agent).id
    service.request("GET", "threads", thread, "runs", run, query={"wait": 30})
    return run, thread


def test_a_run_that_failed_is_explained_by_its_id_alone(
    clew: Clew, service: Service, model: ScriptedModel
) -> None:
    model.fail(401, message="Incorrect API key provided")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    run = clew(
        "runs", "create", thread, "--agent", service.create_agent("gpt").id, "--wait", code=1
    ).stdout.strip()
    told = clew("runs", "explain", run).stdout
    assert told.startswith(f"{run}  failed  on {thread}\n")
    assert "does not take the server's key" in told
    assert "\n  -> Set the right one where the server is started: CLEW_MODEL_API_KEY" in told
    assert max(map(len, told.splitlines())) <= 100
    both = json.loads(clew("runs", "explain", thread, run, "--json").stdout)
    assert (both["run_id"], both["findings"][0]["code"]) == (run, "key_refused")


def test_what_a_provider_says_steers_no_terminal(clew: Clew, service: Service, model: ScriptedModel) -> None:
    model.fail(400, message="bad \x1b[31mfield\x9b2J")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    run = clew("runs", "create", thread, "--agent", service.create_agent("gpt").id, "--wait", code=1)
    told = clew("runs", "explain", run.stdout.strip()).stdout
    assert "refused the request as wrong" in told
    assert not set("\x1b\x9b") & set(told)


def test_the_command_that_is_advised_does_it(clew: Clew, service: Service, model: ScriptedModel) -> None:
    run, thread = _waiting(service, model)
    told = json.loads(clew("runs", "explain", run, "--json").stdout)
    command = told["findings"][0]["advice"].partition("`clew ")[2].partition("`")[0]
    model.reply("Left.")
    assert clew(*command.split(), "--wait").stdout == "completed\n"
    assert "Left." in clew("messages", "list", thread, "--run", run).stdout


def test_open_calls_are_shown_and_answered(clew: Clew, service: Service, model: ScriptedModel) -> None:
    run, thread = _waiting(service, model)
    shown = clew("runs", "submit", run)
    assert "look" in shown.stdout
    assert '{"whom":"Ariadne"}' in shown.stdout.replace(": ", ":")
    assert "--output CALL=TEXT" in shown.stderr
    look, ask = (each["id"] for each in json.loads(clew("runs", "submit", thread, run, "--json").stdout))
    left = clew("runs", "submit", run, "--output", f"{look}=A fork.", code=1).stderr
    assert f"these are not: {ask} (ask)" in left
    model.reply("Left.")
    sent = clew("runs", "submit", run, "--output", "look=a=b", "--output-file", f"{ask}=-", stdin="ways\n")
    assert sent.stdout in ("queued\n", "in_progress\n")
    clew("runs", "watch", run)
    calls = service.list_steps(thread, run, order="asc").data[0].calls
    assert [each.function.output for each in calls if each.function] == ["a=b", "ways\n"]
    assert "it waits for nothing" in clew("runs", "submit", run, code=1).stderr


def test_outputs_come_together_from_a_file(clew: Clew, service: Service, model: ScriptedModel) -> None:
    run, _ = _waiting(service, model)
    model.reply("Left.")
    outputs = json.dumps({"look": "A fork.", "ask": {"said": "left"}})
    assert clew("runs", "submit", run, "--outputs", "-", "--wait", stdin=outputs).stdout == "completed\n"


def test_answers_that_can_not_be_meant_are_2(
    clew: Clew, service: Service, model: ScriptedModel, tmp_path: Path
) -> None:
    run, _ = _waiting(service, model)
    for arguments, said in (
        (("--output", "look"), "is not CALL=TEXT"),
        (("--output", "lok=x"), "'lok' is no call that the run waits for"),
        (("--output", "look=x", "--output", "look=y"), "there are two outputs for"),
        (("--output-file", "look=/nowhere"), "/nowhere can't be read"),
        (("--approve", "look"), "the run waits for outputs"),
    ):
        assert said in clew("runs", "submit", run, *arguments, code=2).stderr
    assert "is no JSON object" in clew("runs", "submit", run, "--outputs", "-", code=2, stdin="[]").stderr
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    binary = clew("runs", "submit", run, "--output-file", f"look={tmp_path / 'binary'}", code=2)
    assert "is no text in UTF-8" in binary.stderr
    clew("runs", "cancel", run)


def test_calls_are_approved_and_denied(clew: Clew, service: Service, model: ScriptedModel) -> None:
    tools = [{"type": "clew_clock", "require_approval": "always"}]
    agent = service.create_agent("gpt", tools=tools).id
    thread = service.create_thread(messages=[{"role": "user", "content": "When?"}]).id
    model.calls(call("clew_clock"))
    run = service.create_run(thread, agent).id
    service.request("GET", "threads", thread, "runs", run, query={"wait": 30})
    assert "--approve CALL, or --deny CALL" in clew("runs", "submit", run).stderr
    assert "waits for approvals" in clew("runs", "submit", run, "--output", "clew_clock=x", code=2).stderr
    twice = ("--approve", "clew_clock", "--deny", "clew_clock")
    assert "both approved and denied" in clew("runs", "submit", run, *twice, code=2).stderr
    model.reply("I may not say.")
    assert clew("runs", "submit", run, "--deny", "clew_clock", "--wait").stdout == "completed\n"
