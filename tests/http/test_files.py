"""Files: uploaded, listed, read in part or whole, deleted; and what is no upload is refused.

Source: OpenAI's published API schema (``OpenAIFile``), azure-ai-agents 1.1.0, RFC 7578, RFC 9110.
"""

import random
from hashlib import sha256
from typing import Any

import pytest

from clew.core.projects import Project, ProjectLimits
from tests.support.api import Api, error_of, form
from tests.support.clock import ManualClock
from tests.support.servers import Servers

BYTES = random.Random(1).randbytes(3 * 1024 * 1024 + 17)
NAME = 'Straße "x" 糸.txt'


def test_what_is_uploaded_can_be_read_again(api: Api, clock: ManualClock) -> None:
    made = api.send_file(BYTES, "maze.bin", "user_data").json()
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": len(BYTES),
        "created_at": clock.seconds,
        "expires_at": None,
        "filename": "maze.bin",
        "purpose": "user_data",
        "status": "processed",
        "status_details": None,
    }
    assert made["id"].startswith("file-")
    assert api.get(f"/files/{made['id']}") == made
    answer = api.send("GET", f"/files/{made['id']}/content")
    assert answer.content == BYTES
    assert answer.headers["content-length"] == str(len(BYTES))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == f'"{sha256(BYTES).hexdigest()}"'
    head = api.send("HEAD", f"/files/{made['id']}/content")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(BYTES)))


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=1048570-1048580", 1_048_570, 1_048_581),
        ("bytes=3145740-", 3_145_740, len(BYTES)),
        ("bytes=-7", len(BYTES) - 7, len(BYTES)),
        ("bytes=10-99999999999", 10, len(BYTES)),
        (f"bytes=-{len(BYTES) + 5}", 0, len(BYTES)),
    ],
)
def test_a_range_of_it(api: Api, asked: str, begin: int, end: int) -> None:
    path = f"/files/{api.upload(BYTES)}/content"
    answer = api.send("GET", path, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == BYTES[begin:end]
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(BYTES)}"


def test_a_range_of_other_bytes_than_one_has_begun_with_is_all(api: Api) -> None:
    path = f"/files/{api.upload(b'thread')}/content"
    known = api.send("GET", path).headers["etag"]
    for condition, status in ((known, 206), ('"other"', 200), (f"W/{known}", 200), ("Sat, 28 Nov 2026", 200)):
        asked = {"Range": "bytes=1-2", "If-Range": condition}
        answer = api.send("GET", path, headers=asked)
        assert (answer.status_code, answer.content) == (status, b"hr" if status == 206 else b"thread")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=5-2", "bytes=-", "bytes=x-y", "x"])
def test_a_range_that_is_none_is_ignored(api: Api, asked: str) -> None:
    answer = api.send("GET", f"/files/{api.upload(b'thread')}/content", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, b"thread")


@pytest.mark.parametrize("asked", ["bytes=6-", "bytes=6-9", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(api: Api, asked: str) -> None:
    answer = api.send("GET", f"/files/{api.upload(b'thread')}/content", headers={"Range": asked})
    error_of(answer, 416)
    assert answer.headers["content-range"] == "bytes */6"


def test_a_name_is_kept_as_it_is_and_is_no_header(api: Api) -> None:
    file = api.send_file(b"x", NAME.replace('"', "%22")).json()
    assert file["filename"] == NAME
    said = api.send("GET", f"/files/{file['id']}/content").headers["content-disposition"]
    assert said == (
        "attachment; filename=\"Stra_e _x_ _.txt\"; filename*=UTF-8''Stra%C3%9Fe%20%22x%22%20%E7%B3%B8.txt"
    )


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2026-11-28 at 9.41.00\u202fAM.png",  # macOS
        "資料\u30002026.txt",
        "\u0645\u06cc\u200c\u062e\u0648.txt",
        "\U0001f469\u200d\U0001f467.txt",
        "no\u00a0break.txt",
    ],
)
def test_a_name_has_whatever_names_have(api: Api, name: str) -> None:
    assert api.send_file(b"x", name).json()["filename"] == name


@pytest.mark.parametrize("code", [0, 7, 0x7F, 0x85, 0x2028, 0x202E, 0x2067, 0xFFFF])
def test_a_name_that_would_not_show_what_it_is_is_refused(api: Api, code: int) -> None:
    body, headers = form(b"x", "plain.txt", "assistants")
    body = body.replace(b"plain", f"a{chr(code)}txt.".encode())
    error = error_of(api.send("POST", "/files", content=body, headers=headers), 400)
    assert (error["param"], error["code"]) == ("file", "invalid_value")


def test_a_name_may_look_like_a_path(api: Api) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "C%3A%5Cx", "con", ".", "a/b"):
        assert api.send_file(b"x", name).json()["filename"] == name


