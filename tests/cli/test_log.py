"""The log of a running server: what an operator reads the day after, and what nobody ever may."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.wait import until

CANARIES = {
    "CLEW_API_KEY": "clew_canary-of-the-clients-key-0123",
    "CLEW_MODEL_API_KEY": "sk-canary-of-the-models-key-0123",
}


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_failed_run_and_a_refused_key_are_told_and_no_secret_is(tmp_path: Path, form: str) -> None:
    with ScriptedModel() as model:
        told = f"Incorrect API key provided: {CANARIES['CLEW_MODEL_API_KEY']}\r\nERROR forged line"
        model.when(lambda _: True).fail(401, told)
        log, run = _served(tmp_path, model.url, form)
    ended = [line for line in log.splitlines() if run in line and " failed" in line]
    assert ended, log
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        (end,) = [line for line in lines if line.get("status") == "failed"]
        assert (end["level"], end["run_id"], end["attempts"], end["code"]) == (
            "warning",
            run,
            0,
            "server_error",
        )
        assert "Incorrect API key provided" in end["message"]
        (refused,) = [line for line in lines if line.get("status") == 401]
        assert refused["request_id"].startswith("req_")
    assert not any(line.startswith("ERROR") for line in log.splitlines())
    everything = log + "".join(path.read_text("utf-8", "replace") for path in tmp_path.glob("*.log"))
    for secret in CANARIES.values():
        assert secret not in everything
        assert secret not in json.dumps(_dump(tmp_path))


def _served(folder: Path, model_url: str, form: str) -> tuple[str, str]:
    """Run a server with a run that fails and a key that is refused; return its log and the run's id."""
    settings = {
        "CLEW_DATA_DIR": str(folder),
        "CLEW_MODEL_URL": model_url,
        "CLEW_LOG_FORMAT": form,
        **CANARIES,
    }
    with (
        (folder / "out").open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "clew.cli.main", "serve", "--port", "0"],
            env={**os.environ, **settings},
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        for secret in CANARIES.values():
            assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text("utf-8")
        try:
            url = until(lambda: _url(folder), timeout=30)
            run = _fail(url)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    return (folder / "out").read_text("utf-8"), run


def _url(folder: Path) -> str | None:
    try:
        url: str = json.loads((folder / "server.json").read_text("utf-8"))["url"]
    except (FileNotFoundError, ValueError):
        return None
    return url


def _fail(url: str) -> str:
    headers = {"Authorization": f"Bearer {CANARIES['CLEW_API_KEY']}"}
    with httpx2.Client(base_url=f"{url}/v1", timeout=30) as http:
        assert http.get("/threads", headers={"Authorization": "Bearer clew_wrong"}).status_code == 401
        agent = http.post("/assistants", json={"model": "m"}, headers=headers).json()
        thread = {"messages": [{"role": "user", "content": "Hello?"}]}
        body = {"assistant_id": agent["id"], "thread": thread}
        run: Any = http.post("/threads/runs", json=body, headers=headers).json()
        path = f"/threads/{run['thread_id']}/runs/{run['id']}"
        done = until(lambda: _over(http.get(f"{path}?wait=10", headers=headers).json()))
        assert CANARIES["CLEW_MODEL_API_KEY"] not in json.dumps(done)
    return str(run["id"])


def _over(run: Any) -> Any:
    return run if run["status"] == "failed" else None


def _dump(folder: Path) -> list[str]:
    """Return what an export of everything says."""
    done = subprocess.run(
        [sys.executable, "-m", "clew.cli.main", "runs", "list", "--json"],
        env={**os.environ, "CLEW_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return [done.stdout, done.stderr]
