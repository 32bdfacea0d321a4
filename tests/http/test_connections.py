"""Bounds on connections: what is asked before a key is looked at, slow readers, and too many of them."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clew.http import connections
from clew.http.connections import BODY_PAUSE, HEAD_TIME, READER_PAUSE, Caps, Watch
from clew.http.wrong_keys import network_of
from clew.store import pages
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.database import new_database
from tests.support.ids import CountingIds
from tests.support.server import Server
from tests.support.wait import until

_START = b"POST /v1/threads HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _START + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.fixture
def open_one(server: Server) -> Iterator[Callable[[], socket.socket]]:
    """Opens connections to the server."""
    with ExitStack() as stack:

        def open_() -> socket.socket:
            return stack.enter_context(connect(server))

        yield open_


def connect(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=15)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return connection


def answer(connection: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    came = bytearray()
    try:
        while piece := connection.recv(65536):
            came += piece
    except ConnectionError:
        pass
    return bytes(came)


def pour(connection: socket.socket, piece: bytes) -> int:
    """Send the same again and again, until nobody takes it any more; return how many bytes were taken."""
    taken = 0
    try:
        while taken < 64 * 1024 * 1024:
            connection.sendall(piece)
            taken += len(piece)
    except OSError:
        pass
    return taken


def look(server: Server, later: float) -> None:
    """Have the server look at its connections, as it would so many seconds later."""
    server.loop.call_soon_threadsafe(lambda: server.watch.look(server.loop.time() + later))


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (_START, b"X-A: " + b"a" * 1000 + b"\r\n"),
        (_START, b"a: b\r\n" * 200),
        (_START, b"a" * 1000),
        (_START + b"X-A: ", b"a" * 1000),
        (b"GET /", b"a" * 1000),
        (b"", b"\r\n" * 500),
        (_CHUNKED, b"X-A: " + b"a" * 1000 + b"\r\n"),
    ],
    ids=["headers", "small headers", "a name", "a value", "a URL", "empty lines", "trailers"],
)
def test_a_head_without_end_is_refused(
    server: Server, open_one: Callable[[], socket.socket], start: bytes, piece: bytes
) -> None:
    met = server.watch.met["a request's head"]
    connection = open_one()
    connection.sendall(start)
    assert pour(connection, piece) < 16 * 1024 * 1024  # what the sockets hold, not what the server does
    until(lambda: server.watch.met["a request's head"] > met)
    assert not server.watch._addresses or answer(connection) is not None


@pytest.mark.parametrize(
    "said", [b"", b"GET /heal", _START + b"X-A: b\r\n"], ids=["nothing", "half a line", "half"]
)
def test_a_head_that_does_not_come_in_time_is_refused(
    server: Server, open_one: Callable[[], socket.socket], said: bytes
) -> None:
    connection = open_one()
    connection.sendall(said)
    until(lambda: len(server.watch._connections) > 0)
    look(server, HEAD_TIME - 5)
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(15)
    look(server, HEAD_TIME + 1)
    assert answer(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_is_refused_and_nothing_is_done(
    server: Server, api: Api, open_one: Callable[[], socket.socket]
) -> None:
    before = len(api.get("/threads")["data"])
    connection = open_one()
    head = f"Authorization: Bearer {api.key}\r\nContent-Length: 100\r\n\r\n"
    connection.sendall(_START + head.encode() + b'{"metadata"')
    until(lambda: any(each.cycle is not None and each.cycle.more_body for each in server.watch._connections))
    look(server, BODY_PAUSE + 1)
    said = answer(connection)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert (
        json.loads(said.partition(b"\r\n\r\n")[2])["error"]["message"] == "Your request did not come in time."
    )
    assert len(api.get("/threads")["data"]) == before


def test_a_reader_that_takes_nothing_is_cut_and_its_run_goes_on(
    server: Server, api: Api, model: ScriptedModel, open_one: Callable[[], socket.socket]
) -> None:
    model.reply(*("x" * 30_000 for _ in range(100)))
    connection = open_one()
    body = {"assistant_id": api.agent(), "stream": True, "thread": {"messages": [_user("Go.")]}}
    data = json.dumps(body).encode()
    head = f"POST /v1/threads/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
    connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    until(lambda: any(each.waiting_bytes() for each in server.watch._connections))
    (run,) = api.get("/runs", limit=1)["data"]
    until(lambda: api.get(f"/threads/{run['thread_id']}/runs/{run['id']}")["status"] == "completed")
    met = server.watch.met["slow readers"]
    look(server, 0)
    look(server, READER_PAUSE + 1)
    until(lambda: server.watch.met["slow readers"] > met)
    assert not answer(connection).endswith(b"0\r\n\r\n")


def test_what_waits_for_the_readers_of_a_project_is_bounded(
    server: Server, api: Api, open_one: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_WAITING", 500_000)
    monkeypatch.setattr(pages, "LARGEST_PAGE", 100_000_000)  # more than the sockets take
    thread = api.thread(*("x" * 250_000 for _ in range(28)))
    for _ in range(20):
        api.post(f"/threads/{thread}/messages", _user("x" * 250_000))
    readers = [open_one() for _ in range(3)]
    for reader in readers:
        path = f"/v1/threads/{thread}/messages?limit=100"
        reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n\r\n".encode())
    met = server.watch.met["slow readers"]
    until(lambda: server.watch.met["slow readers"] >= met + 2)  # the third may keep what little it has
    until(lambda: sum(each.waiting_bytes() for each in server.watch._connections) <= 500_000)


def test_of_requests_that_come_at_once_the_first_is_answered_and_pays(
    server: Server, api: Api, open_one: Callable[[], socket.socket]
) -> None:
    """Bytes that wait are its project's; what is wrong with a later one is not put into its answer."""
    key = f"Host: x\r\nAuthorization: Bearer {api.key}\r\n\r\n"
    first, second = (f"GET /v1/{path} HTTP/1.1\r\n{key}".encode() for path in ("events", "threads"))
    connection = open_one()
    connection.sendall(first + second)
    came = connection.recv(65536)
    assert came.startswith(b"HTTP/1.1 200 ")
    (answered,) = [each for each in server.watch._connections if each.pipeline]
    assert answered.project == "alpha"
    other = open_one()
    met = server.watch.met["a request's head"]
    other.sendall(first + second + b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 70_000)
    until(lambda: server.watch.met["a request's head"] > met)
    assert b"431" not in answer(other)


