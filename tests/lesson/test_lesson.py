"""The lesson's programs, each run as a reader runs it: in its own process, with what `clew env` prints."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.testing.replies import Request
from clew.testing.replies import call as called
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.sandbox.conftest import unavailable

PROGRAMS = Path(__file__).parents[2] / "examples" / "lesson"


@pytest.fixture(scope="module")
def lesson_model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope="module")
def lesson_server(lesson_model: ScriptedModel) -> Iterator[RunningServer]:
    """A server as `clew serve --tls` starts it."""
    with RunningServer(lesson_model, tls=True) as server:
        yield server


@pytest.fixture
def model(lesson_model: ScriptedModel) -> ScriptedModel:
    lesson_model.reset()
    return lesson_model


def run(program: str, server: RunningServer, folder: Path, *arguments: str) -> str:
    """Run a program to its end; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), *arguments],
        env={**os.environ, **server.environment, "COLUMNS": "120"},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_step_1_talks_through_the_vendors_client(
    lesson_server: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    model.reply("Hello Ada!")
    model.reply("You are Ada, and you love sailing.")
    printed = run("step1_conversation.py", lesson_server, tmp_path)
    assert printed.count("queued -> completed") == 2
    assert "user: What is my name, and what do I love?" in printed
    assert "assistant: You are Ada, and you love sailing." in printed
    remembered = [message["content"] for message in model.requests[1].messages]
    assert remembered[1:] == [
        "Hi! My name is Ada, and I love sailing.",
        "Hello Ada!",
        "What is my name, and what do I love?",
    ]


def test_step_2_watches_the_states_and_shows_the_steps(
    lesson_server: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    model.reply("They push water aside. The water pushes back.")
    printed = run("step2_monitoring.py", lesson_server, tmp_path)
    assert "completed" in printed
    assert "the answer is in the thread" in printed
    assert "message_creation" in printed
    assert "8 out" in printed  # the scripted model counts words


def test_step_3_answers_calls_safely(
    lesson_server: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    expressions = ["25 * 47", "__import__('os').system('echo harm')", "9 ** 9 ** 9"]
    model.calls(
        called("get_current_time", {}),
        *(called("calculate", {"expression": expression}) for expression in expressions),
        called("calculate", "not JSON"),
        called("calculate", {"wrong": 1}),
    )
    model.reply("It is late, and 1175.")
    printed = run("step3_tools.py", lesson_server, tmp_path)
    assert "It is late, and 1175." in printed
    outputs = [json.loads(output) for output in model.requests[1].tool_outputs.values()]
    assert " on " in outputs[0]["result"]
    assert outputs[1] == {"result": "1175"}
    assert all(set(output) == {"error"} for output in outputs[2:])
    assert "harm" not in printed.replace("echo harm", "")


def test_step_4_keeps_summarises_and_exports_the_history(
    lesson_server: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    model.when(lambda _: True).answer(_talk)
    printed = run("step4_history.py", lesson_server, tmp_path)
    assert "Summary: A boat called Argo." in printed
    exported = json.loads((tmp_path / "conversation.json").read_text(encoding="utf-8"))
    assert [message["role"] for message in exported["messages"]] == ["user", "assistant"] * 3
    assert exported["messages"][3]["content"] == "Argo [b]."
    assert exported["thread_id"].startswith("thread_")


def _talk(request: Request) -> str:
    if "Summarise" in request.last_user_text:
        return "A boat called Argo."
    return "Argo [b]." if "called?" in request.last_user_text else "Aye."


def test_step_5_answers_from_a_file_and_says_where_it_stands(
    model: ScriptedModel, lesson_model: ScriptedModel, tmp_path: Path
) -> None:
    settings = {"embeddings_url": f"{lesson_model.url}", "embeddings_model": "scripted-embedding"}
    model.call("file_search", {"query": "barrels of water"})
    model.reply("37 barrels【4:0†logbook.md】.")
    with RunningServer(lesson_model, tls=True, settings=settings) as server:
        printed = run("step5_files.py", server, tmp_path)
    assert "1 file read into vs_" in printed
    assert "37 barrels【4:0†logbook.md】." in printed
    assert "【4:0†logbook.md】 is in logbook.md" in printed
    assert "37 barrels of water" in str(model.requests[-1].messages[-1]["content"])


def test_step_6_runs_what_the_model_writes_and_saves_what_it_shows(
    lesson_server: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    if (why := unavailable("bwrap")) is not None:
        pytest.skip(why)
    average = "import csv\nrows = list(csv.DictReader(open('/mnt/data/rowers.csv')))\n"
    model.call("code_interpreter", {"code": average + "sum(int(row['strokes']) for row in rows) / len(rows)"})
    model.reply("It is 31.25.")
    model.call("code_interpreter", {"code": "print(len(rows))"})
    model.reply("There is nothing to plot with.")
    printed = run("step6_code.py", lesson_server, tmp_path, "--plot")
    assert "csv.DictReader" in printed
    assert "\n31.25\n" in printed, "what the code came to"
    assert "Agent: It is 31.25." in printed
    assert "\n4\n" in printed, "variables live on from question to question"
