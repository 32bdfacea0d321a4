"""Files and vector stores as commands."""

import json
from pathlib import Path

import pytest
from PIL import Image

from clew.testing.scripted_model import ScriptedModel, call
from tests.cli.conftest import Clew, Terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "handbook" / "more"
    inner.mkdir(parents=True)
    (inner.parent / "canteen.md").write_text("The canteen opens at noon.\nIt closes at two.\n")
    (inner / "parking.txt").write_text("Parking costs three euros a day.\n")
    (inner / ".hidden").write_text("nobody uploads this")
    (inner / "empty.txt").touch()
    return inner.parent


def test_a_folder_is_uploaded_read_and_searched(clew: Clew, folder: Path) -> None:
    store = clew("stores", "create", "handbook").stdout.strip()
    canteen, parking = clew("files", "upload", str(folder), "--store", store).stdout.split()
    assert "canteen.md" in clew("files", "show", canteen).stdout
    assert clew("stores", "wait", store).stdout == "2 of 2\n"
    assert "2 of 2" in clew("stores", "list").stdout
    found = clew("stores", "search", store, "when does the canteen open").stdout
    assert found.splitlines()[1].split()[1:3] == [canteen, "canteen.md"]
    assert "lines 1-2" in found
    assert "opens at noon" in clew("stores", "content", store, canteen).stdout
    page = json.loads(clew("stores", "search", store, "parking", "--limit", "1", "--json").stdout)
    assert page["data"][0]["file_id"] == parking
    assert clew("stores", "remove", store, parking).stdout == f"removed {parking}\n"
    assert parking not in clew("stores", "files", store).stdout
    assert clew("stores", "add", store, parking).stdout == f"added {parking}\n1 of 1\n"
    assert clew("stores", "delete", store).stdout == f"deleted {store}\n"
    assert clew("files", "delete", canteen, parking).stdout == f"deleted {canteen}\ndeleted {parking}\n"
    assert "No such File object" in clew("files", "show", canteen, code=3).stderr


def test_bytes_come_back_as_they_were(clew: Clew, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "data.bin").write_bytes(data)
    file = clew("files", "upload", str(tmp_path / "data.bin"), "--purpose", "user_data").stdout.strip()
    assert clew("files", "content", file).stdout_bytes == data
    clew("files", "download", file, "-o", str(tmp_path / "copy.bin"))
    assert (tmp_path / "copy.bin").read_bytes() == data
    assert file in clew("files", "list", "--purpose", "user_data").stdout
    assert file not in clew("files", "list", "--purpose", "vision").stdout


def test_a_file_that_can_not_be_read_says_why(clew: Clew, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    store = clew("stores", "create").stdout.strip()
    clew("files", "upload", str(tmp_path / "broken.pdf"), "--store", store)
    assert clew("stores", "wait", store, code=1).stdout == "0 of 1, 1 failed\n"
    assert "invalid_file" in clew("stores", "files", store, "--filter", "failed").stdout


def test_what_can_not_be_uploaded_is_said(clew: Clew, tmp_path: Path, folder: Path) -> None:
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    assert "there are no files" in clew("files", "upload", str(hollow), code=2).stderr
    assert "does not exist" in clew("files", "upload", str(tmp_path / "nowhere"), code=2).stderr
    assert "vs_nope" in clew("files", "upload", str(folder), "--store", "vs_nope", code=3).stderr
    assert "No such File" in clew("files", "content", "file-nope", code=3).stderr


def test_a_terminal_shows_a_bar_and_is_not_steered(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"word " * 2_000_000)
    screen = terminal("files", "upload", str(tmp_path / "long.txt"))
    screen.expect("1/1 long.txt")
    screen.expect("file-")
    screen.wait()
    assert screen.exitstatus == 0


def test_a_question_about_a_file(clew: Clew, model: ScriptedModel, folder: Path) -> None:
    model.reply(call("file_search", '{"queries": ["canteen"]}', id="call_1"))
    model.reply("It opens at noon.")
    question = ("ask", "When does the canteen open?", "--file", str(folder), "--forget")
    assert clew(*question).stdout == "It opens at noon.\n"
    assert "opens at noon" in json.dumps(model.requests[-1].body["messages"][-1])
    assert "canteen.md" not in clew("files", "list", "--all").stdout, "what went up for it is forgotten too"


def test_an_image_is_shown(clew: Clew, model: ScriptedModel, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    model.reply("It is red.")
    assert "red" in clew("ask", "What colour?", "--file", str(tmp_path / "red.png")).stdout
    _, shown = model.requests[-1].body["messages"][-1]["content"]
    assert shown["image_url"]["url"].startswith("data:image/")


def test_a_file_goes_with_the_next_message_of_a_chat(clew: Clew, model: ScriptedModel, folder: Path) -> None:
    model.reply("Thank you.")
    model.reply("Well.")
    said = clew("chat", stdin=f"/file\n/file {folder}\nRead this.\nAnd now?\n/quit\n")
    assert "2 attached to the next message" in said.stdout
    assert "say which: /file" in said.stderr
    thread = clew("threads", "list", "--limit", "1").stdout.splitlines()[1].split()[0]
    page = json.loads(clew("messages", "list", thread, "--order", "asc", "--json").stdout)
    assert [len(each["attachments"]) for each in page["data"] if each["role"] == "user"] == [2, 0]