def test_an_extended_name_wins_as_aiohttp_writes_it(api: Api) -> None:
    body, headers = form(b"x", "plain.txt", "assistants")
    body = body.replace(b'filename="plain.txt"', b"filename=\"_.txt\"; filename*=utf-8''%E7%B3%B8.txt")
    assert api.ok("POST", "/files", content=body, headers=headers)["filename"] == "糸.txt"


def test_the_purpose_may_come_last_and_a_name_by_itself(api: Api) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nthread\r\n'
        b'--x\r\nContent-Disposition: form-data; name="filename"\r\n\r\nnamed.md\r\n'
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n--x--\r\n'
    )
    headers = {"Content-Type": 'multipart/form-data; boundary="x"'}
    made = api.ok("POST", "/files", content=body, headers=headers)
    assert (made["filename"], made["purpose"], made["bytes"]) == ("named.md", "vision", 6)


def test_lists_are_whole_unless_less_is_asked_for(servers: Servers) -> None:
    with servers.start() as api:
        ids = [api.upload(b"x", purpose=("assistants", "vision")[n % 2]) for n in range(23)]
        assert [each["id"] for each in api.get("/files")["data"]] == ids[::-1]
        assert [each["id"] for each in api.get("/files", purpose="vision")["data"]] == ids[1::2][::-1]
        page = api.get("/files", limit=2, order="asc", after=ids[3])
        assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[4:6], True)
        assert api.get("/files", purpose="nothing")["data"] == []
        api.refused(400, "GET", "/files?limit=10001")


def test_a_deleted_file_is_gone(api: Api) -> None:
    file_id = api.upload(b"thread")
    assert api.delete(f"/files/{file_id}") == {"id": file_id, "object": "file", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        error = api.refused(404, method, f"/files/{file_id}{path}")
        assert error["message"] == f"No such File object: {file_id}"


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("application/json", b"{}", "multipart/form-data"),
        ("", b"", "multipart/form-data"),
        ("multipart/form-data", b"", "boundary"),
        ("multipart/form-data; boundary=", b"", "boundary"),
        ("multipart/form-data; boundary=" + "x" * 500, b"", "boundary"),
        ("multipart/form-data; boundary=x", b"", "ends before"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n", "no multipart/form-data"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "'file'"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nthre',
            "ends before",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a" * 10_000, "no multipart/form-data"),
        ("multipart/form-data; boundary=x", b"--x\r\na: " + b"a" * 10_000, "no multipart/form-data"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n" * 100, "more than 32 parts"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 5_000,
            "more than 4,096",
        ),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(api: Api, content_type: str, body: bytes, says: str) -> None:
    answer = api.send("POST", "/files", content=body, headers={"Content-Type": content_type})
    assert says in error_of(answer, 400)["message"]


def test_what_is_missing_or_wrong_in_the_form_is_named(api: Api) -> None:
    error = error_of(api.send_file(b"x", purpose="party"), 400)
    assert error["param"] == "purpose"
    assert "Supported values are: 'assistants', 'vision'" in error["message"]
    body, headers = form(b"x", "a", "assistants")
    answer = api.send("POST", "/files", content=body.replace(b'"purpose"', b'"p"'), headers=headers)
    assert error_of(answer, 400)["message"] == "Missing required parameter: 'purpose'."
    assert error_of(api.send_file(b""), 400)["message"] == "The file is empty."
    assert error_of(api.send_file(b"x", "n" * 513), 400)["code"] == "string_above_max_length"
    error_of(api.send_file(b"x", "a\0b"), 400)
    two = body.replace(b"--clew--", b"--clew\r\n") + body
    assert "two files" in error_of(api.send("POST", "/files", content=two, headers=headers), 400)["message"]


def test_a_form_in_any_pieces_is_the_same(api: Api, http: Any) -> None:
    body, headers = form(b"\r\n--clew\r--clew-\r\n" * 3, "a", "assistants")
    headers["Authorization"] = f"Bearer {api.key}"
    for size in (1, 2, 7, 50):
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        made = http.post(f"{api.url}/v1/files", content=pieces, headers=headers).json()
        assert api.send("GET", f"/files/{made['id']}/content").content == b"\r\n--clew\r--clew-\r\n" * 3


def test_a_projects_files_have_only_so_many_bytes(servers: Servers) -> None:
    with servers.start() as api:
        limits = ProjectLimits(file_bytes=100)
        servers.server.shares.set([Project(name="alpha", created_at=0, limits=limits)], 1)
        first = api.upload(b"x" * 60)
        error = error_of(api.send_file(b"x" * 41), 400)
        assert (error["code"], "100 bytes" in error["message"]) == ("file_quota_exceeded", True)
        api.upload(b"x" * 40)
        api.delete(f"/files/{first}")
        api.upload(b"x" * 60)
        assert len(api.get("/files")["data"]) == 2
