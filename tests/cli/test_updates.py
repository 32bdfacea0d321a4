"""Updates and narrowed lists as commands."""

import json

import pytest

from clew.testing.scripted_model import Raw, ScriptedModel
from clew.toolkit import Service
from tests.cli.conftest import Clew


def _json(clew: Clew, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(clew(*arguments, "--json").stdout)
    return found


def _ids(clew: Clew, *arguments: str) -> list[str]:
    return [each["id"] for each in json.loads(clew(*arguments, "--json").stdout)["data"]]


def test_an_agent_is_updated(clew: Clew, service: Service) -> None:
    agent = service.create_agent("gpt", name="helper", metadata={"team": "blue"}).id
    assert clew("agents", "update", agent, "--instructions", "Be brief.").stdout == f"{agent}\n"
    changed = _json(clew, "agents", "update", agent, "--model", "gpt-2", "--metadata", "room=1")
    assert (changed["name"], changed["instructions"]) == ("helper", "Be brief.")
    assert (changed["model"], changed["metadata"]) == ("gpt-2", {"room": "1"})


def test_threads_messages_and_runs_are_updated(clew: Clew, service: Service, model: ScriptedModel) -> None:
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    changed = _json(clew, "threads", "update", thread, "--token-budget", "9000", "--metadata", "state=open")
    assert (changed["token_budget"], changed["metadata"]) == (9000, {"state": "open"})
    message = service.list_messages(thread).data[0].id
    assert _json(clew, "messages", "update", thread, message, "--metadata", "seen=yes")["metadata"] == {
        "seen": "yes"
    }
    model.reply("Left.")
    run = clew("runs", "create", thread, "--agent", service.create_agent("gpt").id, "--wait").stdout.strip()
    assert clew("runs", "update", run, "--metadata", "good=no").stdout == f"{run}\n"
    assert _json(clew, "runs", "show", run)["metadata"] == {"good": "no"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("agents", "update", "asst_x"), "give one of --metadata, --model, --name, --description"),
        (("threads", "update", "thread_x"), "--token-budget"),
        (("messages", "update", "thread_x", "msg_x"), "nothing is to be changed"),
        (("threads", "list", "--metadata", "a=1", "--metadata", "a=2"), "given twice"),
        (("threads", "update", "thread_x", "--metadata", "a"), "is not KEY=VALUE"),
        (("runs", "list", "--since", "yesterday"), "is no age such as 24h"),
        (("runs", "list", "--status", "done"), "'done' is not one of"),
        (("runs", "show", "a", "b", "c"), "give one run"),
        (("steps", "show", "step_x"), "give the run's id and the step's"),
    ],
)
def test_what_changes_or_means_nothing_is_2(clew: Clew, arguments: tuple[str, ...], said: str) -> None:
    assert said in clew(*arguments, code=2).stderr


def test_threads_are_listed_by_metadata(clew: Clew, service: Service) -> None:
    blue = service.create_thread(metadata={"team": "blue", "room": "a b&c=d"}).id
    service.create_thread(metadata={"team": "red"})
    assert _ids(clew, "threads", "list", "--metadata", "team=blue") == [blue]
    assert _ids(clew, "threads", "list", "--metadata", "team=blue", "--metadata", "room=a b&c=d") == [blue]
    assert _ids(clew, "threads", "list", "--metadata", "team=green") == []


def test_runs_are_listed_by_what_they_are(clew: Clew, service: Service, model: ScriptedModel) -> None:
    agents = [service.create_agent("gpt").id for _ in range(2)]
    runs = []
    for number, agent in enumerate((agents[0], agents[1], agents[0])):
        model.fail(400) if number == 2 else model.reply("Left.")
        thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
        run = service.create_run(thread, agent).id
        service.request("GET", "threads", thread, "runs", run, query={"wait": 30})
        runs.append(run)
    assert _ids(clew, "runs", "list", "--agent", agents[0]) == [runs[2], runs[0]]
    assert _ids(clew, "runs", "list", "--agent", agents[0], "--status", "failed") == [runs[2]]
    assert _ids(clew, "runs", "list", thread, "--status", "failed", "--status", "expired") == [runs[2]]
    assert _ids(clew, "runs", "list", thread, "--status", "completed") == []
    assert set(runs) <= set(_ids(clew, "runs", "list", "--all"))
    listed = clew("runs", "list", "--agent", agents[0], "--limit", "1")
    assert thread in listed.stdout
    assert f"--after {runs[2]}" in listed.stderr
    at = service.get_run(thread, runs[2]).created_at
    from datetime import UTC, datetime

    then = datetime.fromtimestamp(at, UTC).isoformat()
    assert runs[2] in _ids(clew, "runs", "list", "--since", then)
    assert _ids(clew, "runs", "list", "--until", then, "--agent", agents[0]) == []
    assert "No thread found" in clew("runs", "list", "thread_x", "--status", "failed", code=3).stderr


def test_reasoning_is_shown_to_who_asks(clew: Clew, service: Service, model: ScriptedModel) -> None:
    delta = {"reasoning_content": "The wall is on the right."}
    frame = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    model.reply(Raw(f"data: {json.dumps(frame)}\n\n".encode()), "Left.")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    run = clew("runs", "create", thread, "--agent", service.create_agent("gpt").id, "--wait").stdout.strip()
    assert "The wall is" not in clew("steps", "list", thread, run).stdout
    assert "The wall is on the right." in clew("steps", "list", run, "--reasoning").stdout
    (step,) = service.list_steps(thread, run).data
    assert "The wall is" in clew("steps", "show", run, step.id, "--reasoning").stdout
