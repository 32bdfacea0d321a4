"""What a daily user meets in a terminal: narrow tables, the last thread, pipes, and clear words."""

import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clew.cli import used_threads
from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import Service
from tests.cli.conftest import Clew, Terminal
from tests.support.server import Server

# --- tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_tables_keep_ids_roles_and_statuses_whole(
    terminal: Terminal, clew: Clew, model: ScriptedModel, service: Service, columns: int
) -> None:
    model.reply("A long answer " * 20)
    clew("ask", "A question that is " + "long " * 30)
    thread = service.list_threads(limit=1).data[0].id
    run, messages = service.list_runs(thread).data[0].id, service.list_messages(thread).data
    listed = terminal("runs", "list", columns=columns)
    listed.expect_exact(run)
    listed.expect("completed")
    said = terminal("messages", "list", thread, columns=columns)
    lines = said.read().splitlines()
    for message in messages:
        (line,) = [each for each in lines if message.id in each]
        assert message.role in line
        assert len(line) <= columns


def test_what_has_no_room_is_said(terminal: Terminal, clew: Clew, model: ScriptedModel) -> None:
    clew("ask", "Hello")
    assert "no room for: " in terminal("runs", "list", columns=80).read()
    assert "no room" not in terminal("runs", "list", columns=200).read()
    assert "no room" not in clew("runs", "list").stderr  # in a pipe nothing is cut


# --- the last thread --------------------------------------------------------------------------------


def test_the_last_thread_is_that_of_this_person(
    clew: Clew, model: ScriptedModel, service: Service, tmp_path: Path
) -> None:
    somebody_elses = service.create_thread(messages=[])
    assert "nothing was asked from here yet" in clew("ask", "--last", "And?", code=3).stderr
    clew("ask", "Mine.")
    mine = service.list_threads(limit=1).data[0].id
    later = service.create_thread(messages=[])
    clew("ask", "--last", "And?")
    assert len(service.all_messages(mine)) == 4
    for other in (somebody_elses, later):
        assert service.all_messages(other.id) == []
    kept = tmp_path / "data" / "used-threads.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    service.delete_thread(mine)
    assert "is not there any more" in clew("ask", "--last", "And?", code=3).stderr


def test_each_terminal_has_its_own_last_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        monkeypatch.setattr(used_threads, "_terminal", lambda number=number: f"/dev/pts/{number}")
        used_threads.remember(tmp_path, "http://a/v1", f"thread_{number}")
    monkeypatch.setattr(used_threads, "_terminal", lambda: "/dev/pts/1")
    assert used_threads.last(tmp_path, "http://a/v1") == "thread_1"
    monkeypatch.setattr(used_threads, "_terminal", lambda: "/dev/pts/3")
    assert used_threads.last(tmp_path, "http://a/v1") == "thread_2"
    assert used_threads.last(tmp_path, "http://b/v1") is None
    for number in range(1_000):
        used_threads.remember(tmp_path, f"http://{number}", "thread")
    assert len(used_threads._read(tmp_path)) == used_threads._MOST
    (tmp_path / "used-threads.json").write_bytes(b"\xff")
    assert used_threads.last(tmp_path, "http://a/v1") is None


# --- pipes ------------------------------------------------------------------------------------------


def test_a_question_and_a_pipe_belong_together(clew: Clew, model: ScriptedModel) -> None:
    clew("ask", "Review this:", stdin="a change\n")
    assert model.requests[-1].messages[-1]["content"] == "Review this:\n\na change\n"
    clew("ask", "-", stdin="all of it")
    assert model.requests[-1].messages[-1]["content"] == "all of it"


NO_TEXT = b"\xff\xfe no text"


def test_bytes_that_are_no_text_are_refused_plainly(
    clew: Clew, service: Service, tmp_path: Path, model: ScriptedModel
) -> None:
    file = tmp_path / "file"
    file.write_bytes(NO_TEXT)
    thread = service.create_thread(messages=[]).id
    for arguments in (("ask", "-"), ("messages", "create", thread, "-")):
        result = clew(*arguments, code=2, stdin=NO_TEXT)
        assert "not UTF-8: byte 1" in result.stderr
    assert "not UTF-8: byte 1" in clew("threads", "create", "--fields", str(file), code=2).stderr
    assert "UTF-8" in clew("chat", stdin=NO_TEXT, code=2).stderr
    assert service.all_messages(thread) == []


def test_broken_files_are_named_with_what_is_wrong(clew: Clew, service: Service, tmp_path: Path) -> None:
    before = len(service.all_threads())
    for name, content, words in (
        ("bytes.jsonl", b'{"a": 1}\n' + NO_TEXT, "isn't text in UTF-8: line 2"),
        ("cut.json", b"{", "isn't an exported conversation"),
        ("empty.jsonl", b"", "isn't an exported conversation"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        said = clew("import", str(path), code=1).stderr
        assert f"{path}: " in said
        assert words in said
    assert "No such file" in clew("import", str(tmp_path / "none.json"), code=1).stderr
    assert "Is a directory" in clew("import", str(tmp_path), code=1).stderr
    assert len(service.all_threads()) == before


def test_exports_are_their_owners_and_steer_no_terminal(
    clew: Clew, terminal: Terminal, service: Service, tmp_path: Path
) -> None:
    nasty = "a\u202eb\x9b31mc\u2066d"
    thread = service.create_thread(messages=[{"role": "user", "content": nasty}]).id
    for name in ("chat.json", "chat.jsonl", "chat.md"):
        clew("export", thread, str(tmp_path / name))
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    for form in ("json", "jsonl"):
        shown = terminal("export", thread, "--format", form).read()
        assert not set("\u202e\x9b\u2066") & set(shown)
        assert "\\u202e" in shown
        assert "\u202e" in clew("export", thread, "--format", form).stdout  # in a pipe: as it is
    assert not set("\x9b") & set(terminal("export", thread).read())
    assert "\u202e" not in clew("messages", "list", thread, "--json").stdout


# --- a server that is not there ---------------------------------------------------------------------


@pytest.fixture
def silent_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


Said = Callable[[str], str]


@pytest.fixture
def said_of(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> Said:
    def said(url: str) -> str:
        monkeypatch.setenv("CLEW_URL", url)
        result = clew("threads", "list", code=3 if "/nope" in url else 1)
        (line,) = result.stderr.splitlines()
        return line

    return said


def test_an_address_at_which_no_clew_is_stands_in_what_is_said(
    said_of: Said, server: Server, silent_port: int
) -> None:
    away = f"http://127.0.0.1:{silent_port}"
    assert f"nobody answers at {away}" in said_of(away)
    assert "start it with `clew serve`" in said_of(away)
    assert "speaks no TLS: try http://" in said_of(server.url.replace("http", "https"))
    assert "has no such path: name the server alone" in said_of(f"{server.url}/nope")
