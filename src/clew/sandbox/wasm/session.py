"""A session: one Deno process with one Python in it, and what may be believed of its replies.

Code in it can forge each of them. So a reply counts for the request that it names and no other, has bounds,
and the first that makes no sense ends the session.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from clew.ids import Ids
from clew.sandbox.ending import with_ending, with_stop
from clew.sandbox.frames import MOST_CODE, plain
from clew.sandbox.sandbox import (
    LONGEST_CELL,
    MOST_DISK,
    MOST_FILES,
    MOST_LOGS,
    Ended,
    Left,
    Ran,
    SandboxTrouble,
)
from clew.sandbox.wasm.deno import HERE, Wall
from clew.sandbox.wasm.usage import usage_of

MOST_MEMORY = 1280 * 1024 * 1024
"""Bytes that a session's process may hold: Python's 512 MB, as many for files, and Deno itself."""

_LONGEST_START = 120.0  # seconds; four on a machine that does nothing else, without an image
_LONGEST_PIECE = 30.0  # seconds, for a piece of a file
_TO_STOP = 0.7  # seconds that a cell may go on when it is called off
_WATCH_EVERY, _WATCH_IDLE_EVERY = 0.2, 1.0  # seconds
_MOST_IDLE = 5.0  # seconds that a session may compute while nobody asked it to
_PIECE = 1024 * 1024  # bytes
_SIZES = struct.Struct(">II")
_MOST_HEAD = 64 * 1024  # bytes
_KERNEL = HERE / "kernel.py"
_CUT = f"\n[Only the first {MOST_LOGS // 1024} KiB of what was printed are shown.]\n"

_OVER = "The code's session is over, and its variables are gone."


class _Reply(Struct, frozen=True):
    """What the runner says: see runner.js."""

    id: str
    kind: Literal["log", "done", "refused", "flood", "broken"]
    raised: bool = False
    left: Annotated[
        list[tuple[str, Annotated[int, Meta(ge=0, le=MOST_DISK)]]], Meta(max_length=MOST_FILES)
    ] = []
    unseen: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    full: bool = False


_REPLIES = msgspec.json.Decoder(_Reply)


class _Over(Exception):
    """The session ended while something was asked of it."""

    def __init__(self, why: Ended) -> None:
        super().__init__(why)
        self.why: Ended = why


class WasmSession:
    """See :class:`clew.sandbox.sandbox.Session`. Made by :meth:`start`."""

    def __init__(self, process: asyncio.subprocess.Process, ids: Ids) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._ids = ids
        self._one_at_a_time = asyncio.Lock()
        self._why: Ended | None = None
        self._asked = asyncio.Event()
        self._requests = 0
        self._number = 0
        self._told = True
        self._watch = asyncio.create_task(self._watched())

    @classmethod
    async def start(cls, wall: Wall, ids: Ids) -> "WasmSession":
        """Start a process, and wait until there is Python in it.

        Raises:
            SandboxTrouble: it did not start.
        """
        kernel = await asyncio.to_thread(_KERNEL.read_bytes)
        self = await cls._opened(wall, ids)
        bounds = {"disk": MOST_DISK, "printed": MOST_LOGS, "left": MOST_FILES}
        await self._begun("boot", kernel, {**wall.places(), **bounds})
        return self

    @classmethod
    async def image(cls, wall: Wall, ids: Ids) -> bytes:
        """Return what Python's memory holds when it has started: sessions that get it start ten times faster.

        Raises:
            SandboxTrouble: it did not start.
        """
        self = await cls._opened(wall, ids)
        try:
            await self._begun("image", b"", wall.places())
            image = bytearray()
            while True:
                _, piece = await self._piece("piece", at=len(image), size=_PIECE)
                image += piece
                if not piece:
                    return bytes(image)
        finally:
            await self.end()

    @classmethod
    async def _opened(cls, wall: Wall, ids: Ids) -> "WasmSession":
        try:
            process = await asyncio.create_subprocess_exec(
                *wall.command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=wall.environment(),
                cwd=wall.folder,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxTrouble(f"Deno could not be started: {error.strerror}") from None
        return cls(process, ids)

    async def _begun(self, do: str, body: bytes, asked: dict[str, Any]) -> None:
        try:
            reply, _ = await self._one(do, body, _LONGEST_START, **asked)
            begun = reply.kind == "done"
        except _Over:
            begun = False
        except BaseException:
            await self.end()
            raise
        if not begun:
            await self.end()
            raise SandboxTrouble("Python did not start in Deno.")

    @property
    def pid(self) -> int:
        """The process's number in the operating system."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether it has ended, by whatever."""
        return self._why is not None or self._process.returncode is not None

    async def put(self, name: str, source: Path) -> None:
        """See :meth:`clew.sandbox.sandbox.Session.put`."""
        if not plain(name):
            raise SandboxTrouble("A file for code needs a plain name.")
        async with self._one_at_a_time:
            with await asyncio.to_thread(source.open, "rb") as file:
                piece, first = await asyncio.to_thread(file.read, _PIECE), True
                while True:
                    after = await asyncio.to_thread(file.read, _PIECE)
                    asked = {"name": name, "first": first, "last": not after}
                    reply, _ = await self._piece("put", piece, **asked)
                    if reply.kind != "done":
                        raise _no_room()
                    if not after:
                        return
                    piece, first = after, False

    async def take(self, name: str) -> AsyncIterator[bytes]:
        """See :meth:`clew.sandbox.sandbox.Session.take`."""
        if not plain(name):
            raise _no_file()
        at = 0
        while True:
            async with self._one_at_a_time:
                reply, piece = await self._piece("take", name=name, at=at, size=_PIECE)
            if reply.kind != "done":
                raise _no_file()
            at += len(piece)
            if not piece or at > MOST_DISK:
                return
            yield piece

    async def run(self, code: str, seconds: float = LONGEST_CELL) -> Ran:
        """See :meth:`clew.sandbox.sandbox.Session.run`."""
        sent = code.encode("utf-8", "replace")
        if len(sent) > MOST_CODE:
            return Ran(logs=f"The code is longer than {MOST_CODE} bytes.\n", raised=True)
        async with self._one_at_a_time:
            if self.over:
                raise SandboxTrouble(_OVER)
            cell = asyncio.create_task(self._cell(sent, seconds + _TO_STOP))
            try:
                late = not (await asyncio.wait({cell}, timeout=seconds))[0]
                if late:
                    await self._stop(cell, "time")
            except asyncio.CancelledError:
                await self._stop(cell, "cancelled")
                self._told = False  # what it left is told after the next one
                raise
            ran = await cell
        if late and ran.ended is None:
            return msgspec.structs.replace(ran, logs=with_stop(ran.logs, seconds), raised=True)
        return ran

    async def end(self) -> None:
        """See :meth:`clew.sandbox.sandbox.Session.end`."""
        self._kill("cancelled")
        self._watch.cancel()
        async with self._one_at_a_time:  # whoever reads now reads the end
            await asyncio.wait([self._watch])
            self._stdin.close()
            await self._drain()
            await self._process.wait()

    async def _cell(self, code: bytes, seconds: float) -> Ran:
        logs = bytearray()
        told, self._told = self._told, True
        self._number += 1
        try:
            reply, _ = await self._one("run", code, seconds, logs, number=self._number, told=told)
            if reply.kind != "done":
                raise self._gone("died")
        except _Over as over:
            return Ran(logs=with_ending(_text(logs), over.why), raised=True, ended=over.why)
        # The runner knows less of what can't be shown than we do: such a file stays inside.
        left = tuple(Left(name, size) for name, size in reply.left if plain(name))
        return Ran(logs=_text(logs), raised=reply.raised, left=left, unseen=reply.unseen)

    async def _stop(self, cell: "asyncio.Task[Ran]", why: Ended) -> None:
        """Interrupt a cell; if that is of no use, end the session."""
        try:
            self._stdin.write(_frame({"do": "interrupt"}))
            await asyncio.wait({cell}, timeout=_TO_STOP)
        finally:
            if not cell.done():
                self._kill(why)
        await asyncio.wait({cell})

    async def _piece(self, do: str, body: bytes = b"", **asked: Any) -> tuple[_Reply, bytes]:
        try:
            return await self._one(do, body, _LONGEST_PIECE, **asked)
        except _Over:
            raise SandboxTrouble(_OVER) from None
        except asyncio.CancelledError:  # its reply would stand before the next one's
            self._kill("cancelled")
            raise

    async def _one(
        self, do: str, body: bytes, seconds: float, logs: bytearray | None = None, **asked: Any
    ) -> tuple[_Reply, bytes]:
        """Ask for one thing, and return the last reply to it.

        Raises:
            _Over: the session was over, or is now.
        """
        request = self._ids.new("")
        self._requests += 1
        self._asked.set()
        try:
            async with asyncio.timeout(seconds):
                await self._send(do, request, body, **asked)
                while True:
                    reply, data = await self._receive(request)
                    if reply.kind == "flood":
                        raise self._gone("output")
                    if reply.kind == "broken":
                        raise self._gone("died")
                    if reply.kind != "log":
                        return reply, data
                    if logs is None or len(logs) > MOST_LOGS:
                        raise self._gone("output")
                    logs += data
        except TimeoutError:
            raise self._gone("time") from None
        except (OSError, EOFError, msgspec.DecodeError, ValueError):
            raise self._gone("died") from None
        finally:
            self._asked.clear()

    async def _send(self, do: str, request: str, body: bytes = b"", **asked: Any) -> None:
        self._stdin.write(_frame({"do": do, "id": request} | asked, body))
        await self._stdin.drain()

    async def _receive(self, request: str) -> tuple[_Reply, bytes]:
        head, body = _SIZES.unpack(await self._stdout.readexactly(_SIZES.size))
        if head > _MOST_HEAD or body > _PIECE + 1:
            raise self._gone("died")
        reply = _REPLIES.decode(await self._stdout.readexactly(head))
        data = await self._stdout.readexactly(body)
        if reply.id != request:
            raise self._gone("died")
        return reply, data

    def _gone(self, why: Ended) -> _Over:
        self._kill(why)
        assert self._why is not None
        return _Over(self._why)

    def _kill(self, why: Ended) -> None:
        """End the process at once. The first reason counts."""
        self._why = self._why or why
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _watched(self) -> None:
        """End the process if it holds too much, or computes while nobody has asked it to."""
        idle_since, requests = 0.0, 0
        while not self.over:
            await self._until_next_look()
            usage = await asyncio.to_thread(usage_of, self.pid)
            if usage is None:
                continue
            if usage.memory > MOST_MEMORY:
                self._kill("memory")
            if self._asked.is_set() or requests != self._requests:
                idle_since, requests = usage.computed, self._requests
            elif usage.computed - idle_since > _MOST_IDLE:
                self._kill("died")

    async def _until_next_look(self) -> None:
        if self._asked.is_set():
            await asyncio.sleep(_WATCH_EVERY)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _WATCH_IDLE_EVERY)

    async def _drain(self) -> None:
        """Read what is left, so that the pipe is closed."""
        with suppress(OSError, ValueError):
            while await self._stdout.read(_PIECE):
                pass


def _frame(asked: dict[str, Any], body: bytes = b"") -> bytes:
    head = msgspec.json.encode(asked)
    return _SIZES.pack(len(head), len(body)) + head + body


def _text(logs: bytearray) -> str:
    """Return what a cell printed. NUL is replaced: PostgreSQL can't keep it."""
    text = logs[:MOST_LOGS].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return text + (_CUT if len(logs) > MOST_LOGS else "")


def _no_room() -> SandboxTrouble:
    return SandboxTrouble(f"There is no room for the file: a session has {MOST_DISK // 1024 // 1024} MB.")


def _no_file() -> SandboxTrouble:
    return SandboxTrouble("There is no such file any more.")
