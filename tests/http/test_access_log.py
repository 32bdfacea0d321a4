"""Requests that leave a line in the log, and those that don't."""

import logging
from typing import Any

import httpx2
import pytest

from clew.http.access import SLOW, AccessLog
from tests.support.api import Api
from tests.support.server import Server
from tests.support.wait import until


def _lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.name == "clew.access"]


def test_a_refused_key_leaves_a_line_without_the_key(
    http: httpx2.Client, server: Server, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api.get("/threads")
    wrong = {"Authorization": "Bearer clew_wrong-key-0123456789"}
    for _ in range(8):
        assert http.get(f"{server.url}/v1/threads", headers=wrong).status_code == 401
    (line, *more) = until(lambda: _lines(caplog))
    assert (line["method"], line["status"], line["refused_keys"]) == ("GET", 401, 1)
    assert line["request_id"].startswith("req_")
    assert len(more) < 5  # one a second: whoever guesses keys writes no log
    assert "wrong-key" not in caplog.text


@pytest.mark.parametrize(
    ("wanted", "status", "seconds", "query", "logged"),
    [
        ("trouble", 200, 0.1, b"", None),
        ("trouble", 404, 0.1, b"", None),
        ("trouble", 500, 0.1, b"", logging.WARNING),
        ("trouble", 200, SLOW + 1, b"", logging.WARNING),
        ("trouble", 200, SLOW + 1, b"wait=30", None),
        ("all", 200, 0.1, b"", logging.INFO),
        ("all", 0, 0.1, b"", logging.INFO),
        ("off", 500, SLOW + 1, b"", None),
    ],
)
def test_what_is_logged(
    caplog: pytest.LogCaptureFixture,
    wanted: Any,
    status: int,
    seconds: float,
    query: bytes,
    logged: int | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    scope = {"method": "GET", "path": "/v1/threads", "query_string": query, "clew.project": "alpha"}
    AccessLog(wanted).note(scope, "req_1", status, seconds)
    levels = [record.levelno for record in caplog.records]
    assert levels == ([] if logged is None else [logged])
    if logged is not None:
        (fields,) = _lines(caplog)
        assert (fields["project"], fields["request_id"], fields["ms"]) == ("alpha", "req_1", seconds * 1000)
