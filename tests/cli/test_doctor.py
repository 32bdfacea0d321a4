"""``clew doctor``: says what is wrong, and what to do; and never says a secret."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clew.cli.main import cli
from clew.installing import how_to_add
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.cluster import cluster
from tests.support.database import change, new_database
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer

NOWHERE = "http://127.0.0.1:1/v1"


def _doctor(data_dir: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(
        cli, ["doctor", "--data-dir", str(data_dir), *arguments], env={"COLUMNS": "200", **environment}
    )


def _findings(result: Result) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.output):
        found.setdefault(finding["subject"], []).append(finding)
    return found


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(api_key="sk-the-right-one") as model:
        yield model


def test_before_the_first_start_nothing_is_wrong(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = _doctor(home, "--json", CLEW_MODEL_URL="")
    assert done.exit_code == 0
    found = _findings(done)
    assert {found[subject][0]["level"] for subject in ("data", "key", "store", "server")} == {"note"}
    assert not home.exists(), "looking has made something"


def test_a_server_that_runs_is_well(tmp_path: Path, model: ScriptedModel) -> None:
    with RunningServer(
        model, data_dir=tmp_path / "home", settings={"model_api_key": "sk-the-right-one"}
    ) as server:
        done = _doctor(server.data_dir, "--json", "--model-url", model.url)
        table = _doctor(server.data_dir, "--model-url", model.url)
    assert done.exit_code == 0, done.output
    found = _findings(done)
    assert [f["level"] for each in found.values() for f in each if f["level"] == "fail"] == []
    assert found["server"][0]["text"].startswith(f"{server.url} is ready (process ")
    assert f"SQLite at {server.data_dir / 'clew.db'}" in found["store"][0]["text"]
    assert "every page is sound" in found["store"][1]["text"]
    assert found["runs"][0]["text"] == "none is live; 0 in line on busy threads"
    assert re.search(r"^ok +server", table.output, re.MULTILINE)


def test_a_server_that_was_killed_is_told_of(tmp_path: Path, model: ScriptedModel) -> None:
    with RunningServer(model, data_dir=tmp_path / "home") as server:
        server.kill()
        done = _doctor(server.data_dir, "--model-url", model.url)
    assert "nobody answers there" in done.output
    assert "-> it was stopped or killed: start it again with `clew serve`" in done.output


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    new_database(folder / "clew.db")
    return folder


def test_what_is_wrong_is_said_with_what_to_do(home: Path, model: ScriptedModel) -> None:
    with (home / "clew.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    home.chmod(0o755)
    done = _doctor(home, "--json", "--model-url", model.url, CLEW_MODEL_API_KEY="sk-the-wrong-one")
    assert done.exit_code == 1
    found = _findings(done)
    assert (found["store"][0]["level"], found["store"][0]["advice"]) == (
        "fail",
        "restore a backup: clew restore FILE",
    )
    assert (found["model"][0]["level"], found["model"][0]["advice"]) == ("fail", "correct CLEW_MODEL_API_KEY")
    if os.name == "posix":
        assert (found["data"][0]["level"], found["data"][0]["advice"].endswith(f"chmod 700 {home}")) == (
            "warn",
            True,
        )


def test_what_does_not_answer(home: Path) -> None:
    done = _doctor(
        home,
        "--json",
        CLEW_DATABASE_URL="postgresql://clew:pg-secret@127.0.0.1:1/clew",
        CLEW_BUS_URL="nats://user:bus-secret@127.0.0.1:1",
        CLEW_MODEL_URL="http://127.0.0.1:1/v1",
        CLEW_MODEL_API_KEY="model-secret",
        CLEW_API_KEY="clew_key-secret",
    )
    assert done.exit_code == 1
    found = _findings(done)
    assert [found[subject][0]["level"] for subject in ("store", "bus", "model")] == ["fail"] * 3
    assert "secret" not in done.output


def test_an_older_schema_and_late_webhooks(home: Path) -> None:
    path = home / "clew.db"
    change(path, "INSERT INTO webhooks VALUES (1, 'wh_1', 'p', 1, 'http://x', '[]', 's', '{}', NULL, NULL)")
    change(
        path,
        "INSERT INTO due_work (kind, id, project, lane, created_at, due, attempts, epoch) "
        "VALUES ('webhook', 'wh_1/r/1', 'p', 'wh_1', 1, 1, 0, 0)",
    )
    found = _findings(_doctor(home, "--json", "--model-url", NOWHERE))
    assert found["webhooks"][0]["level"] == "warn"
    change(path, "UPDATE alembic_version SET version_num = '0001'")
    found = _findings(_doctor(home, "--json", "--model-url", NOWHERE))
    assert "clew migrate" in found["store"][0]["advice"]


def test_a_cluster(
    tmp_path: Path, postgres_url: str, postgres: PostgresServer, nats: NatsServer, model: ScriptedModel
) -> None:
    where = ["--database", postgres_url, "--bus", nats.url, "--model-url", model.url]
    with cluster(postgres_url, nats.url, model.url, CLEW_BUS_PREFIX="doctor") as together:
        _, serving = together.server("--no-worker")
        serving.run(serving.thread("Where?"), serving.agent())
        found = _findings(_doctor(tmp_path, "--json", *where))
        assert found["workers"][0]["level"] == "fail"
        assert found["workers"][0]["text"] == "0 work and 1 only serve; 1 runs wait"
        worker = together.worker()
        found = _findings(_doctor(tmp_path, "--json", *where))
        assert found["workers"][0]["level"] == "ok"
        assert f"/{worker.pid}" in found["workers"][0]["text"]
    assert {finding["level"] for finding in found["store"] + found["clock"] + found["bus"]} == {"ok"}


def test_without_a_server_the_sandbox_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off = _findings(_doctor(tmp_path, "--json", CLEW_MODEL_URL="", CLEW_SANDBOX="off"))["code"]
    assert [(each["level"], each["text"]) for each in off] == [("ok", "CLEW_SANDBOX=off: none is run")]
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: None)
    for setting, level in (("auto", "note"), ("bwrap", "fail")):
        done = _doctor(tmp_path, "--json", CLEW_MODEL_URL="", CLEW_SANDBOX=setting)
        (missing,) = _findings(done)["code"]
        assert (missing["level"], done.exit_code) == (level, int(level == "fail"))
        assert missing["text"].endswith("bubblewrap is not installed")
        assert missing["advice"] == how_to_add("code")
