"""all-MiniLM-L6-v2 on this machine's processors, in a process beside Clew.

The process is started when texts come, and ended when none have come for five minutes: it takes 100 MB.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from clew.clock import Clock
from clew.daemons import in_daemon_thread
from clew.ids import new_api_key
from clew.installing import how_to_add
from clew.search import minilm
from clew.search.embedder import Unembeddable
from clew.search.encoding import packed, zero
from clew.search.texts import shown
from clew.search.wordpiece import WordPiece
from clew.weights.errors import WeightsError
from clew.weights.files import Progress, ignore_progress
from clew.weights.machine import obstacle, threads
from clew.weights.process import LlamaProcess, Setup, WorkerError

IDLE = 300_000
"""Milliseconds without texts after which the process is ended."""

_FAILURE_KEPT = 60_000
"""Milliseconds for which weights that could not be fetched are not tried again: pip takes long to give up."""

_MOST_CHARACTERS = 64 * minilm.WINDOW_TOKENS
"""Of a text: far more than a window takes, so that a hostile one costs little."""

_GROUP_TOKENS, _GROUP_TEXTS = 2 * minilm.WINDOW_TOKENS, 8
"""What is computed at once. A query waits for one group of whatever came before it, about half a second."""

_SLOTS = 4
_WHAT = "the embedded embedder"
_ELSEWHERE = "set CLEW_EMBEDDINGS_URL to an endpoint for embeddings, or to none for full text alone"

_Tokens: TypeAlias = list[int]


class _Running(Struct, frozen=True):
    process: LlamaProcess
    wordpiece: WordPiece


class EmbeddedEmbedder:
    """See :class:`clew.search.embedder.Embedder`. To be used from one event loop.

    Args:
        data_dir: Clew's data directory; the weights are kept in its subdirectory ``models``.
        clock: for how long it has been idle.
        progress: told about the download, from another thread: bytes done, bytes in all, what.
        most_threads: threads that compute; by default as many as processors are idle at the start, but one.
    """

    name = minilm.NAME
    window_tokens = minilm.WINDOW_TOKENS

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        *,
        progress: Progress = ignore_progress,
        most_threads: int | None = None,
    ) -> None:
        self._data_dir, self._clock, self._progress = data_dir, clock, progress
        self._threads = most_threads
        self._turn = asyncio.Lock()  # first come, first served
        self._opening = threading.Lock()
        self._running: _Running | None = None
        self._watch: asyncio.Task[None] | None = None
        self._used = 0
        self._failure: tuple[int, Unembeddable] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The number of the process that computes, if it runs."""
        running = self._running
        return running.process.pid if running is not None and running.process.alive else None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See :meth:`clew.search.embedder.Embedder.embed`. The first texts may wait for a download."""
        vectors = [zero(minilm.DIMENSIONS)] * len(texts)
        seen = {n: told for n, text in enumerate(texts) if (told := shown(text, _MOST_CHARACTERS))}
        if not seen:
            return vectors
        wordpiece = (await self._open()).wordpiece
        async for group in _groups(wordpiece, seen):
            async with self._turn:
                try:
                    made = await self._group(list(group.values()))
                finally:
                    self._used = self._clock.now()
            for n, vector in zip(group, made, strict=True):
                vectors[n] = vector
        return vectors

    async def close(self) -> None:
        """End the process and a download under way."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._running is not None:
            self._running.process.kill()
            self._running = None

    # --- a group of texts --------------------------------------------------------------------------

    async def _group(self, tokens: list[_Tokens]) -> list[bytes]:
        """Return vectors; a process that dies over these texts is started again once."""
        with suppress(WorkerError):
            return await self._ask((await self._open()).process, tokens)
        try:
            return await self._ask((await self._open()).process, tokens)
        except WorkerError:
            raise Unembeddable(f"{_WHAT}'s process ended twice over the same texts", again=True) from None

    async def _ask(self, process: LlamaProcess, tokens: list[_Tokens]) -> list[bytes]:
        async with aclosing(process.call("embeddings", {"input": tokens})) as chunks:
            answers = [chunk async for chunk in chunks]
        try:
            entries = sorted(answers[0]["data"], key=lambda entry: entry["index"])
            vectors = [packed(entry["embedding"]) for entry in entries]
        except (IndexError, KeyError, TypeError, ValueError):
            raise Unembeddable(f"{_WHAT} failed: {_said(answers)}", again=False) from None
        if [len(vector) for vector in vectors] != [len(zero(minilm.DIMENSIONS))] * len(tokens):
            raise Unembeddable(f"{_WHAT} gave other vectors than it should", again=False)
        return vectors

    # --- the process -------------------------------------------------------------------------------

    async def _open(self) -> _Running:
        """Return the process, started if need be.

        Raises:
            Unembeddable: this machine can't run it, or the weights can't be had.
        """
        running = self._running
        if running is not None and running.process.alive and not self._closed:
            return running
        if self._failure is not None and self._clock.now() < self._failure[0]:
            raise self._failure[1]
        try:
            running = await in_daemon_thread(self._open_now)
        except WorkerError as error:
            raise Unembeddable(f"{_WHAT} could not be started: {error}", again=not self._closed) from error
        except WeightsError as error:
            failure = Unembeddable(f"{_WHAT}'s weights can't be had: {error}. Or {_ELSEWHERE}.", again=True)
            self._failure = (self._clock.now() + _FAILURE_KEPT, failure)
            raise failure from error
        if self._watch is None or self._watch.done():
            self._used = self._clock.now()
            self._watch = asyncio.create_task(self._end_when_idle())
        return running

    def _open_now(self) -> _Running:
        with self._opening:
            self._check_open()
            if self._running is not None and self._running.process.alive:
                return self._running
            if (trouble := _obstacle()) is not None:
                raise Unembeddable(trouble, again=False)
            files = minilm.pull(self._data_dir, self._report)
            wordpiece = WordPiece(files.tokens())
            process = LlamaProcess.start(self._setup(files.weights))
            self._running = _Running(process, wordpiece)
            if self._closed:
                process.kill()
            self._check_open()
            return self._running

    def _check_open(self) -> None:
        if self._closed:
            raise WorkerError("it was closed")

    def _report(self, done: int, total: int, what: str) -> None:
        self._check_open()  # ends a download that nobody waits for any more
        self._progress(done, total, what)

    def _setup(self, weights: Path) -> Setup:
        return Setup(
            path=weights,
            context_tokens=minilm.WINDOW_TOKENS,
            slots=_SLOTS,
            threads=self._threads or _idle_processors(),
            api_key=new_api_key(),
            batch=_GROUP_TOKENS,
            cache_mib=0,
            embedding=True,
        )

    async def _end_when_idle(self) -> None:
        while True:
            left = self._used + IDLE - self._clock.now()
            if left <= 0 and not self._turn.locked():
                break
            await self._clock.sleep(max(left, 1000))
        if self._running is not None:
            self._running.process.kill()
            self._running = None


