"""`clew demo`, from the first line to the last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clew.testing.replies import Request
from clew.testing.scripted_model import ScriptedModel
from tests.sandbox.conftest import unavailable
from tests.support.weights import real_weights


def demo(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "clew.cli.main", "demo", *options],
        env={
            **os.environ,
            "CLEW_DATA_DIR": str(folder),
            "CLEW_SANDBOX_PYTHON": sys.executable,  # has matplotlib: nothing need be fetched
            "COLUMNS": "100",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=280,
        check=False,
    )


def test_the_demo_tells_its_story_with_a_model_of_ones_own(tmp_path: Path) -> None:
    with ScriptedModel() as model:
        model.when(lambda request: bool(request.tools) and not request.tool_outputs).call(
            "get_current_time", {}
        )
        done = demo(tmp_path, "--model-url", model.url)
    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("1. A conversation", "2. Watching a run", "3. Tools", "4. History", "That was it"):
        assert title in done.stdout
    assert "get_current_time({})" in done.stdout
    assert not list(tmp_path.glob("*.db")), "the demo's data belongs to its own server, and goes with it"


def test_where_no_code_is_run_the_demo_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "clew.toml").write_text('sandbox = "wasm"\n', encoding="utf-8")
    with ScriptedModel() as model:
        model.when(lambda request: bool(request.tools) and not request.tool_outputs).call(
            "get_current_time", {}
        )
        done = demo(tmp_path, "--model-url", model.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Code (step6_code.py) is left out: " in done.stdout
    assert "clew code setup --wasm" in " ".join(done.stdout.split())


def test_without_the_vendors_packages_it_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['azure'] = None; from clew.cli.main import cli; cli(['demo'])"
    done = subprocess.run(
        [sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the lesson's programs need azure.ai.projects: pip install ")
    assert "azure-ai-projects" in line.partition("pip install")[2]
    assert "clew" not in line


def test_a_demo_whose_model_fails_says_so_and_fails(tmp_path: Path) -> None:
    with ScriptedModel() as model:
        model.when(_always).fail(status=401, message="no such key")
        done = demo(tmp_path, "--model-url", model.url)
    assert done.returncode == 1
    assert "step1_conversation.py failed" in done.stderr
    assert "no such key" in done.stdout + done.stderr


def _always(_: Request) -> bool:
    return True


@pytest.mark.model
def test_the_demo_runs_on_the_embedded_model(tmp_path: Path) -> None:
    weights = real_weights("qwen2.5-coder-0.5b")
    (tmp_path / "clew.toml").write_text(f'model_file = "{weights}"\n', encoding="utf-8")
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "That was it" in done.stdout
    if unavailable("bwrap") is None:
        assert re.search(r"average strokes: 31\.25\b.*^Agent:.*31\.25", done.stdout, re.DOTALL | re.MULTILINE)
        assert re.search(r"Saved file-\w+\.png, [\d,]+ bytes", done.stdout)
