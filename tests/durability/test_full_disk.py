"""A disk that is really full: in the middle of an upload, and while a file is taken into a store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from clew.blobs.folder import Folder
from clew.testing.scripted_model import ScriptedModel
from tests.durability.remains import remains
from tests.support.api import Api, Json, form
from tests.support.database import new_database
from tests.support.servers import Servers
from tests.support.wait import until

_MB = 1024 * 1024
_SIZE = 16
"""Megabytes of the disk."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}m", "none", place], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def servers(disk: Path, model: ScriptedModel, http: httpx2.Client) -> Servers:
    """Servers whose database is on the small disk."""
    return Servers(new_database(disk / "clew.db"), model.url, http)


@pytest.fixture
def blobs(disk: Path) -> Folder:
    return Folder(disk / "files")


def _fill(disk: Path) -> Path:
    """Take all the room that is left; return what has it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(64 * 1024)):
            pass
    return filler


def _files(blobs: Folder) -> list[Path]:
    return [each for each in blobs.path.rglob("*") if each.is_file()]


@pytest.mark.parametrize("root", ["/v1", "/api/projects/alpha"])
def test_a_disk_that_fills_in_the_middle_of_an_upload_keeps_what_it_had(
    servers: Servers, blobs: Folder, root: str
) -> None:
    with servers.start(blobs=blobs) as api:
        kept = api.upload(b"thread" * 1000)
        before = _files(blobs)
        content, headers = form(bytes((_SIZE + 8) * _MB), "large.txt", "assistants")
        response = api.at(root).send("POST", "/files", content=content, headers=headers)
        assert response.status_code == 507, response.text
        assert response.json()["error"]["code"] == "insufficient_storage"
        assert "disk is full" in response.json()["error"]["message"]
        assert _files(blobs) == before
        assert [each["id"] for each in api.get("/files")["data"]] == [kept]
        again = api.upload(bytes(4 * _MB))
        assert len(api.send("GET", f"/files/{again}/content").content) == 4 * _MB
        assert api.send("GET", f"/files/{kept}/content").content == b"thread" * 1000
    assert remains(servers.place, lambda db, later: blobs) == []


def test_a_file_waits_for_room_and_is_then_taken_in_whole(
    servers: Servers, blobs: Folder, model: ScriptedModel, disk: Path
) -> None:
    text = "".join(f"clew says {number}, and much more that takes room.\n" for number in range(3000))
    with servers.start(blobs=blobs) as api:
        file, held = api.upload(text.encode()), model.hold_embeddings()
        cut = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
        store = api.post("/vector_stores", {"file_ids": [file], "chunking_strategy": cut})["id"]
        held.wait_reached(60)
        filler = _fill(disk)
        held.release()
        until(lambda: api.send("POST", "/vector_stores", {}).status_code == 507)
        for _ in range(6):  # as often as a file may break off that is to blame for it
            servers.clock.advance_past_sleep(5_000)
        assert api.get(f"/vector_stores/{store}")["file_counts"]["in_progress"] == 1
        filler.unlink()

        def read() -> bool:
            servers.clock.advance(5_000)
            return bool(api.get(f"/vector_stores/{store}")["status"] == "completed")

        until(read)
        assert api.get(f"/vector_stores/{store}")["file_counts"]["completed"] == 1
        assert _content(api, f"/vector_stores/{store}/files/{file}/content") == text
    assert remains(servers.place, lambda db, later: blobs) == []


def _content(api: Api, path: str) -> str:
    text = ""
    after: Json = {}
    while True:
        page = api.get(path, **after)
        text += "".join(each["text"] for each in page["data"])
        if not page["has_more"]:
            return text
        after = {"after": page["next_page"]}
