"""A project's feed as server-sent events, to one reader."""

import asyncio
from collections.abc import Iterable

import msgspec
from starlette.types import Receive, Scope, Send

from clew.bus.feed import Change, FeedReader
from clew.core.states import RunStatus
from clew.http.streams import HEADERS, IDLE, StreamPlace, body, disconnected
from clew.service import project_runs
from clew.service.context import Services
from clew.wire import frames
from clew.wire.project_runs import RunChange

_READY = b"event: ready\ndata: {}\n\n"
_RESYNC = b"event: resync\ndata: {}\n\n"
_AT_ONCE = 500
"""Runs that are written in one piece, so that a reader of many holds up nobody else."""

_encode = msgspec.json.Encoder().encode


class FeedStream:
    """A response that is a project's feed: its live runs, ``ready``, then what changes.

    It ends when the reader goes, or when the process is about to stop.

    Args:
        seconds: after so long it ends; None for never.
    """

    def __init__(self, services: Services, project: str, place: StreamPlace, seconds: int | None) -> None:
        self._services, self._project, self._place, self._seconds = services, project, place, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = project_runs.subscribe(self._services, self._project)
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await reader.ready.wait()
            await self._tell_live(send)
            await self._follow(reader, send, gone, 0 if scope["method"] == "HEAD" else self._seconds)
        finally:
            gone.cancel()
            reader.close()
            self._place.leave()

    async def _tell_live(self, send: Send) -> None:
        rows = await project_runs.live(self._services, self._project)
        for start in range(0, len(rows), _AT_ONCE):
            await send(body(_framed(_of_row(*row) for row in rows[start : start + _AT_ONCE])))
        await send(body(_READY))

    @staticmethod
    async def _follow(
        reader: FeedReader, send: Send, gone: "asyncio.Future[None]", seconds: int | None
    ) -> None:
        """Tell what changes. A reader that takes its time is waited for here, and nowhere else."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while not (gone.done() or reader.ended) and (end is None or loop.time() < end):
            timeout = IDLE if end is None else min(IDLE, end - loop.time())
            if not await _news(reader, gone, timeout):
                await send(body(frames.KEEP_ALIVE))
                continue
            changes = reader.take()
            if changes is None:
                await send(body(_RESYNC))
            elif changes:
                await send(body(_framed(_of_change(change, at) for change, at in changes)))
        await send(body(frames.DONE, more=False))


def _of_row(run: str, thread: str, agent: str | None, status: str, version: int, at: int) -> RunChange:
    return RunChange(run, thread, agent or "", RunStatus(status), version, at // 1000)


def _of_change(change: Change, at: int) -> RunChange:
    return RunChange(
        change.run, change.thread, change.agent, RunStatus(change.status), change.version, at // 1000
    )


def _framed(changes: Iterable[RunChange]) -> bytes:
    return b"".join(b"event: run.changed\ndata: %b\n\n" % _encode(change) for change in changes)


async def _news(reader: FeedReader, gone: "asyncio.Future[None]", seconds: float) -> bool:
    """Wait for something to take; return False after a long silence."""
    news = asyncio.ensure_future(reader.wait())
    try:
        done, _ = await asyncio.wait(
            (news, gone), timeout=max(0, seconds), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        news.cancel()
    return bool(done)
