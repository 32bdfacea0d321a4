"""litellm's assistants."""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.clients.conftest import RunProgram

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def seen(model: ScriptedModel, run_python: RunProgram) -> dict[str, Any]:
    model.reset()
    model.reply("Hello.")
    model.reply("one two three")
    model.reply("Goodbye.")
    return run_python("litellm_assistants.py").result


def test_runs_a_thread_and_reads_its_messages(seen: dict[str, Any]) -> None:
    assert seen["run"] == {"status": "completed", "texts": ["Hello.", "Say hello."], "same_thread": True}


def test_streams_a_run(seen: dict[str, Any]) -> None:
    assert seen["stream"] == {
        "pieces": ["one ", "two ", "three"],
        "texts": ["one two three", "Count to three."],
    }


def test_runs_a_thread_asynchronously(seen: dict[str, Any]) -> None:
    assert seen["async"] == {"status": "completed", "text": "Goodbye."}


def test_deletes_an_assistant(seen: dict[str, Any]) -> None:
    assert seen["deleted"] is True
