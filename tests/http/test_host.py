"""The header Host of every request, and the headers of every answer."""

import http.client
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.server import Server

PATHS = ("/healthz", "/readyz", "/msi/token", "/v1/threads", "/nothing")


def _ask(api: Api, path: str, hosts: list[str], *, version: int = 11) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10)
    connection._http_vsn, connection._http_vsn_str = version, f"HTTP/{version / 10}"  # type: ignore[attr-defined]
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.putheader("Authorization", f"Bearer {api.key}")
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("hosts", [[], ["a", "b"], ["a", "a"]], ids=["none", "two", "twice the same"])
def test_a_request_names_one_host(api: Api, path: str, hosts: list[str]) -> None:
    assert _ask(api, path, hosts).status == 400


@pytest.mark.parametrize("path", ["/healthz", "/v1/threads"])
def test_any_one_host_will_do_and_http_1_0_needs_none(api: Api, path: str) -> None:
    assert _ask(api, path, ["anywhere.example:1"]).status == 200
    assert _ask(api, path, [], version=10).status == 200


def test_every_answer_is_kept_by_nobody_and_taken_for_nothing_else(
    api: Api, server: Server, http: httpx2.Client, model: ScriptedModel
) -> None:
    thread, agent = api.thread("Hi"), api.agent()
    answers = [http.get(server.url + path) for path in (*PATHS, "/openapi.json")]
    answers += [
        api.send("GET", f"/threads/{thread}"),
        api.send("GET", "/threads/thread_none"),
        api.send("POST", "/threads", content=b"{"),
        api.send("PUT", "/threads"),
        api.send("POST", f"/threads/{thread}/runs", {"assistant_id": agent, "stream": True}),
    ]
    assert [answer.status_code for answer in answers] == [
        200,
        200,
        401,
        401,
        401,
        401,
        200,
        404,
        400,
        405,
        200,
    ]
    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.url
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.url


def test_an_invitation_to_go_on_is_no_answer(api: Api) -> None:
    host, port = urlsplit(api.url).netloc.split(":")
    head = f"POST /v1/threads HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.key}\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            assert [answer.readline() for _ in range(2)] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
            connection.sendall(b"{}")
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            lines = list(iter(answer.readline, b"\r\n"))
    assert lines.count(b"cache-control: no-store\r\n") == 1
