"""A session on a kernel of ours, whatever walls it off: asks over a socket, and reads what cells print."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from msgspec.structs import replace

from clew.sandbox.ending import with_ending, with_stop
from clew.sandbox.frames import MOST_CODE, PIECE, Nonsense, Reply, left_of, plain, reply, request
from clew.sandbox.output import Output
from clew.sandbox.sandbox import (
    LONGEST_CELL,
    MOST_DISK,
    MOST_FILES,
    MOST_IMAGES,
    Ended,
    Left,
    Plot,
    Ran,
    SandboxTrouble,
)

PNG = b"\x89PNG\r\n\x1a\n"
_PATIENCE = 0.7
"""Seconds that a cell has to stop when it is interrupted."""

_START = 20.0
"""Seconds until a kernel must have said that it is ready."""

_FILE = 60.0
"""Seconds for one piece of a file."""


class KernelSession:
    """See :class:`clew.sandbox.sandbox.Session`.

    ``full`` tells whether memory ran out; ``gone`` is called once, when everything of it has ended.
    """

    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: Output,
        full: Callable[[], bool],
        gone: Callable[["KernelSession"], None],
    ) -> None:
        self._process = process
        self._reader, self._writer, self._output = reader, writer, output
        self._full, self._gone = full, gone
        self._watch: asyncio.Task[None] | None = None
        self._number = 0
        self._ended: Ended | None = None
        self._turn = asyncio.Lock()
        self._untold: dict[str, Left] = {}
        self._ending: asyncio.Task[None] | None = None
        output.flooded = lambda: self.kill("output")

    @property
    def over(self) -> bool:
        """Whether it has ended, by whatever."""
        return self._ended is not None or self._process.returncode is not None

    @property
    def pid(self) -> int:
        """The process that everything in it descends from."""
        return self._process.pid

    def watch(self, watching: Coroutine[None, None, None]) -> None:
        """Let something watch over it, as long as it lives."""
        self._watch = asyncio.create_task(watching)

    @property
    def heard(self) -> str:
        """What the cell that runs, or the last one, has printed so far."""
        return self._output.text()

    async def ready(self) -> None:
        """Wait until the kernel is.

        Raises:
            SandboxTrouble: it doesn't get so far; with what was said on the way.
        """
        try:
            async with asyncio.timeout(_START):
                said, _ = await reply(self._reader)
            if said.id or said.what != "ready":
                raise Nonsense("not ready")
        except (TimeoutError, OSError, EOFError, Nonsense):
            self.kill("died")
            self._output.take_rest()
            why = self._output.text().strip()[-500:]
            await self.end()
            raise SandboxTrouble(f"The sandbox did not start: {why or 'it said nothing'}") from None

    async def put(self, name: str, source: Path) -> None:
        """Copy a file in."""
        if not plain(name):
            raise SandboxTrouble(f"{name!r} is no plain name of a file.")
        async with self._turn:
            self._living()
            with await asyncio.to_thread(source.open, "rb") as file:
                first, last = True, False
                while not last:
                    piece = await asyncio.to_thread(file.read, PIECE)
                    last = len(piece) < PIECE
                    said, _ = await self._ask("put", piece, name, "01"[first], "01"[last])
                    if said.what != "done":
                        raise SandboxTrouble(f"{name} can't be put into the sandbox: {_why(said)}")
                    first = False

    async def take(self, name: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file."""
        if not plain(name):
            raise SandboxTrouble(f"{name!r} is no plain name of a file.")
        async with self._turn:
            self._living()
            size, first = 0, True
            while True:
                said, piece = await self._ask("take", b"", name, "01"[first])
                size += len(piece)
                if said.what != "done" or size > MOST_DISK:
                    raise SandboxTrouble(f"{name} can't be taken out: {_why(said)}")
                if not piece:
                    return
                first = False
                yield piece

    async def run(self, code: str, seconds: float = LONGEST_CELL) -> Ran:
        """Run a cell."""
        sent = code.encode("utf-8", "replace")
        if len(sent) > MOST_CODE:
            return Ran(logs=f"The code is longer than {MOST_CODE} bytes.\n", raised=True)
        async with self._turn:
            self._living()
            self._output.begin()
            self._number += 1
            cell = asyncio.create_task(self._cell(self._number, sent))
            try:
                late = not (await asyncio.wait({cell}, timeout=seconds))[0]
                if late:
                    await self._stop(cell, "time")
            except asyncio.CancelledError:
                await self._stop(cell, "cancelled")
                self._untold.update({each.name: each for each in cell.result().left})
                raise
            ran = self._with_untold(await cell)
            if late and ran.ended is None:
                return Ran(
                    logs=with_stop(ran.logs, seconds),
                    raised=True,
                    plots=ran.plots,
                    left=ran.left,
                    unseen=ran.unseen,
                )
            return ran

    def _with_untold(self, ran: Ran) -> Ran:
        """Add what cells have left that were called off: nobody was told of it, and it is there."""
        if not self._untold or ran.ended is not None:
            return ran
        left = self._untold | {each.name: each for each in ran.left}
        self._untold = {}
        kept = tuple(left.values())[:MOST_FILES]
        return replace(ran, left=kept, unseen=ran.unseen + len(left) - len(kept))

    async def _stop(self, cell: asyncio.Task[Ran], why: Ended) -> None:
        """Interrupt a cell; if that is of no use, end the session."""
        try:
            with contextlib.suppress(OSError):
                self._writer.write(request("interrupt", self._number))
            await asyncio.wait({cell}, timeout=_PATIENCE)
        finally:
            if not cell.done():
                self.kill(why)
        await asyncio.wait({cell})

    async def _cell(self, number: int, code: bytes) -> Ran:
        plots: list[Plot] = []
        try:
            self._writer.write(request("run", number, code))
            while True:
                said, body = await reply(self._reader)
                if said.id != number:
                    raise Nonsense("an answer to something else")
                if said.what == "done":
                    raised, left, unseen = left_of(said)
                    break
                if said.what != "plot" or len(plots) == MOST_IMAGES or not body.startswith(PNG):
                    raise Nonsense("no plot")
                plots.append(Plot(body))
        except (Nonsense, OSError, EOFError):
            self.kill("died")
            await self.end()
            return self._last(plots)
        self._output.take_rest()
        logs = self._output.text()
        return Ran(logs=logs, raised=raised, plots=tuple(plots), left=left, unseen=unseen)

    def _last(self, plots: list[Plot]) -> Ran:
        """What is known of a cell that ended the session."""
        self._output.take_rest()
        ended = self._ended or "died"
        return Ran(logs=with_ending(self._output.text(), ended), raised=True, plots=tuple(plots), ended=ended)

    async def _ask(self, do: str, body: bytes = b"", *more: str) -> tuple[Reply, bytes]:
        """Send a request and return its answer; whatever else comes ends the session."""
        self._number += 1
        try:
            async with asyncio.timeout(_FILE):
                self._writer.write(request(do, self._number, body, *more))
                await self._writer.drain()
                said, data = await reply(self._reader)
            if said.id != self._number or said.what not in {"done", "trouble"}:
                raise Nonsense("an answer to something else")
        except (Nonsense, OSError, EOFError, TimeoutError) as error:
            self.kill("died")
            raise SandboxTrouble("The sandbox ended.") from error
        except asyncio.CancelledError:
            # An answer is on its way that nobody waits for: the next would be taken for it.
            self.kill("cancelled")
            raise
        return said, data

    def _living(self) -> None:
        if self.over:
            raise SandboxTrouble("The sandbox has ended.")

    def kill(self, why: Ended) -> None:
        """End it at once, for a reason; the first one stays."""
        if self._ended is None:
            self._ended = "memory" if why == "died" and self._full() else why
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def end(self) -> None:
        """End it, with everything that runs in it."""
        self.kill("cancelled")
        if self._ending is None:
            self._ending = asyncio.create_task(self._bury())
        await asyncio.shield(self._ending)

    async def _bury(self) -> None:
        await self._process.wait()
        if self._watch is not None:
            self._watch.cancel()
        self._writer.close()
        self._output.close()
        await asyncio.to_thread(self._gone, self)


def _why(said: Reply) -> str:
    """Why a file can't be had; a kernel that says nothing has sent too much."""
    why = " ".join(said.more)[:200]
    return why if said.what == "trouble" and why.isprintable() else "it is too large"
