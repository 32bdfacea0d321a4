"""A server that dies in the middle of an upload, and one that is told to keep files where it can't."""

import os
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.api import Api
from tests.support.wait import until

_HALF = 3 * 1024 * 1024


def test_a_server_that_dies_in_mid_upload_loses_nothing_that_it_acknowledged(http: httpx2.Client) -> None:
    with ScriptedModel() as model, RunningServer(model) as server:
        kept = Api(http, server.url, server.api_key).upload(b"thread")
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as upload:
            head = (
                f"POST /v1/files HTTP/1.1\r\nHost: clew\r\nAuthorization: Bearer {server.api_key}\r\n"
                f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {2 * _HALF}\r\n\r\n"
                '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            )
            upload.sendall(head.encode() + bytes(_HALF))
            drafts = server.data_dir / "files" / "drafts"
            until(lambda: any(each.stat().st_size > 1024 * 1024 for each in drafts.glob("*")))
            server.kill()
        server.start()
        api = Api(http, server.url, server.api_key)
        assert [each["id"] for each in api.get("/files")["data"]] == [kept]
        assert api.send("GET", f"/files/{kept}/content").content == b"thread"
        assert len(list(drafts.iterdir())) == 1, "the sweep takes it when it is an hour old"


@pytest.mark.parametrize(("url", "says"), [("db:", "needs PostgreSQL"), ("ftp://x", "begins with file:")])
def test_files_that_can_be_kept_nowhere_are_said_at_the_start(url: str, says: str) -> None:
    server = RunningServer(environment={**os.environ, "CLEW_FILES_URL": url})
    with pytest.raises(RuntimeError, match="ended with code 2") as failed, server:
        pass
    assert says in str(failed.value)
    assert "Traceback" not in str(failed.value)
