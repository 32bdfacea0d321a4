"""What can't be beaten on this machine, measured in the same run: so every figure is also a ratio.

python -m bench.references echo             a bare ASGI server that answers every request alike
python -m bench.references proxy MODEL_URL  one that only passes the model's stream on
"""

import asyncio
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Figure, timed
from bench.http1 import Connection
from bench.processes import cpu_seconds
from clew.wire.objects import RunObject

_BODY = b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'
_ROW = "x" * 1000


def flush_ms(folder: Path) -> float:
    """Return the median time of a durable write of 4 kB."""
    with tempfile.TemporaryFile(dir=folder) as file:
        times = []
        for _ in range(200):
            begun = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def commits_per_second(folder: Path, rows: int, seconds: float) -> float:
    """Return how many rows SQLite commits a second, so many in each commit, flushed as Clew does it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        connection = sqlite3.connect(Path(scratch) / "raw.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")
        done, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            connection.execute("BEGIN IMMEDIATE")
            for number in range(rows):
                connection.execute("INSERT INTO rows (id, body) VALUES (?, ?)", (f"{done + number}", _ROW))
            connection.execute("COMMIT")
            done += rows
        connection.close()
    return done / seconds


def codec_us() -> float:
    """Return the microseconds of encoding and decoding a run as JSON."""
    run = msgspec.json.encode(msgspec.convert(_RUN, RunObject))
    decoder, encoder = msgspec.json.Decoder(RunObject), msgspec.json.Encoder()
    begun = time.perf_counter()
    for _ in range(5000):
        encoder.encode(decoder.decode(run))
    return (time.perf_counter() - begun) / 5000 * 1e6


_RUN: Any = {
    "id": "run_" + "x" * 24,
    "created_at": 1,
    "assistant_id": "asst_" + "x" * 24,
    "thread_id": "thread_" + "x" * 24,
    "status": "completed",
    "started_at": 1,
    "expires_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": 2,
    "required_action": None,
    "last_error": None,
    "incomplete_details": None,
    "model": "stub",
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "max_completion_tokens": None,
    "max_prompt_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "response_format": "auto",
    "reasoning_effort": None,
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_token_details": {"cached_tokens": 0},
    },
}


@contextmanager
def _bare(*arguments: str) -> Iterator[tuple[int, int]]:
    """Run one of this module's servers; give its port and its process."""
    command = [sys.executable, "-m", "bench.references", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()


async def measured(folder: Path, model_url: str, times: int) -> list[Figure]:
    """Measure all references."""
    group = "references"
    figures = [
        Figure(group, "a durable write of 4 kB", flush_ms(folder), "ms"),
        Figure(group, "raw SQLite, one row a commit", commits_per_second(folder, 1, 1.0), "/s"),
        Figure(group, "raw SQLite, fifty rows a commit", commits_per_second(folder, 50, 1.0), "/s"),
        Figure(group, "JSON of a run, there and back", codec_us(), "us"),
    ]
    with _bare("echo") as (port, pid):
        connection = await Connection.open(port)
        before = cpu_seconds([pid])
        bare = await timed(lambda: connection.call("GET", "/"), times * 4)
        spent = (cpu_seconds([pid]) - before) / (times * 4) * 1000
        figures.append(Figure(group, "a bare ASGI answer", bare.p50, "ms"))
        figures.append(Figure(group, "a bare ASGI answer, CPU", spent, "ms"))
        await connection.close()
    with _bare("proxy", model_url) as (port, _):
        connection = await Connection.open(port)
        figures.append(
            Figure(group, "first word through a bare proxy", await _proxied(connection, times), "ms")
        )
        await connection.close()
    return figures


async def _proxied(connection: Connection, times: int) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        first = 0.0
        async for chunk in connection.stream("POST", "/", b'{"stream":true}'):
            if not first and b'"content": "word' in chunk:
                first = time.perf_counter()
        taken.append(first - begun)
    return statistics.median(taken) * 1000


# --- the servers -----------------------------------------------------------------------------------


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})


class _Proxy:
    def __init__(self, model_url: str) -> None:
        self._url = model_url + "/chat/completions"
        self._session: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        body = (await receive())["body"]
        async with self._session.post(self._url, data=body) as answer:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until killed; print the port."""
    import uvicorn

    app = _echo if sys.argv[1] == "echo" else _Proxy(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    print(listener.getsockname()[1], flush=True)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
