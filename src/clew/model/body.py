"""The body of a model's answer, as it comes: everything that came together at once."""

import asyncio
import re

import aiohttp
from aiohttp.client_proto import ResponseHandler

from clew.model.answer import AnswerReader
from clew.model.chat import ModelError
from clew.model.frames import AnyFrame, FrameReader, TooLong
from clew.model.trouble import Problem, model_error

_AT_ONCE = 0.001
"""Seconds in which frames are read by somebody who has nothing else to do first."""

_LATE = 0.01
"""Seconds after which whoever reads frames is behind."""

_TITLE = re.compile(r"<title[^>]*>([^<]{1,400})</title", re.IGNORECASE)
_GRACE = 1.0
"""Seconds for which the usage of a finished answer is waited for."""

_COUNTED_GRACE = 0.1
"""Seconds for which the end of an answer is waited for that is finished and counted."""


class Body:
    """Reads a body's frames, whatever its label says it is.

    It may be silent for as long as the session's ``sock_read`` says. aiohttp sets a timer anew for every
    piece that comes, and has its parser go on after every piece that is taken; here one timer looks, when it
    is due, how long ago the last piece came, and the parser is asked to go on only where it had to stop.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self._content = response, response.content
        self._frames = FrameReader()
        self._seen = self._over = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._ended_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handed_at = self._heard_at
        self._hurried = self._held = self.late = False
        protocol = self._protocol()
        if protocol is not None:
            _resume_if_paused(protocol)
            if protocol.read_timeout:
                self._silence, protocol.read_timeout = protocol.read_timeout, None
                self._timer = self._loop.call_later(self._silence, self._look)

    async def frames(self, reader: AnswerReader) -> list[AnyFrame]:
        """Return the frames that came together; none at the body's end.

        Raises:
            ModelError: it is no answer at all.
        """
        self._go_on()
        while not self._over:
            piece = await (self._late_piece(reader) if reader.ended else self._content.readany())
            self._handed_at = self._heard_at = self._loop.time()
            self._over = not piece
            try:
                frames = self._frames.feed(piece) if piece else self._frames.end()
            except TooLong:
                raise ModelError("server_error", "The model's answer is too long to keep.") from None
            if frames:
                self._seen = True
                if self._hurried:
                    self._hold()
                return frames
        self._check(reader)
        return []

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._go_on()

    def _protocol(self) -> ResponseHandler | None:
        connection = self._response.connection
        return None if connection is None else connection.protocol

    def _hold(self) -> None:
        """Leave what comes in the socket until somebody has time for it: it costs nothing there."""
        protocol = self._protocol()
        if protocol is not None and protocol.transport is not None:
            protocol.transport.pause_reading()
            self._held = True

    def _go_on(self) -> None:
        """Note whether the reader of the frames had to wait; read on."""
        now = self._loop.time()
        self._hurried = now - self._handed_at > _AT_ONCE
        self.late = now - self._handed_at > _LATE
        if self._held:
            self._held, self._heard_at = False, now
            protocol = self._protocol()
            if protocol is not None and protocol.transport is not None:
                protocol.transport.resume_reading()

    async def _late_piece(self, reader: AnswerReader) -> bytes:
        """Return the next bytes; behind an answer's end, whatever comes, they are not waited for long."""
        if self._ended_at is None:
            self._ended_at = self._loop.time()
        grace = _COUNTED_GRACE if reader.usage_reported else _GRACE
        try:
            async with asyncio.timeout_at(self._ended_at + grace):
                return await self._content.readany()
        except TimeoutError:
            return b""

    def _look(self) -> None:
        left = self._heard_at + self._silence - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._content.set_exception(aiohttp.SocketTimeoutError("nothing has come for too long"))

    def _check(self, reader: AnswerReader) -> None:
        if reader.ended:
            return
        frames = self._frames
        if frames.page:
            raise page_instead(self._response.status, frames.words)
        if not reader.begun and (words := frames.words.strip()):
            problem = Problem(" ".join(words.split()))
            raise model_error(problem, "The model sent an answer that cannot be read")
        if not self._seen:
            raise ModelError("server_error", "The model sent an empty answer.", again=True)


def _resume_if_paused(protocol: ResponseHandler) -> None:
    """Have ``resume_reading``, which aiohttp calls for every piece, do nothing where nothing has stopped."""
    if "resume_reading" in vars(protocol):
        return
    pause, resume = protocol.pause_reading, protocol.resume_reading
    paused = False

    def pause_reading() -> None:
        nonlocal paused
        paused = True
        pause()

    def resume_reading(resume_parser: bool = True) -> None:
        nonlocal paused
        if paused:
            paused = False
            resume(resume_parser)

    protocol.pause_reading = pause_reading  # type: ignore[method-assign]
    protocol.resume_reading = resume_reading  # type: ignore[method-assign]


def page_instead(status: int, words: str) -> ModelError:
    """Return the error that a web page in an answer's place is."""
    title = _TITLE.search(words)
    said = f" with the title {' '.join(title[1].split())[:100]!r}" if title else ""
    return ModelError(
        "server_error",
        f"The model endpoint answered {status} with a web page{said}. Is its URL right? See CLEW_MODEL_URL.",
        again=status >= 500,
    )
