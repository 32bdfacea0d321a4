"""A run's events as server-sent events, to one reader."""

import asyncio
from collections.abc import Callable
from typing import Self

from starlette.types import Receive, Scope, Send

from clew.core.entries import ENDINGS, EventKind
from clew.service.context import Services
from clew.service.following import Follower, RunKeys
from clew.wire import frames
from clew.wire.errors import overloaded

IDLE = 15.0
"""Seconds without an event after which a keep-alive is sent; azure-core gives up after 300."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
)


class StreamPlace:
    """A place for one stream of a project's share, taken before anything is done for the stream.

    The stream gives it back. As a context manager it goes back if what comes before the stream fails.

    Raises:
        ApiError: the project has as many streams as it may.
    """

    def __init__(self, services: Services, project: str) -> None:
        self._shares, self._project = services.shares, project
        if not self._shares.stream(project, 1):
            most = self._shares.of(project).streams
            raise overloaded(
                f"This project has {most} streams open, as many as it may. End one, or ask without."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.leave()

    def leave(self) -> None:
        """Give the place back: once."""
        self._shares.stream(self._project, -1)


class RunStream:
    """A response that is a run's stream, from the event after position ``after`` on.

    A reader that goes away stops nothing but the reading. With ``joined``, the stream is one that a
    client joins by its own request: frames carry their position as ``id``, and the stream goes on
    while the run waits for tool outputs. With ``content``, the
    texts that searches found come with their steps.
    """

    def __init__(
        self,
        services: Services,
        keys: RunKeys,
        place: StreamPlace,
        *,
        after: int,
        preface: bytes = b"",
        joined: bool = False,
        content: bool = False,
    ) -> None:
        self._services, self._keys, self._place, self._after = services, keys, place, after
        self._preface = preface
        self._joined, self._content = joined, content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            self._place.leave()
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await send(body(b"", more=False))
            return
        follower = Follower(self._services, self._keys, self._after)
        gone = asyncio.ensure_future(disconnected(receive))
        gone.add_done_callback(lambda _: follower.wake())
        quiet = _Quiet(follower.wake)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await self._follow(follower, scope.get("clew.send", send), gone, quiet)
        finally:
            quiet.close()
            gone.cancel()
            follower.close()
            self._place.leave()

    async def _follow(
        self, follower: Follower, send: Send, gone: "asyncio.Future[None]", quiet: "_Quiet"
    ) -> None:
        whole = frames.told_whole if self._content else frames.told
        make = frames.numbered if self._joined else whole
        data, last = await follower.take(make)
        data = self._preface + data
        while not gone.done():
            if follower.over or self._is_last(last):
                await send(body(data + frames.DONE, more=False))
                return
            if data:
                quiet.broken()
                await send(body(data))
            elif self._is_let_go():
                await send(body(b"", more=False))  # not the run's end: who goes on reading joins again
                return
            await follower.wait()
            if quiet.long:
                # The rows are asked too: the bus may have lost what ended the run.
                quiet.broken()
                await send(body(frames.KEEP_ALIVE))
                data, last = make(await follower.look(long_quiet=True))
            else:
                data, last = await follower.take(make)

    def _is_let_go(self) -> bool:
        at_work = self._services.dispatch.works_on(self._keys.run_id)
        return self._services.stopping.lets_go(at_work=at_work)

    def _is_last(self, kind: EventKind | None) -> bool:
        return kind in ENDINGS and not (self._joined and kind == EventKind.RUN_REQUIRES_ACTION)


class _Quiet:
    """Calls somebody when nothing was sent for long: one timer, however much is sent."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call, self._loop = call, asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._timer = self._loop.call_later(IDLE, self._look)
        self.long = False

    def broken(self) -> None:
        """Note that something is sent."""
        self._sent_at, self.long = self._loop.time(), False

    def close(self) -> None:
        """Call nobody any more."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._sent_at + IDLE - self._loop.time()
        self.long = left <= 0
        self._timer = self._loop.call_later(IDLE if self.long else left, self._look)
        if self.long:
            self._call()


def body(data: bytes, *, more: bool = True) -> dict[str, object]:
    """Return the message that sends a part of a response."""
    return {"type": "http.response.body", "body": data, "more_body": more}


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
