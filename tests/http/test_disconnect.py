"""A client that goes away in the middle of its request is nobody's fault, and leaves nothing behind."""

import logging
import socket

import pytest

from tests.support.api import Api
from tests.support.database import dump
from tests.support.server import Server
from tests.support.wait import until


def _request(api: Api, server: Server, body: bytes, length: int) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    head = f"POST /v1/threads HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.key}\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
    return connection


def test_a_request_that_breaks_off_is_not_done_and_not_reported_as_a_fault(
    api: Api, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    before = dump(server.place)
    caplog.set_level(logging.INFO)
    for _ in range(20):
        _request(api, server, b'{"metadata"', 1000).close()
    answered = _request(api, server, b"{}", 2)
    until(lambda: b"200 OK" in answered.recv(65536))
    answered.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert len(dump(server.place)["threads"]) == len(before["threads"]) + 1
