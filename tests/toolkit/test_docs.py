"""The guide's code runs as it stands, and its table names every error there is."""

import os
import re
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import errors
from tests.support.server import KEYS, Server

_GUIDE = Path(__file__).parents[2] / "docs" / "toolkit.md"


@pytest.fixture
def environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["alpha"])
    monkeypatch.setenv("MODEL_DEPLOYMENT_NAME", "scripted")
    monkeypatch.chdir(tmp_path)


def test_the_guide_runs(environment: None, model: ScriptedModel, capsys: pytest.CaptureFixture[str]) -> None:
    calculation = model.when(
        lambda request: request.last_user_text == "What is 25 * 47?" and not request.tool_outputs
    )
    calculation.call("calculate", {"expression": "25 * 47"})
    blocks = re.findall(r"```python\n(.*?)```", _GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(_GUIDE), "exec"), names)
    names["service"].close()  # type: ignore[attr-defined]
    shown = capsys.readouterr().out
    assert "You said: My boat is called Argo." in shown
    assert 'calculate {"expression":"25 * 47"} ok 1175' in shown
    assert "[{'tool_call_id': 'call_1', 'output': '42'}]" in shown
    assert {"conversation.json", "conversation.md", "conversation.jsonl"} <= set(os.listdir())


def test_the_guide_names_every_error() -> None:
    text = _GUIDE.read_text(encoding="utf-8")
    leaves = {
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ToolkitError) and not error.__subclasses__()
    }
    assert {error.__name__ for error in leaves if error.__name__ not in text} == set()


@pytest.mark.parametrize(
    "error",
    [error for error in vars(errors).values() if isinstance(error, type)],
    ids=lambda error: error.__name__,
)
def test_every_error_is_documented(error: type) -> None:
    assert error.__doc__
    assert not issubclass(error, errors.RunError) or error is errors.RunError or error.code != "run_error"
