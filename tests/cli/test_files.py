"""What the commands for files and stores do where something is in the way."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli import uploading
from clew.cli.problems import Problem
from clew.cli.saving import plain_name, saved
from clew.cli.uploading import found
from tests.cli.conftest import Clew, Terminal
from tests.support.servers import Servers

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
FILE = b'{"id": "file-x", "filename": "../../etc/x.txt"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(FILE), FILE)


@pytest.fixture
def broken_server() -> Iterator[str]:
    """The URL of a server that knows files, but hangs up in the middle of their bytes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65_536)
                connection.sendall(HALF if b"/content" in asked else WHOLE)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _uploaded(clew: Clew, path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return clew("files", "upload", str(path)).stdout.strip()


def test_a_download_never_replaces_what_is_there(clew: Clew, tmp_path: Path) -> None:
    file = _uploaded(clew, tmp_path / "notes.txt", b"new")
    kept = tmp_path / "kept.txt"
    kept.write_bytes(b"old")
    kept.chmod(0o640)
    assert "is there already" in clew("files", "download", file, "-o", str(kept), code=1).stderr
    assert kept.read_bytes() == b"old"
    assert clew("files", "download", file, "-o", str(kept), "--force").stdout == f"{kept}\n"
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_link_is_replaced_and_not_followed(clew: Clew, tmp_path: Path) -> None:
    file = _uploaded(clew, tmp_path / "notes.txt", b"new")
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    clew("files", "download", file, "-o", str(tmp_path / "dangling"), code=1)
    clew("files", "download", file, "-o", str(tmp_path / "link"), "--force")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()


def test_a_download_has_its_own_name(clew: Clew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _uploaded(clew, tmp_path / "notes.txt", b"new")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert clew("files", "download", file).stdout == "notes.txt\n"
    assert (tmp_path / "here" / "notes.txt").read_bytes() == b"new"


@pytest.mark.parametrize("force", [False, True])
def test_half_a_file_is_not_kept(clew: Clew, broken_server: str, tmp_path: Path, force: bool) -> None:
    here = tmp_path / "here"
    here.mkdir()
    if force:
        (here / "x.txt").write_text("precious")
    told = clew(
        "files", "download", "file-x", "--url", broken_server, "-o", str(here), *["--force"] * force, code=1
    )
    assert "broke off after 4 bytes" in told.stderr
    assert {path.name: path.read_text() for path in here.iterdir()} == (
        {"x.txt": "precious"} if force else {}
    )


@given(st.text(max_size=600))
def test_a_servers_name_stays_in_its_folder(name: str) -> None:
    plain = plain_name(name, "file")
    assert Path(plain).name == plain
    assert plain[0] not in ".- "
    assert plain.isprintable()
    assert len(plain.encode()) <= 200
    assert plain_name(plain, "file") == plain


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("..", "file"),
        ("a\u202etxt.exe", "atxt.exe"),
        (f"{'ü' * 300}.pdf", f"{'ü' * 98}.pdf"),
    ],
)
def test_plain_names(name: str, plain: str) -> None:
    assert plain_name(name, "file") == plain


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no file that could be replaced"), saved(tmp_path, force=True):
        pass


def test_bytes_are_not_written_to_a_terminal(terminal: Terminal) -> None:
    screen = terminal("files", "content", "file-x")
    screen.expect("this is a terminal")
    screen.wait()
    assert screen.exitstatus == 2


def test_what_is_added_is_uploaded_read_and_told_of(clew: Clew, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.txt").write_text("The canteen opens at noon.")
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    known = _uploaded(clew, tmp_path / "known.txt", b"Parking costs three euros.")
    store = clew("stores", "create").stdout.strip()
    told = clew("stores", "add", store, known, str(tmp_path / "docs"), code=1)
    *added, counts = told.stdout.splitlines()
    assert (len(added), added[0], counts) == (3, f"added {known}", "2 of 3, 1 failed")
    assert "broken.pdf: invalid_file" in told.stderr
    assert "1 could not be read" in told.stderr
    shown = clew("stores", "show", store).stdout
    assert "2 of 3, 1 failed" in shown
    assert "broken.pdf: invalid_file" in shown
    clew("stores", "add", store, str(tmp_path / "docs" / "good.txt"))


def test_a_store_begins_with_files(clew: Clew, tmp_path: Path) -> None:
    known = _uploaded(clew, tmp_path / "known.txt", b"Parking costs three euros.")
    store = clew("stores", "create", "parking", "--file", known).stdout.strip()
    assert clew("stores", "wait", store).stdout == "1 of 1\n"


def test_what_is_neither_path_nor_id_is_refused_before_anything_is_sent(clew: Clew, tmp_path: Path) -> None:
    store = clew("stores", "create").stdout.strip()
    (tmp_path / "good.txt").write_text("good")
    good = str(tmp_path / "good.txt")
    assert "'nope' is neither" in clew("stores", "add", store, good, "nope", code=2).stderr
    assert "is empty" in clew("stores", "add", store, "", code=2).stderr, "it would be the whole folder"
    assert "No such File" in clew("stores", "add", store, "file-nope", code=3).stderr
    assert "vs_nope" in clew("stores", "add", "vs_nope", good, code=3).stderr
    assert clew("stores", "files", store).stderr == "There are none.\n"


def test_waiting_has_an_end(clew: Clew, servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    with servers.start(works=False):
        at = ("--url", servers.server.url)
        store = clew("stores", "create", *at).stdout.strip()
        add = ("stores", "add", store, str(tmp_path / "good.txt"), *at)
        assert "1 are still to be read after 0.01 s" in clew(*add, "--timeout", "0.01", code=4).stderr
        assert clew(*add, "--no-wait").stdout.startswith("added file-")


def test_all_of_a_long_file_is_printed(clew: Clew, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"line {number} of many words\n" for number in range(10_000)))
    store = clew("stores", "create").stdout.strip()
    file = clew("stores", "add", store, str(tmp_path / "long.txt")).stdout.split()[1]
    assert "line 9999 of" in clew("stores", "content", store, file).stdout
    read = json.loads(clew("stores", "content", store, file, "--json").stdout)
    assert [text["chunk"] for text in read["data"]] == list(range(len(read["data"])))
    assert len(read["data"]) > 100, "more than one page"
    assert read["has_more"] is False


def test_nothing_found_is_said(clew: Clew) -> None:
    store = clew("stores", "create").stdout.strip()
    searched = clew("stores", "search", store, "anything")
    assert (searched.stdout, searched.stderr) == ("", "Nothing was found.\n")


def test_what_a_folder_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2.txt", "a/1.txt", ".git/config", "a/.env", "c.txt"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    os.mkfifo(tmp_path / "folder" / "pipe")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path / "folder")
    inside = [str(path.relative_to(tmp_path / "folder")) for path in found([tmp_path / "folder"])]
    assert inside == ["a/1.txt", "b/2.txt", "c.txt"]
    with pytest.raises(Problem, match="pipe is no file"):
        found([tmp_path / "folder" / "pipe"])
    monkeypatch.setattr(uploading, "_ENDLESS", 2)
    with pytest.raises(Problem, match="more than 2 files"):
        found([tmp_path / "folder"])
