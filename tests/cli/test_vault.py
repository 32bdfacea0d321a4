"""What lies sealed in the database, the secrets of webhooks, and what becomes of it at a rotation."""

import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from clew.vault import Unreadable, Vault
from tests.support.api import Api
from tests.support.database import change

SECRET = b"the secret of an installation, long"


def test_what_is_sealed_opens_in_its_place_alone() -> None:
    vault = Vault(SECRET)
    sealed = vault.seal("whsec_abc", "wh_1")
    assert sealed.startswith("sealed1:")
    assert "whsec" not in sealed
    assert sealed != vault.seal("whsec_abc", "wh_1")
    assert vault.open(sealed, "wh_1") == "whsec_abc"
    assert vault.open("whsec_from_before", "wh_1") == "whsec_from_before"
    altered = sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB")
    for opener, text, place in (
        (vault, sealed, "wh_2"),
        (vault, altered, "wh_1"),
        (vault, "sealed1:", "wh_1"),
        (vault, "sealed1:%%%", "wh_1"),
        (Vault(b"another"), sealed, "wh_1"),
        (Vault(None), sealed, "wh_1"),
    ):
        with pytest.raises(Unreadable):
            opener.open(text, place)


def _rows(file: Path) -> list[Any]:
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT secret FROM webhooks").fetchall()
        kept = connection.execute("SELECT body FROM answers").fetchall()
    connection.close()
    return [row[0] for row in (*found, *kept)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_the_database_never_has_a_webhooks_secret_and_rotation_keeps_it(
    home: Path, model: ScriptedModel, http: httpx2.Client
) -> None:
    with RunningServer(model, data_dir=home) as server:
        api = Api(http, server.url, server.api_key)
        body, headers = {"url": "https://example.com/hook"}, {"Idempotency-Key": "once"}
        made = api.ok("POST", "/webhooks", body, headers=headers)
        assert api.ok("POST", "/webhooks", body, headers=headers) == made
    rows = _rows(home / "clew.db")
    assert len(rows) == 2
    assert made["secret"] not in str(rows)
    before = (home / "secret.key").read_bytes().strip()
    done = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    assert done.exit_code == 0, done.output
    after = (home / "secret.key").read_bytes().strip()
    assert after != before
    assert not (home / "secret.key.former").exists()
    (sealed, _) = _rows(home / "clew.db")
    assert Vault(after).open(sealed, made["id"]) == made["secret"]
    with pytest.raises(Unreadable):
        Vault(before).open(sealed, made["id"])


def test_a_secret_that_is_lost_is_said_with_the_webhooks_that_suffer(
    home: Path, model: ScriptedModel, http: httpx2.Client
) -> None:
    with RunningServer(model, data_dir=home) as server:
        made = Api(http, server.url, server.api_key).post("/webhooks", {"url": "https://example.com/hook"})
    (home / "secret.key").unlink()
    with RunningServer(model, data_dir=home) as server:
        assert "was used with another secret.key" in server.log
        refused = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
        assert refused.exit_code != 0
    refused = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    assert refused.exit_code == 2
    assert f"nothing was changed: no secret that is here opens those of these webhooks: {made['id']}" in (
        refused.output
    )
    assert not (home / "secret.key.new").exists()
    done = CliRunner().invoke(cli, ["secrets", "rotate", "--lost", "--data-dir", str(home)])
    assert done.exit_code == 0, done.output
    assert f"can't be read, make them anew: {made['id']}" in done.output
    with RunningServer(model, data_dir=home) as server:
        assert server.log.count("was used with another secret.key") == 1  # the former start's


def test_secrets_from_before_there_was_a_seal_are_sealed_at_the_next_rotation(
    home: Path, model: ScriptedModel
) -> None:
    with RunningServer(model, data_dir=home):
        pass
    row = "(1, 'wh_1', 'p', 1, 'http://x', '[]', 'whsec_plain', '{}', NULL, NULL)"
    change(home / "clew.db", f"INSERT INTO webhooks VALUES {row}")
    CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    (sealed,) = _rows(home / "clew.db")
    secret = (home / "secret.key").read_bytes().strip()
    assert Vault(secret).open(sealed, "wh_1") == "whsec_plain"


@pytest.fixture
def sealed_home(home: Path, model: ScriptedModel, http: httpx2.Client) -> tuple[Path, str]:
    """A data directory with one webhook, and that webhook's secret."""
    with RunningServer(model, data_dir=home) as server:
        made = Api(http, server.url, server.api_key).post("/webhooks", {"url": "https://example.com/hook"})
    return home, made["secret"]


def _opened(home: Path) -> str:
    with sqlite3.connect(home / "clew.db") as connection:
        webhook_id, sealed = connection.execute("SELECT id, secret FROM webhooks").fetchone()
    connection.close()
    return Vault((home / "secret.key").read_bytes().strip()).open(sealed, webhook_id)


def test_a_rotation_that_could_not_write_has_changed_nothing(
    sealed_home: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor has it when it is tried again: the former secret stays until the database has another."""
    home, secret = sealed_home
    before = (home / "secret.key").read_bytes()

    async def refuse(*_: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as locked:
        locked.setattr("clew.store.installation.put", refuse)
        done = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    assert (done.exit_code, "database is locked" in done.output) == (1, True), done.output
    assert (home / "secret.key").read_bytes() == before
    done = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    assert done.exit_code == 0, done.output
    assert (home / "secret.key").read_bytes() != before
    assert _opened(home) == secret


def test_a_rotation_that_was_killed_after_its_commit_is_finished(sealed_home: tuple[Path, str]) -> None:
    home, secret = sealed_home
    former = (home / "secret.key").read_bytes()
    CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    (home / "secret.key").rename(home / "secret.key.new")
    (home / "secret.key").write_bytes(former)
    done = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)])
    assert done.exit_code == 0, done.output
    assert _opened(home) == secret


def test_a_wrong_former_secret_harms_nothing(sealed_home: tuple[Path, str], tmp_path: Path) -> None:
    home, secret = sealed_home
    (tmp_path / "wrong").write_text("a secret that was never this installation's")
    arguments = ["secrets", "rotate", "--former", str(tmp_path / "wrong"), "--data-dir", str(home)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert _opened(home) == secret


def test_the_secret_in_force_is_no_new_one(sealed_home: tuple[Path, str]) -> None:
    home, _ = sealed_home
    same = {"CLEW_SECRET_KEY": (home / "secret.key").read_text().strip()}
    done = CliRunner().invoke(cli, ["secrets", "rotate", "--data-dir", str(home)], env=same)
    assert (done.exit_code, "is the installation's secret already" in done.output) == (2, True)
