"""``clew export`` and ``clew import``: whole, or not at all."""

import json
from pathlib import Path

from clew.toolkit import Service
from tests.cli.conftest import Clew
from tests.support.pictures import picture


def _thread(service: Service, *texts: str) -> str:
    thread = service.create_thread(metadata={"customer": "42"})
    for text in texts:
        service.create_message(thread.id, text)
    return thread.id


def test_a_thread_goes_to_a_file_and_comes_back(clew: Clew, service: Service, tmp_path: Path) -> None:
    thread = _thread(service, "one", "two")
    for name in ("chat.jsonl", "chat.json"):
        clew("export", thread, str(tmp_path / name))
        again = clew("import", str(tmp_path / name)).stdout.strip()
        assert again != thread
        assert [message.text for message in service.all_messages(again)] == ["one", "two"]
    assert service.get_thread(thread).metadata == {"customer": "42"}


def test_without_a_file_it_goes_to_stdout(clew: Clew, service: Service) -> None:
    thread = _thread(service, "one")
    assert "> one" in clew("export", thread).stdout
    lesson = json.loads(clew("export", thread, "--format", "json").stdout)
    assert (lesson["thread_id"], lesson["messages"][0]["content"]) == (thread, "one")
    header = json.loads(clew("export", thread, "--format", "jsonl", "--with-runs").stdout.splitlines()[0])
    assert header["messages"] == 1


def test_all_threads_each_in_a_file(clew: Clew, service: Service, tmp_path: Path) -> None:
    threads = [_thread(service, "one"), _thread(service, "two")]
    told = clew("export", "--all", str(tmp_path / "backup"))
    files = sorted((tmp_path / "backup").iterdir())
    assert {f"{thread}.jsonl" for thread in threads} <= {file.name for file in files}
    assert f"{len(files)} threads in" in told.stderr
    imported = clew("import", *map(str, files)).stdout.splitlines()
    assert [line.split("\t")[0] for line in imported] == [str(file) for file in files]


def test_a_file_that_is_damaged_does_not_keep_the_others_out(
    clew: Clew, service: Service, tmp_path: Path
) -> None:
    thread = _thread(service, "one")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    clew("export", thread, str(good))
    bad.write_text(good.read_text().replace("one", "two"))
    before = len(service.all_threads())
    result = clew("import", str(bad), str(good), code=1)
    assert "its checksum doesn't fit" in result.stderr
    assert "1 of 2 files were not imported" in result.stderr
    assert len(service.all_threads()) == before + 1


def test_wrong_usage_is_2_and_what_is_not_there_is_3(clew: Clew, service: Service, tmp_path: Path) -> None:
    thread = _thread(service, "one")
    assert "say which thread" in clew("export", code=2).stderr
    assert "say which thread" in clew("export", thread, "--all", str(tmp_path), code=2).stderr
    assert "let it end in" in clew("export", thread, "chat.exe", code=2).stderr
    assert "only jsonl" in clew("export", thread, "--with-runs", code=2).stderr
    clew("export", "thread_nope", code=3)
    assert "No such file" in clew("import", str(tmp_path / "nope.json"), code=1).stderr


def test_files_are_taken_along(clew: Clew, service: Service, tmp_path: Path) -> None:
    for name, data in (("notes.txt", b"The canteen opens at noon."), ("red.png", picture())):
        (tmp_path / name).write_bytes(data)
    notes, red, gone = clew(
        "files", "upload", *(str(tmp_path / name) for name in ("notes.txt", "red.png", "notes.txt"))
    ).stdout.split()
    content = [{"type": "image_file", "image_file": {"file_id": red}}]
    content += [{"type": "image_file", "image_file": {"file_id": gone}}]
    attached = [{"file_id": notes, "tools": [{"type": "file_search"}]}]
    body = {"messages": [{"role": "user", "content": content, "attachments": attached}]}
    thread = service.request("POST", "threads", body=body)
    (store,) = thread["tool_resources"]["file_search"]["vector_store_ids"]
    clew("files", "delete", gone)
    folder = tmp_path / "files"
    for _ in range(2):
        told = clew("export", thread["id"], str(tmp_path / "chat.jsonl"), "--files", str(folder))
        assert told.stderr == f"{gone} is not there any more\n"
    assert (folder / notes / "notes.txt").read_bytes() == b"The canteen opens at noon."
    assert (folder / red / "red.png").read_bytes() == picture()
    described = json.loads((folder / f"{store}.json").read_text())
    assert described["store"]["id"] == store
    assert [file["id"] for file in described["files"]] == [notes]
    assert sorted(path.name for path in folder.iterdir()) == sorted([notes, red, f"{store}.json"])


def test_a_thread_that_is_deleted_leaves_its_store(clew: Clew, service: Service) -> None:
    store = service.request("POST", "vector_stores", body={})["id"]
    resources = {"file_search": {"vector_store_ids": [store]}}
    thread = service.request("POST", "threads", body={"tool_resources": resources})["id"]
    service.delete_thread(thread)
    assert service.request("GET", "vector_stores", store)["id"] == store