class Somebody:
    """A connection of an address, as far as the watch looks at it."""

    refused = False

    def __init__(self, address: str) -> None:
        self.address, self.network = address, network_of(address)

    def refuse(self, status: int, message: str) -> None:
        self.refused = True


@pytest.mark.anyio
async def test_a_network_of_ipv6_has_the_connections_of_one_address() -> None:
    watch = Watch(Caps(8, 3))
    theirs = [Somebody(f"2001:db8::{number}") for number in range(1, 6)]
    others = Somebody("2001:db8:0:1::1")
    for each in (*theirs, others):
        watch.enter(each)  # type: ignore[arg-type]
    assert [each.refused for each in theirs] == [False, False, False, True, True]
    assert not others.refused
    for each in (*theirs, others):
        watch.leave(each)  # type: ignore[arg-type]
    assert watch._addresses == {}


def test_more_connections_than_there_may_be_are_refused_plainly(
    model: ScriptedModel, clock: ManualClock, tmp_path: Path
) -> None:
    place = new_database(tmp_path / "clew.db")
    with (
        Server(place, model.url, clock=clock, ids=CountingIds(), caps=Caps(4, 3)) as server,
        ExitStack() as stack,
    ):
        open_ones = [stack.enter_context(connect(server)) for _ in range(3)]
        until(lambda: len(server.watch._connections) == 3)
        said = answer(stack.enter_context(connect(server)))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"as many connections as it takes" in said
        open_ones[0].close()
        until(lambda: len(server.watch._connections) == 2)
        taken = stack.enter_context(connect(server))
        taken.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(taken).startswith(b"HTTP/1.1 200 ")


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
