"""The parent's end of the process that holds the weights.

It is a process, not a thread, because xllamacpp keeps the interpreter's lock while it loads (seconds in
which no event loop would turn), because a failed assertion in llama.cpp ends the process it happens in,
and because a process can be ended at any moment, whatever it is computing.
"""

import asyncio
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, TypeAlias

from msgspec import Struct

from clew.core.options import Json

Kind: TypeAlias = Literal["text", "chat", "embeddings"]

_LOAD_TIMEOUT = 300.0  # seconds; a slow disk may need many of them
_LOOK_EVERY = 5.0
_WORKER = Path(__file__).with_name("worker.py")


class WorkerError(Exception):
    """The process could not be started, or is gone."""


class Setup(Struct, frozen=True, kw_only=True):
    """What the process is told at its start."""

    path: Path
    context_tokens: int
    """Tokens one request may use, prompt and answer together."""
    slots: int
    """Requests computed at once."""
    threads: int
    api_key: str
    """Closes the listener that xllamacpp opens on the loopback interface."""
    batch: int = 256
    """Prompt tokens computed between two looks at whether the request was cancelled."""
    cache_mib: int = 256
    """Memory for prompts computed earlier."""
    embedding: bool = False
    """Whether texts become vectors (the mean of their tokens' last states) instead of answers. A text is then
    computed at once, so ``batch`` bounds its tokens."""
    silence: float = 120.0
    """Seconds without a word from the process, with requests under way, after which it is ended."""


class _Call:
    """Where the reader thread puts what arrives for one request."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.arrived: asyncio.Queue[Json | None] = asyncio.Queue()
        self.ended = asyncio.Event()

    def put(self, chunk: Json | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting
            self.loop.call_soon_threadsafe(self._take, chunk)

    def _take(self, chunk: Json | None) -> None:
        self.arrived.put_nowait(chunk)
        if chunk is None:
            self.ended.set()


class LlamaProcess:
    """A running worker. Start it with :meth:`start`; its methods may be used from any event loop."""

    def __init__(self, process: "subprocess.Popen[bytes]", stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._process, self._stdin, self._stdout = process, stdin, stdout
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._lock = threading.Lock()
        self._outbox: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._heard = time.monotonic()
        self._silence = 0.0
        self.alive = True

    @property
    def pid(self) -> int:
        """The process's number in the operating system."""
        return self._process.pid

    @classmethod
    def start(cls, setup: Setup) -> "LlamaProcess":
        """Start a worker and load the weights. Blocks for seconds; run it in a thread.

        Raises:
            WorkerError: with what llama.cpp said, as far as it said anything.
        """
        process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # llama.cpp's log: nothing a user could act on
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self = cls(process, process.stdin, process.stdout)
        self._silence = setup.silence
        timer = threading.Timer(_LOAD_TIMEOUT, process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._write(_fields(setup))
            line = self._stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        answer = json.loads(line) if line else {"failed": f"it ended with code {process.wait()}"}
        if "failed" in answer:
            self.kill()
            self._stdin.close()
            self._stdout.close()
            raise WorkerError(str(answer["failed"]))
        for target in (self._read_all, self._write_all):
            threading.Thread(target=target, name="clew-embedded", daemon=True).start()
        return self

    async def call(self, kind: Kind, body: Json) -> AsyncGenerator[Json, None]:
        """Ask llama.cpp; the chunks of its answer. Closing the generator cancels the request.

        Raises:
            WorkerError: the process died.
        """
        number, call = self._register()
        try:
            self._outbox.put({"id": number, "kind": kind, "body": body})
            while (chunk := await self._next(call)) is not None:
                yield chunk
            if not self.alive:
                raise WorkerError("the model's process ended unexpectedly")
        finally:
            if not call.ended.is_set():
                self._outbox.put({"id": number, "cancel": True})

    async def _next(self, call: _Call) -> Json | None:
        while True:
            try:
                return await asyncio.wait_for(call.arrived.get(), min(_LOOK_EVERY, self._silence))
            except TimeoutError:
                # Waiting for a slot is no silence: then others' requests are heard of.
                if time.monotonic() - self._heard > self._silence:
                    self.kill()

    def _register(self) -> tuple[int, _Call]:
        number, call = next(self._numbers), _Call()
        with self._lock:
            if not self.alive:
                raise WorkerError("the model's process ended unexpectedly")
            if not self._calls:
                self._heard = time.monotonic()
            self._calls[number] = call
        return number, call

    def kill(self) -> None:
        """End the process at once; requests under way fail. May be called twice."""
        self._process.kill()
        self._process.wait()
        self._bury()

    def _read_all(self) -> None:
        with self._stdout:
            for line in self._stdout:
                self._heard = time.monotonic()
                self._hand_over(json.loads(line))
        self._outbox.put(None)
        self.kill()

    def _hand_over(self, message: Json) -> None:
        if message.get("end"):
            with self._lock:
                call = self._calls.pop(message["id"], None)
            if call is not None:
                call.put(None)
        elif (call := self._calls.get(message["id"])) is not None:
            call.put(message["chunk"])

    def _bury(self) -> None:
        with self._lock:
            self.alive = False
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.put(None)

    def _write_all(self) -> None:
        with suppress(OSError), self._stdin:  # the reader notices if the process is gone
            while (message := self._outbox.get()) is not None:
                self._write(message)

    def _write(self, message: Json) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")
        self._stdin.flush()


def _fields(setup: Setup) -> Json:
    fields = {name: getattr(setup, name) for name in setup.__struct_fields__}
    return fields | {"path": str(setup.path)}
