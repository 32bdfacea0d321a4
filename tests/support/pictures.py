"""Pictures, and a host of them that answers byte by byte as it is told."""

import base64
import io
import socket
import threading
from collections.abc import Callable
from typing import Self

from PIL import Image


def picture(width: int = 20, height: int = 10, kind: str = "PNG") -> bytes:
    """Return a red picture."""
    made = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(made, kind)
    return made.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    """Return bytes as a URL that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer; its length is said only if a header says it."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode() + body


class PictureHost:
    """A server on a port of this machine. Use it as a context manager.

    Attributes:
        answers: what is done with a connection, by the path that it asks for, once its request is read.
        asked: the paths of the requests, oldest first.
        connections: how many there were.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[socket.socket], None]] = {}
        self.asked: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def gives(self, path: str, answer: bytes) -> str:
        """Have a path answered with these bytes; return its URL."""
        return self.does(path, lambda connection: connection.sendall(answer))

    def does(self, path: str, what: Callable[[socket.socket], None]) -> str:
        """Have something done with connections that ask for a path; return its URL."""
        self.answers[path] = what
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://pictures.example:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        with socket.socket() as last:  # wakes who waits in accept
            last.settimeout(0.1)
            last.connect_ex(("127.0.0.1", self.port))

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                    request += piece
                if request:
                    path = request.split(b" ")[1].decode()
                    self.asked.append(path)
                    self.answers[path](connection)
            except OSError:
                return  # whoever asked has given up
