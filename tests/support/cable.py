"""A cable to a server that can be cut at the worst moment: when the answer is on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Cable:
    """Passes on what clients and the server say, as long as it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cut_next = self._for_good = self._hide_next = False
        self.end_hidden = asyncio.Event()
        """Set when the server has ended a connection, and the client was told its last words only."""
        self.url = ""

    def cut_at_next_answer(self) -> None:
        """Lose the next thing that the server says, and the connection."""
        self._cut_next = True

    def cut_for_good_at_next_answer(self) -> None:
        """Lose the next thing that the server says, the connection, and every later one."""
        self._cut_next = self._for_good = True

    def hide_next_end(self) -> None:
        """Pass on what the server says last, but not that it then ends the connection."""
        self._hide_next = True

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead one client to the server, unless the cable was cut for good."""
        if self._for_good and not self._cut_next:
            writer.close()
            return
        answers, asks = await asyncio.open_connection("127.0.0.1", self._port)
        ways = [asyncio.ensure_future(each) for each in (_pass(reader, asks), self._answer(answers, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if self._hide_next and not ways[0].done():
            self._hide_next = False
            self.end_hidden.set()
            await asyncio.wait(ways[:1])
        for way in ways:
            way.cancel()
        for end in (asks, writer):
            with suppress(OSError):
                end.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._cut_next:
                self._cut_next = False
                return
            writer.write(data)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[Cable]:
    """Lay a cable to the server of a URL; its own URL leads through it."""
    port = urlsplit(url).port
    assert port is not None
    cable = Cable(port)
    server = await asyncio.start_server(cable.connect, "127.0.0.1", 0)
    cable.url = url.replace(f":{port}/", f":{server.sockets[0].getsockname()[1]}/")
    try:
        yield cable
    finally:
        server.close()
