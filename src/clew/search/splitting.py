"""Cuts documents off the event loop: short ones in a thread, long ones in a process of their own.

Counting tokens is Python's own work, and a thread that does it for seconds would slow everything down. Run
as a program, this cuts what comes over stdin. It goes and comes line by line, each a JSON object, so that no
side holds the event loop for long: a :class:`_Job` and then pieces of text one way, a :class:`_Told` for each
window and chunk the other.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
from msgspec import Struct

from clew.search.chunks import Chunk, Section, Split, TooLong, split, windows_of
from clew.search.tokens import Tokens

_SHORT = 100_000
"""Characters that a thread cuts."""

_AT_ONCE = 2
"""Processes: each takes some hundred megabytes and a processor."""

_PIECE = 65_536
"""Characters of a text in a line."""

_LONGEST_LINE = 4 * 1024 * 1024
"""Bytes: a chunk has 4,096 tokens of 48 bytes at most, and a byte escaped in JSON takes six."""

_LINES_AT_ONCE = 16
"""Lines that are decoded before others come in between."""

_NICE = 5  # a third of the weight of those who answer requests


class _Job(Struct, frozen=True):
    """How to cut; the arguments of :func:`clew.search.chunks.split`.

    ``chunk`` is 0 if the sections are chunks already, which are cut into windows alone.
    """

    chunk: int
    overlap: int
    window: int


class _Piece(Struct, frozen=True):
    """A piece of a section's text, which begins a section where ``new`` is true."""

    text: str
    page: int | None
    new: bool


class _Told(Struct, frozen=True, omit_defaults=True):
    """One window or chunk; at last the tokens of all, or how many were counted of what is too long."""

    window: str | None = None
    chunk: Chunk | None = None
    tokens: int | None = None
    too_long: int | None = None


class _Section(Struct):
    text: str
    page: int | None


class SplitterBroke(Exception):
    """The process ended without an answer."""


class Splitter:
    """Cuts documents. Tokens that it has learned to count stay in memory. For one event loop."""

    def __init__(self) -> None:
        self._tokens = Tokens()
        # One thread: counters are not for several, and one that is called off still goes on.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clew-splitting")
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def split(self, sections: Sequence[Section], chunk: int, overlap: int, window: int) -> Split:
        """Cut a document as :func:`clew.search.chunks.split` does.

        Raises:
            TooLong: it has too many tokens.
            SplitterBroke: the process that cut it was ended from outside.
        """
        return await self._done(_Job(chunk, overlap, window), sections)

    async def windows(self, chunks: Sequence[str], window: int) -> tuple[list[str], list[tuple[int, int]]]:
        """Cut chunks into windows anew, as :func:`clew.search.chunks.windows_of` does.

        Raises:
            SplitterBroke: the process that cut them was ended from outside.
        """
        cut = await self._done(_Job(0, 0, window), [_Section(text, None) for text in chunks])
        return cut.windows, [chunk.windows for chunk in cut.chunks]

    async def _done(self, job: _Job, sections: Sequence[Section]) -> Split:
        if sum(len(section.text) for section in sections) <= _SHORT:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _cut, job, sections, self._tokens)
        async with self._places:
            return await _elsewhere(job, sections)

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _cut(job: _Job, sections: Sequence[Section], tokens: Tokens) -> Split:
    if not job.chunk:
        windows, ranges = windows_of([section.text for section in sections], job.window, tokens)
        return Split([Chunk("", 0, None, 0, 0, each) for each in ranges], windows, 0)
    return split(
        sections,
        chunk_tokens=job.chunk,
        overlap_tokens=job.overlap,
        window_tokens=job.window,
        tokens=tokens,
    )


async def _elsewhere(job: _Job, sections: Sequence[Section]) -> Split:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "clew.search.splitting"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(ConnectionError):  # it has ended, which its answer tells
            for line in _lines(job, sections):
                process.stdin.write(line)
                await process.stdin.drain()
        process.stdin.close()
        return await _taken(_decoded(process.stdout))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _lines(job: _Job, sections: Sequence[Section]) -> Iterator[bytes]:
    yield msgspec.json.encode(job) + b"\n"
    for section in sections:
        for start in range(0, len(section.text), _PIECE):
            piece = _Piece(section.text[start : start + _PIECE], section.page, start == 0)
            yield msgspec.json.encode(piece) + b"\n"


async def _decoded(stdout: asyncio.StreamReader) -> AsyncIterator[_Told]:
    """Yield what the process tells, until it ends or tells something else."""
    count = 0
    with suppress(msgspec.DecodeError):
        while line := await stdout.readline():
            yield msgspec.json.decode(line, type=_Told)
            count += 1
            if count % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)


async def _taken(told: AsyncIterator[_Told]) -> Split:
    chunks: list[Chunk] = []
    windows: list[str] = []
    async for each in told:
        if each.chunk is not None:
            chunks.append(each.chunk)
        elif each.window is not None:
            windows.append(each.window)
        elif each.too_long is not None:
            raise TooLong(each.too_long)
        elif each.tokens is not None:
            return Split(chunks, windows, each.tokens)
    raise SplitterBroke("The process that cut the file was ended.")


# --- the process --------------------------------------------------------------------------------------


def _main() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICE)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Job)
    for told in _answer(job, _read()):
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")


def _read() -> list[_Section]:
    sections: list[_Section] = []
    pieces: list[str] = []
    for line in sys.stdin.buffer:
        piece = msgspec.json.decode(line, type=_Piece)
        if piece.new:
            _finish(sections, pieces)
            sections.append(_Section("", piece.page))
        pieces.append(piece.text)
    _finish(sections, pieces)
    return sections


def _finish(sections: list[_Section], pieces: list[str]) -> None:
    if sections:
        sections[-1].text = "".join(pieces)
    pieces.clear()


def _answer(job: _Job, sections: Sequence[Section]) -> Iterator[_Told]:
    try:
        found = _cut(job, sections, Tokens())
    except TooLong as error:
        yield _Told(too_long=error.tokens)
        return
    for window in found.windows:
        yield _Told(window=window)
    for chunk in found.chunks:
        yield _Told(chunk=chunk)
    yield _Told(tokens=found.tokens)


if __name__ == "__main__":
    _main()
