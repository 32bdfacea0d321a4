"""A proxy between a client and a server that breaks what it is told to break, on real sockets."""

import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_PIECE = 65_536


class Fault(NamedTuple):
    """What to do to the next request that matches; ``answer`` None passes it on to the server."""

    matches: re.Pattern[str]
    answer: bytes | None
    cut_after: bytes | None
    before_cut: Callable[[], object]


class Proxy:
    """Passes on one request a connection. Use it as a context manager."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.client_left = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        assert error is not None or not self._faults, f"never happened: {self._faults}"

    # what to break

    def answer(self, request: str, status: int, *headers: str, body: bytes = b"", times: int = 1) -> None:
        """Answer the next requests that match ``request`` (``POST /v1/threads$``) in the server's place."""
        head = [f"HTTP/1.1 {status} Faked", f"content-length: {len(body)}", "connection: close", *headers]
        data = "\r\n".join([*head, "", ""]).encode() + body
        self._add(request, data, None, times=times)

    def drop(self, request: str, *, times: int = 1) -> None:
        """Close the connection of the next requests that match, before the server hears of them."""
        self._add(request, b"", None, times=times)

    def cut(self, request: str, after: bytes, *, then: Callable[[], object] = lambda: None) -> None:
        """Cut the answer to the next request that matches once it holds ``after``; call ``then`` before."""
        self._add(request, None, after, then)

    def hold(self, request: str, until: Callable[[], object]) -> None:
        """Pass the next request that matches on only when ``until`` returns; note when its client leaves."""
        self._add(request, None, None, until)

    def _add(
        self,
        request: str,
        answer: bytes | None,
        after: bytes | None,
        then: Callable[[], object] = lambda: None,
        times: int = 1,
    ) -> None:
        with self._lock:
            self._faults += [Fault(re.compile(request), answer, after, then)] * times

    # passing on

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            request = _request(client)
            if request is None:
                return
            line = " ".join(request.split(b"\r\n", 1)[0].decode().split()[:2])
            fault = self._fault(line)
            if fault is not None and fault.answer is not None:
                client.sendall(fault.answer)
                return
            if fault is not None and fault.cut_after is None:
                fault.before_cut()
                threading.Thread(target=self._notice, args=(client,), daemon=True).start()
            with socket.create_connection(self._target) as server:
                server.sendall(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
                self._relay(server, client, fault)

    def _notice(self, client: socket.socket) -> None:
        try:
            gone = client.recv(1) == b""
        except OSError:
            gone = True
        if gone:
            self.client_left.set()

    def _fault(self, line: str) -> Fault | None:
        with self._lock:
            self.requests.append(line)
            for fault in self._faults:
                if fault.matches.match(line):
                    self._faults.remove(fault)
                    return fault
        return None

    @staticmethod
    def _relay(server: socket.socket, client: socket.socket, fault: Fault | None) -> None:
        seen = b""
        while piece := server.recv(_PIECE):
            if fault is not None and fault.cut_after is not None:
                seen += piece
                if fault.cut_after in seen:
                    end = seen.index(fault.cut_after) + len(fault.cut_after)
                    client.sendall(piece[: max(0, len(piece) - (len(seen) - end))])
                    fault.before_cut()
                    return
            try:
                client.sendall(piece)
            except OSError:
                return


def _request(client: socket.socket) -> bytes | None:
    """Read one request, without its keep-alive."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(_PIECE)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    length = int(found.group(1)) if found else 0
    while len(body) < length:
        body += client.recv(_PIECE)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
