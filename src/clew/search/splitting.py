"""Cuts documents off the event loop: short ones in a thread, long ones in a process of their own.

Counting tokens is Python's own work, and a thread that does it for seconds would slow everything down.
Run as a program, this cuts what comes over stdin.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from clew.search.chunks import Section, Split, TooLong, split
from clew.search.tokens import Tokens

_SHORT = 100_000
"""Characters that a thread cuts."""


class Piece(Struct, frozen=True):
    """A section, as it goes to the process."""

    text: str
    page: int | None = None


class _Job(Struct, frozen=True):
    sections: list[Piece]
    chunk: int
    overlap: int
    window: int


class _Answer(Struct, frozen=True):
    split: Split | None = None
    too_long: int = 0


class SplitterBroke(Exception):
    """The process ended without an answer."""


class Splitter:
    """Cuts documents. Tokens that it has learned to count stay in memory."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    async def split(self, sections: Sequence[Section], chunk: int, overlap: int, window: int) -> Split:
        """Cut a document as :func:`clew.search.chunks.split` does.

        Raises:
            TooLong: it has too many tokens.
            SplitterBroke: the process that cut it was ended from outside.
        """
        if sum(len(section.text) for section in sections) <= _SHORT:
            return await asyncio.to_thread(self._here, sections, chunk, overlap, window)
        job = _Job([Piece(each.text, each.page) for each in sections], chunk, overlap, window)
        answer = await _elsewhere(job)
        if answer.split is None:
            raise TooLong(answer.too_long)
        return answer.split

    def _here(self, sections: Sequence[Section], chunk: int, overlap: int, window: int) -> Split:
        if self._tokens is None:
            self._tokens = Tokens()
        return split(
            sections,
            chunk_tokens=chunk,
            overlap_tokens=overlap,
            window_tokens=window,
            tokens=self._tokens,
        )


async def _elsewhere(job: _Job) -> _Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "clew.search.splitting",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return msgspec.json.decode(told, type=_Answer)
    except msgspec.DecodeError as error:
        raise SplitterBroke("The process that cut the file was ended.") from error


def _main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    limits: dict[str, Any] = {
        "chunk_tokens": job.chunk,
        "overlap_tokens": job.overlap,
        "window_tokens": job.window,
    }
    try:
        answer = _Answer(split(job.sections, tokens=Tokens(), **limits))
    except TooLong as error:
        answer = _Answer(too_long=error.tokens)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    _main()