async def _groups(wordpiece: WordPiece, texts: dict[int, str]) -> AsyncIterator[dict[int, _Tokens]]:
    """Yield texts as tokens, a few at a time. A text takes some milliseconds, and others come in between."""
    group: dict[int, _Tokens] = {}
    size = 0
    for number, text in texts.items():
        tokens = wordpiece.tokens(text, minilm.WINDOW_TOKENS)
        await asyncio.sleep(0)
        if group and (size + len(tokens) > _GROUP_TOKENS or len(group) == _GROUP_TEXTS):
            yield group
            group, size = {}, 0
        group[number] = tokens
        size += len(tokens)
    yield group


def _obstacle() -> str | None:
    if (trouble := obstacle(_WHAT, _ELSEWHERE)) is not None:
        return trouble
    missing = [name for name in ("gguf", "numpy") if find_spec(name) is None]
    if missing:
        return f"{_WHAT} needs {' and '.join(missing)}: {how_to_add('local')}, or {_ELSEWHERE}"
    return None


def _idle_processors() -> int:
    """Return how many threads should compute: what is idle, and one processor left for everything else.

    Threads wait for the slowest of them: on two busy processors, two took 600 ms where one took 8.
    """
    usable = threads()
    if not hasattr(os, "getloadavg"):  # Windows
        return 1
    return max(1, min(usable - 1, int(usable - os.getloadavg()[0])))


def _said(answers: list[dict[str, Any]]) -> str:
    return str(answers[0].get("error", "something else than vectors") if answers else "nothing")[:300]
