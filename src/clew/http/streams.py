"""A run's events as server-sent events, to one reader."""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from clew.core.entries import ENDINGS, Entry, EventKind
from clew.service.context import Services
from clew.service.following import Follower, RunKeys
from clew.wire import frames

IDLE = 15.0
"""Seconds without an event after which a keep-alive is sent; azure-core gives up after 300."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class RunStream:
    """A response that is a run's stream, from the event after position ``after`` on.

    A reader that goes away stops nothing but the reading. With ``joined``, the stream is one that a
    client joins by its own request: frames carry their position as ``id``, and the stream goes on
    while the run waits for tool outputs.
    """

    def __init__(
        self, services: Services, keys: RunKeys, *, after: int, preface: bytes = b"", joined: bool = False
    ) -> None:
        self._services, self._keys, self._after = services, keys, after
        self._preface = preface
        self._joined = joined

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        follower = Follower(self._services, self._keys, self._after)
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await self._follow(follower, send, gone)
        finally:
            gone.cancel()
            follower.close()

    async def _follow(self, follower: Follower, send: Send, gone: "asyncio.Future[None]") -> None:
        pending = self._preface
        silent = False
        while not gone.done():
            # After a long silence the rows are asked: the bus may have lost what ended the run.
            entries = await (follower.look() if silent else follower.read())
            silent = False
            data = pending + b"".join(self._frame(entry) for entry in entries)
            pending = b""
            if self._is_last(entries) or follower.over:
                await send(body(data + frames.DONE, more=False))
                return
            if data:
                await send(body(data))
            elif not await _news(follower, gone):
                silent = True
                await send(body(frames.KEEP_ALIVE))

    def _frame(self, entry: Entry) -> bytes:
        return frames.frame(entry, numbered=self._joined)

    def _is_last(self, entries: Sequence[Entry]) -> bool:
        if not entries or entries[-1].kind not in ENDINGS:
            return False
        return not (self._joined and entries[-1].kind == EventKind.RUN_REQUIRES_ACTION)


async def _news(follower: Follower, gone: "asyncio.Future[None]") -> bool:
    """Wait for something to do; return False after a long silence."""
    news = asyncio.ensure_future(follower.wait())
    try:
        done, _ = await asyncio.wait((news, gone), timeout=IDLE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
    return bool(done)


def body(data: bytes, *, more: bool = True) -> dict[str, object]:
    """Return the message that sends a part of a response."""
    return {"type": "http.response.body", "body": data, "more_body": more}


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
