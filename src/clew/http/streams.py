"""A run's events as server-sent events, to one reader."""

import asyncio

from starlette.types import Receive, Scope, Send

from clew.bus.events import ENDINGS, RunEvent, Subscription
from clew.wire import frames

_IDLE = 15.0
"""Seconds without an event after which a keep-alive is sent; azure-core gives up after 300."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class RunStream:
    """A response that is a run's stream. A reader that goes away stops nothing but the reading."""

    def __init__(self, reader: Subscription) -> None:
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            gone = asyncio.ensure_future(_disconnected(receive))
            try:
                await self._send_events(send, gone)
            finally:
                gone.cancel()
        finally:
            self._reader.close()

    async def _send_events(self, send: Send, gone: "asyncio.Future[None]") -> None:
        coming = asyncio.ensure_future(self._reader.next())
        try:
            while not gone.done():
                await asyncio.wait((coming, gone), timeout=_IDLE, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    await send(_body(frames.KEEP_ALIVE))
                    continue
                events = [coming.result(), *self._reader.ready()]
                await send(_body(b"".join(frames.frame(event) for event in events)))
                if _ended(events):
                    await send({**_body(frames.DONE), "more_body": False})
                    return
                coming = asyncio.ensure_future(self._reader.next())
        finally:
            coming.cancel()


def _ended(events: list[RunEvent]) -> bool:
    return events[-1].name in ENDINGS


def _body(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
