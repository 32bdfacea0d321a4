"""The process that holds the weights: llama.cpp, asked over stdin, answering over stdout.

Started by its path, with ``-P``, and without any import from Clew, so that it starts in no time. One
JSON object a line. In: the set-up first, then ``{"id", "kind", "body"}`` or ``{"id", "cancel": true}``.
Out: ``{"ready": true}`` or ``{"failed": text}``, then ``{"id", "chunk"}``... and ``{"id", "end": true}``.

It ends when stdin ends, so it never outlives its parent, however that one died.
"""

import importlib
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO

Json = dict[str, Any]


class Out:
    """Lines to the parent, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Json) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def private_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of C++ code that prints."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(pipe, "wb")


def open_server(setup: Json) -> Any:
    """Load the weights; an xllamacpp server."""
    xllamacpp = importlib.import_module("xllamacpp")  # ships no types
    params = xllamacpp.CommonParams()
    params.model.path = setup["path"]
    params.n_ctx = setup["context_tokens"] * setup["slots"]
    params.n_parallel = setup["slots"]
    params.n_batch = params.n_ubatch = setup["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = setup["threads"]
    # Threads that wait for each other sleep. By default they spin, and on a busy machine that takes the time
    # from those whom they wait for: an answer was four times as slow.
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.cache_ram_mib = setup["cache_mib"]
    params.warmup = False
    if setup["embedding"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.verbosity = -1
    # xllamacpp opens a listener on the loopback interface whether one wants it or not. Nobody uses
    # it here.
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [setup["api_key"]]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    return xllamacpp.Server(params)


class Worker:
    """Runs each request in a thread of its own; llama.cpp shares its slots among them."""

    def __init__(self, server: Any, out: Out) -> None:
        self._handlers = {
            "text": server.handle_completions,
            "chat": server.handle_chat_completions,
            "embeddings": lambda body, take: take(server.handle_embeddings(body)),
        }
        self._out = out
        self._cancelled: dict[int, threading.Event] = {}

    def serve(self, lines: BinaryIO) -> None:
        for line in lines:
            message = json.loads(line)
            if message.get("cancel"):
                event = self._cancelled.get(message["id"])
                if event is not None:
                    event.set()
                continue
            self._cancelled[message["id"]] = threading.Event()
            threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def _answer(self, message: Json) -> None:
        number, cancelled = message["id"], self._cancelled[message["id"]]

        def take(chunk: Json) -> bool:
            if not cancelled.is_set():
                self._out.send({"id": number, "chunk": chunk})
            return cancelled.is_set()

        try:
            self._handlers[message["kind"]](message["body"], take)
        except Exception as error:  # whatever C++ throws, the caller hears of it
            self._out.send({"id": number, "chunk": {"error": {"message": str(error)}}})
        finally:
            self._cancelled.pop(number, None)
            self._out.send({"id": number, "end": True})


def main() -> None:
    """Load, serve, and leave without ceremony: llama.cpp's threads may be at work still."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    out = Out(private_stdout())
    lines = sys.stdin.buffer
    try:
        server = open_server(json.loads(lines.readline()))
    except Exception as error:
        out.send({"failed": f"{type(error).__name__}: {error}"})
    else:
        out.send({"ready": True})
        with suppress(OSError, ValueError):  # the parent is gone
            Worker(server, out).serve(lines)
    os._exit(0)


if __name__ == "__main__":
    main()
