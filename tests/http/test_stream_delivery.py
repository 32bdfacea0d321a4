"""Words reach a reader whole and in order: one who takes their time, and one who pipelines."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.server import Server
from tests.support.wait import until

WORDS = [f"{number} {'x' * 30_000} " for number in range(100)]
"""More than the sockets between a server and a reader hold."""


@contextmanager
def streaming(api: Api, server: Server) -> Iterator[socket.socket]:
    """Ask for a run with its stream; give the connection."""
    body = {"assistant_id": api.agent(), "stream": True, "thread": {"messages": [_user("Count.")]}}
    data = json.dumps(body).encode()
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((host, int(port)))
        head = f"POST /v1/threads/runs HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.key}\r\n"
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        yield connection


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _read(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes until something has come."""
    came = bytearray()
    while end not in came[-200_000:]:
        piece = connection.recv(65536)
        assert piece, "the connection was closed"
        came += piece
    return bytes(came)


def _said(came: bytes) -> str:
    """Return what the deltas of a stream say, in their order."""
    head, _, rest = came.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    body = bytearray()
    while (size := int(rest[: rest.index(b"\r\n")], 16)) > 0:
        begin = rest.index(b"\r\n") + 2
        assert rest[begin + size : begin + size + 2] == b"\r\n"
        body += rest[begin : begin + size]
        rest = rest[begin + size + 2 :]
    lines = body.split(b"\n")
    deltas = [
        json.loads(data.removeprefix(b"data: "))["delta"]["content"]
        for event, data in pairwise(lines)
        if event == b"event: thread.message.delta"
    ]
    return "".join(part["text"]["value"] for parts in deltas for part in parts)


def test_a_reader_that_takes_its_time_gets_every_word_in_order(
    api: Api, server: Server, model: ScriptedModel
) -> None:
    reply = model.hold(*WORDS)
    with streaming(api, server) as connection:
        for gate in reply.gates:
            gate.wait_reached()
            gate.release()
        until(lambda: not api.get("/runs", status="in_progress")["data"])
        came = _read(connection, b"0\r\n\r\n")
    assert _said(came) == "".join(WORDS)


def test_a_request_behind_a_stream_is_answered_behind_it(
    api: Api, server: Server, model: ScriptedModel
) -> None:
    words = ["One ", "two ", "three ", "four"]
    reply = model.hold(*words)
    with streaming(api, server) as connection:
        reply.gates[0].wait_reached()
        reply.gates[0].release()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for gate in reply.gates[1:]:
            gate.wait_reached()
            gate.release()
        came = _read(connection, b"0\r\n\r\nHTTP/1.1 200 OK\r\n")
    stream, _, behind = came.partition(b"0\r\n\r\n")
    assert _said(stream + b"0\r\n\r\n") == "".join(words)
    assert behind.startswith(b"HTTP/1.1 200 OK")
