"""S3 that dies in the middle of an upload, and a server that dies while it uploads to S3."""

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.blobs.moto import BUCKET, Moto
from tests.support.api import Api, form
from tests.support.wait import until

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(180)]

_MB = 1024 * 1024
_DATA = random.Random(2).randbytes(24 * _MB)
"""Three parts of an upload."""


@pytest.fixture
def moto() -> Iterator[Moto]:
    with Moto() as moto:
        yield moto


@pytest.fixture
def server(moto: Moto) -> Iterator[RunningServer]:
    aws = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    url = f"s3://{BUCKET}/kept?endpoint={moto.url}&region=us-east-1"
    with (
        ScriptedModel() as model,
        RunningServer(model, environment={**os.environ, **aws, "CLEW_FILES_URL": url}) as server,
    ):
        yield server


class HalfSent:
    """An upload of which all but the last bytes were sent."""

    def __init__(self, server: RunningServer) -> None:
        address = urlsplit(server.url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 0), 60)
        body, headers = form(_DATA, "large.txt", "assistants")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Host: clew", f"Authorization: Bearer {server.api_key}", f"Content-Length: {len(body)}"]
        self._head = "\r\n".join(["POST /v1/files HTTP/1.1", *lines, "Connection: close"]) + "\r\n\r\n"
        self._body, self._sent = body, len(body) - 2 * _MB
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> "HalfSent":
        self._thread.start()
        return self

    def _send(self) -> None:
        with suppress(OSError):  # it was left before it was read
            self._socket.sendall(self._head.encode() + self._body[: self._sent])

    def answered(self) -> str:
        """Send the rest; return the answer's first line and what comes with it."""
        self._thread.join()
        self._socket.sendall(self._body[self._sent :])
        return b"".join(iter(lambda: self._socket.recv(65536), b"")).decode()

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _multipart(moto: Moto) -> bool:
    return "<Upload>" in moto.says("uploads")


def _objects(moto: Moto) -> int:
    return moto.says("list-type=2&prefix=kept/").count("<Key>")


def test_a_store_that_dies_in_mid_upload_keeps_no_row(
    moto: Moto, server: RunningServer, http: httpx2.Client
) -> None:
    api = Api(http, server.url, server.api_key)
    with HalfSent(server) as upload:
        until(lambda: _multipart(moto))
        moto.kill()
        answer = upload.answered()
    assert answer.startswith("HTTP/1.1 503"), answer[:200]
    assert "The server's store of files does not answer. Nothing was stored; ask again." in answer
    assert api.get("/files")["data"] == []
    moto.start()
    file = api.upload(_DATA)
    assert api.send("GET", f"/files/{file}/content").content == _DATA
    assert _objects(moto) == 1
    assert "Traceback" not in server.log


def test_a_server_that_dies_in_mid_upload_leaves_parts_that_nobody_is_shown(
    moto: Moto, server: RunningServer, http: httpx2.Client
) -> None:
    api = Api(http, server.url, server.api_key)
    kept = api.upload(b"thread")
    with HalfSent(server):
        until(lambda: _multipart(moto))
        server.kill()
    server.start()
    api = Api(http, server.url, server.api_key)
    assert [each["id"] for each in api.get("/files")["data"]] == [kept]
    assert _objects(moto) == 1
    file = api.upload(_DATA)
    assert api.send("GET", f"/files/{file}/content").content == _DATA
    assert _objects(moto) == 2


def test_a_client_that_leaves_in_mid_upload_leaves_nothing(
    moto: Moto, server: RunningServer, http: httpx2.Client
) -> None:
    with HalfSent(server):
        until(lambda: _multipart(moto))
    until(lambda: not _multipart(moto))
    assert _objects(moto) == 0
    assert Api(http, server.url, server.api_key).get("/files")["data"] == []
