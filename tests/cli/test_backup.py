"""Copies of a database: taken while it is written to, whole or not there at all, and put back."""

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result

from clew.blobs.copies import copy_missing
from clew.cli.main import cli
from clew.store import backup
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.api import Api
from tests.support.database import dump, new_database


def _clew(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with ScriptedModel() as model, RunningServer(model) as server:
        yield server


class _Writer(threading.Thread):
    """A client that writes as fast as it can, and remembers what was acknowledged."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.acknowledged: list[str] = []
        self.some = threading.Event()
        self.stop = threading.Event()

    def run(self) -> None:
        with httpx2.Client(timeout=30) as client:
            api = Api(client, self._server.url, self._server.api_key)
            while not self.stop.is_set():
                thread = api.thread("one", "two")
                self.acknowledged.append(thread)
                if len(self.acknowledged) >= 20:
                    self.some.set()


def test_a_copy_that_is_taken_under_load_is_one_moment_and_can_be_served(
    server: RunningServer, tmp_path: Path
) -> None:
    writer = _Writer(server)
    writer.start()
    assert writer.some.wait(20)
    before = list(writer.acknowledged)
    copy = tmp_path / "copy.db"
    done = _clew("backup", copy, "--data-dir", server.data_dir)
    writer.stop.set()
    writer.join(20)
    assert done.exit_code == 0, done.output
    assert "It is whole" in done.output
    rows = dump(copy)
    there = {row[1] for row in rows["threads"]}
    assert set(before) <= there, "what was acknowledged before the copy is missing in it"
    assert len(rows["messages"]) == 2 * len(rows["threads"]), "a transaction was cut in two"
    assert copy.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    with ScriptedModel() as model, RunningServer(model) as other:
        other.stop()
        assert _clew("restore", copy, "--data-dir", other.data_dir).exit_code == 0
        other.start()
        with httpx2.Client(timeout=30) as client:
            api = Api(client, other.url, other.api_key)
            assert api.texts(before[0]) == ["one", "two"]


def test_a_running_server_is_not_pulled_from_under(server: RunningServer, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    _clew("backup", copy, "--data-dir", server.data_dir)
    done = _clew("restore", copy, "--data-dir", server.data_dir)
    assert done.exit_code == 1
    assert "Stop it first" in done.output
    assert server.is_running()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory with a database that holds a thread."""
    folder = tmp_path / "home"
    folder.mkdir()
    _add_thread(new_database(folder / "clew.db"), "thread_1")
    return folder


def _add_thread(path: Path, thread_id: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = "id, project, created_at, metadata, tool_resources, tokens_used"
        values = f"'{thread_id}', 'p', 1, '{{}}', '{{}}', 0"
        connection.execute(f"INSERT INTO threads ({columns}) VALUES ({values})")
    connection.close()


def _threads(path: Path) -> list[object]:
    return [row[1] for row in dump(path)["threads"]]


def test_the_secret_is_in_no_copy_and_stays_where_it_is(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    rotated = _clew("secrets", "rotate", "--data-dir", home)
    assert rotated.exit_code == 0, rotated.output
    secret = (home / "secret.key").read_text(encoding="utf-8").strip()
    assert secret not in rotated.output
    assert _clew("backup", copy, "--data-dir", home).exit_code == 0
    assert secret.encode() not in copy.read_bytes()
    done = _clew("restore", copy, "--data-dir", home)
    assert f"Copies hold no keys: those in {home} are as they were." in done.output
    assert (home / "secret.key").read_text(encoding="utf-8").strip() == secret


def test_what_was_there_before_is_kept_aside(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert _clew("backup", copy, "--data-dir", home).exit_code == 0
    for number in (1, 2):
        _add_thread(home / "clew.db", "thread_later")
        done = _clew("restore", copy, "--data-dir", home)
        assert done.exit_code == 0, done.output
        aside = home / f"clew.db.before-restore-{number}"
        assert str(aside) in done.output
        assert _threads(home / "clew.db") == ["thread_1"]
        assert _threads(aside) == ["thread_1", "thread_later"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("there", [True, False], ids=["in place of another", "where none is"])
def test_root_restores_for_the_user_whose_database_it_is(home: Path, tmp_path: Path, there: bool) -> None:
    copy, owner = tmp_path / "copy.db", (4321, 4322)
    assert _clew("backup", copy, "--data-dir", home).exit_code == 0
    os.chown(home, *owner)
    os.chown(home / "clew.db", *owner)
    if not there:
        (home / "clew.db").unlink()
    assert _clew("restore", copy, "--data-dir", home).exit_code == 0
    for file in ("clew.db", "clew.db.lock"):
        about = (home / file).stat()
        assert (about.st_uid, about.st_gid) == owner, file
    assert (home / "clew.db").stat().st_mode & 0o077 == 0


def test_a_database_that_is_a_link_is_restored_where_it_leads(home: Path, tmp_path: Path) -> None:
    copy, link = tmp_path / "copy.db", tmp_path / "clew.db"
    assert _clew("backup", copy, "--data-dir", home).exit_code == 0
    link.symlink_to(home / "clew.db")
    _add_thread(home / "clew.db", "thread_later")
    assert _clew("restore", copy, "--database", f"sqlite:///{link}").exit_code == 0
    assert link.is_symlink()
    assert _threads(home / "clew.db") == ["thread_1"]


def test_nothing_is_copied_over(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("Dear diary")
    done = _clew("backup", copy, "--data-dir", home)
    assert done.exit_code == 1
    assert "is there already" in done.output
    assert copy.read_text() == "Dear diary"


def test_where_no_database_is_none_is_made(tmp_path: Path) -> None:
    done = _clew("backup", tmp_path / "copy.db", "--data-dir", tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "There is no database at" in done.output
    assert list(tmp_path.iterdir()) == []


def _damaged(home: Path, target: Path) -> Path:
    shutil.copyfile(home / "clew.db", target)
    with target.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    return target


def _of_another_program(home: Path, target: Path) -> Path:
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    return target


def _newer(home: Path, target: Path) -> Path:
    shutil.copyfile(home / "clew.db", target)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    return target


def _cut_short(home: Path, target: Path) -> Path:
    target.write_bytes((home / "clew.db").read_bytes()[:20_000])
    return target


@pytest.mark.parametrize("make", [_damaged, _of_another_program, _newer, _cut_short])
def test_a_file_that_is_not_whole_replaces_nothing(home: Path, tmp_path: Path, make: object) -> None:
    before = (home / "clew.db").read_bytes()
    assert callable(make)
    done = _clew("restore", make(home, tmp_path / "bad.db"), "--data-dir", home)
    assert done.exit_code == 1, done.output
    assert done.output.startswith("Error: ")
    assert (home / "clew.db").read_bytes() == before
    assert (
        sorted(path.name for path in home.iterdir())
        == ["clew.db", "clew.db.lock"][: len(list(home.iterdir()))]
    )


def test_a_copy_that_breaks_off_leaves_nothing(home: Path, tmp_path: Path) -> None:
    def full(done: int, total: int) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        backup.back_up(home / "clew.db", tmp_path / "copy.db", full)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_postgres_has_its_own_tools() -> None:
    done = _clew("backup", "x.dump", "--database", "postgresql://clew@db/clew")
    assert done.exit_code == 2
    assert "pg_dump --format=custom --file=x.dump postgresql://db/clew" in done.output


def test_the_bytes_of_files_go_along_when_asked_for(
    server: RunningServer, home: Path, tmp_path: Path
) -> None:
    copy, folder = tmp_path / "copy.db", tmp_path / "copied"
    key = {"Authorization": f"Bearer {server.api_key}"}
    with httpx2.Client(base_url=f"{server.url}/v1", headers=key) as client:
        made = [
            client.post(
                "/files", data={"purpose": "assistants"}, files={"file": (name, name.encode() * 9_999)}
            )
            for name in ("one.txt", "two.txt")
        ]
        assert not any(answer.is_error for answer in made), made[0].text
        ids = [answer.json()["id"] for answer in made]
        said = _clew("backup", tmp_path / "without.db", "--data-dir", server.data_dir)
        assert "The bytes of files are not in it: --files FOLDER" in said.output
        said = _clew("backup", copy, "--files", folder, "--data-dir", server.data_dir)
        assert "2 were copied" in said.output, said.output
        copy.unlink()
        said = _clew("backup", copy, "--files", folder, "--data-dir", server.data_dir)
        assert "0 were copied" in said.output, "what is there is not copied again"
        assert not list((server.data_dir / "files" / "holds").glob("held-*"))
    said = _clew("restore", copy, "--files", folder, "--data-dir", home)
    assert "2 were put back" in said.output, said.output
    with ScriptedModel() as model, RunningServer(model, data_dir=home) as restored:
        key = {"Authorization": f"Bearer {restored.api_key}"}
        with httpx2.Client(base_url=f"{restored.url}/v1", headers=key) as client:
            got = [client.get(f"/files/{each}/content").content for each in ids]
    assert got == [b"one.txt" * 9_999, b"two.txt" * 9_999]
    for path in (home / "files").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, f"{path} is its owner's alone"


def test_what_broke_off_in_a_folder_of_copies_is_copied_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source" / "ab", tmp_path / "target" / "ab"
    source.mkdir(parents=True)
    target.mkdir(parents=True)
    (source / "abcd").write_bytes(b"whole")
    (target / "abcd").write_bytes(b"who")
    (source.parent / "drafts").mkdir()
    (source.parent / "drafts" / "abce").write_bytes(b"not kept")
    assert copy_missing(source.parent, target.parent, lambda done, total: None) == 1
    assert (target / "abcd").read_bytes() == b"whole"
    assert [path.name for path in target.parent.rglob("*") if path.is_file()] == ["abcd"]
