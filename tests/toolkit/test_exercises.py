"""The exercises do what they say, as programs and part by part."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from clew.testing.scripted_model import Request, ScriptedModel
from clew.testing.server import RunningServer
from clew.toolkit import Service, connect
from examples.exercises import exercise_a_memory as memory
from examples.exercises import exercise_b_errors as errors
from examples.exercises import exercise_c_performance as performance

_PROGRAMS = Path(__file__).parents[2] / "examples" / "exercises"


@pytest.fixture(scope="module")
def _lab() -> Iterator[tuple[RunningServer, ScriptedModel]]:
    with ScriptedModel() as scripted, RunningServer(scripted) as running:
        yield running, scripted


@pytest.fixture
def running(_lab: tuple[RunningServer, ScriptedModel]) -> RunningServer:
    return _lab[0]


@pytest.fixture
def scripted(_lab: tuple[RunningServer, ScriptedModel]) -> ScriptedModel:
    _lab[1].reset()
    return _lab[1]


@pytest.fixture
def live(running: RunningServer) -> Iterator[Service]:
    with connect(running.openai_base_url, running.api_key) as opened:
        yield opened


def _program(name: str, running: RunningServer, *arguments: str) -> str:
    environment = {**os.environ, **running.environment, "COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(_PROGRAMS / name), *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _reads_the_thread(request: Request) -> str:
    """Answer as a model would that uses what it is given."""
    said = " ".join(str(message["content"]) for message in request.messages[:-1])
    known = {fact.asked: fact.told for fact in (*memory.FACTS, memory.CHANGED) if fact.told in said}
    if request.last_user_text in memory.UNTOLD:
        return "You haven't told me."
    return known.get(request.last_user_text, "I see.")


# --- A ---------------------------------------------------------------------------------------------


def test_a_model_that_reads_its_thread_remembers_everything(live: Service, scripted: ScriptedModel) -> None:
    scripted.when(lambda _: True).answer(_reads_the_thread)
    answers = memory.run(live, "scripted", trials=2, asides=4)
    assert len(answers) == 2 * (len(memory.FACTS) + 1 + len(memory.UNTOLD))
    assert all(answer.right for answer in answers)
    assert [answer.turns for answer in answers[:6]] == [10] * 6
    assert live.all_threads() == []


@pytest.mark.parametrize("says", ["I don't know.", "Your name is Lisbon."])
def test_a_model_that_does_not_is_reported_as_it_is(
    live: Service, scripted: ScriptedModel, says: str
) -> None:
    scripted.when(lambda _: True).reply(says)
    answers = memory.run(live, "scripted", trials=1, asides=0)
    console = Console(record=True, width=120)
    memory.show(console, answers)
    shown = console.export_text()
    assert "Remembered 0 of 6 facts (0%)." in shown
    assert ("Admitted not to know 2 of 2" in shown) == (says == "I don't know.")


def test_exercise_a_as_a_program(running: RunningServer, scripted: ScriptedModel) -> None:
    scripted.when(lambda _: True).answer(_reads_the_thread)
    assert "Remembered 6 of 6 facts (100%)." in _program("exercise_a_memory.py", running)


# --- B ---------------------------------------------------------------------------------------------


def test_every_fault_has_its_outcome() -> None:
    outcomes = errors.run()
    kinds = {name: outcome.happened.split(":")[0] for name, outcome in outcomes.items()}
    assert kinds == {
        "a run that fails": "RunFailed",
        "a rate limit": "RunFailed",
        "a time out": "RunTimedOut",
        "an expired run": "RunExpired",
        "a cancelled run": "RunCancelled",
        "an incomplete run": "RunIncomplete",
        "no server at all": "ConnectionFailed",
        "a wrong key": "AuthenticationFailed",
        "an unknown thread": "NotFound",
        "a busy thread": "ThreadBusy",
        "wrong tool arguments": "['invalid', 'ok']",
        "a tool that breaks": "['failed', 'timeout', 'invalid']",
        "a server killed in mid answer": kinds["a server killed in mid answer"],
    }
    killed = outcomes["a server killed in mid answer"].happened
    assert re.match(r"reconnected [1-9]\d* times; completed; heard: The first half, and then ", killed)
    assert killed.endswith("(again) You said: Hello")
    assert "hunter2" not in outcomes["a tool that breaks"].happened
    assert all(outcome.advice for outcome in outcomes.values())


# --- C ---------------------------------------------------------------------------------------------


def test_exercise_c_reports_over_two_hundred_runs(
    running: RunningServer, scripted: ScriptedModel, tmp_path: Path
) -> None:
    arithmetic = scripted.when(
        lambda request: "25 * 47" in request.last_user_text and not request.tool_outputs
    )
    arithmetic.call("calculate", {"expression": "25 * 47"})
    scripted.when(lambda request: request.last_user_text == "Say hello.").fail(400, "No hellos.")
    shown = _program("exercise_c_performance.py", running, "200", "8", str(tmp_path))
    assert "200 runs (" in shown
    assert "run time" in shown
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["runs"] == 200
    assert report["statuses"] == {"completed": 150, "failed": 50}
    assert report["codes"] == {"invalid_prompt": 50}
    assert report["error_rate"] == 0.25
    assert report["tools"]["calculate"]["calls"] == 50
    assert report["total"]["count"] == 200
    assert 0 < report["total"]["p50"] <= report["total"]["p90"] <= report["total"]["p99"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_bytes().decode())))
    assert len({row["run_id"] for row in rows}) == 200


def test_exercise_c_cleans_up(live: Service, scripted: ScriptedModel) -> None:
    async def measure() -> int:
        async with live:
            return len((await performance.measure(live, "scripted", 4, 2)).samples)

    assert anyio.run(measure) == 4
    assert live.all_threads() == []
