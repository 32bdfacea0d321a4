"""A receiver of webhooks: a real HTTP server that answers as it is told and remembers what it heard."""

import base64
import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, NamedTuple, Self

from clew.clock import Clock
from tests.support.api import Json
from tests.support.wait import until


class Answer(NamedTuple):
    """How the receiver answers. With ``held``, only once :meth:`Receiver.release` is called.

    Of the body, ``missing`` more bytes are announced than ever come.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    held: bool = False
    missing: int = 0


class Heard(NamedTuple):
    """A request as it came in. ``at`` is the time on the server's clock."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Json:
        event: Json = json.loads(self.body)
        return event

    def verify(self, secret: str) -> None:
        """Check the signature as the specification tells receivers to."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert self.headers["webhook-signature"] == f"v1,{expected}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.receiver.hear(Heard(self.path, headers, body, self.receiver.now()))
        if answer.held:
            self.receiver.released.wait()
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body) + answer.missing))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.missing:
                self.receiver.released.wait()
        except OSError:
            self.close_connection = True  # the sender has given up

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Receiver:
    """Use it as a context manager. It answers 200 unless told otherwise.

    Attributes:
        heard: the requests, oldest first.
        connections: how many there were.
    """

    def __init__(self, clock: Clock | None = None, tls: SSLContext | None = None) -> None:
        self._clock = clock
        self._answers: deque[Answer] = deque()
        self.always: Answer | None = None
        self.heard: list[Heard] = []
        self.released = threading.Event()
        self.connections = 0
        receiver = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def get_request(self) -> Any:
                receiver.connections += 1
                return super().get_request()

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is nothing to tell."""

        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = Server(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def now(self) -> int:
        return self._clock.now() if self._clock is not None else 0

    def hear(self, heard: Heard) -> Answer:
        """Remember a request and return how to answer it."""
        self.heard.append(heard)
        return self._answers.popleft() if self._answers else self.always or Answer()

    def answer(self, *answers: Answer | int) -> None:
        """Say how the next requests are answered."""
        self._answers.extend(each if isinstance(each, Answer) else Answer(each) for each in answers)

    def release(self) -> None:
        """Answer all requests that are held."""
        self.released.set()

    def wait(self, count: int = 1) -> list[Heard]:
        """Return what was heard, once it is so much.

        Raises:
            AssertionError: it was not so much in time.
        """
        return until(lambda: self.heard if len(self.heard) >= count else None) or []
