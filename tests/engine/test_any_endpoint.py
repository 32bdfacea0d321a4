"""Whatever an endpoint sends: the run ends as it may, in time, and no traceback reaches the log.

Runs of one thread, one after another, on a real worker; the endpoint is a bare socket.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.records import Run
from clew.core.states import WaitsFor
from clew.core.tools import FunctionDefinition, FunctionTool
from tests.support import store
from tests.support.database import Place, miscounted_threads, new_database
from tests.support.site import Site, site

LONGEST = 15.0
"""Seconds that a run may take here, on a machine that has other things to do."""

_END = re.compile(rb'\[DONE\]|(?:finish|stop)_reason"\s*:\s*[^n\s]')
_any = settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))


class BareEndpoint:
    """Answers each request with the same bytes, in pieces, and hangs up or does not."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.stays_open = False
        self.url = ""

    async def stop(self) -> None:
        """Take no more connections."""
        self._server.close()

    async def start(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/v1"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if self.stays_open:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Bench:
    """A worker and its endpoint, in a loop of their own."""

    def __init__(self, portal: BlockingPortal, here: Site, endpoint: BareEndpoint) -> None:
        self._portal, self._here, self._endpoint = portal, here, endpoint
        self._runs = 1

    def answer(self, pieces: list[bytes], *, stays_open: bool, model: str) -> Run:
        """Have a run answered so by a model; return how it ended."""
        return self._portal.call(self._answer, pieces, stays_open, model)

    async def _answer(self, pieces: list[bytes], stays_open: bool, model: str) -> Run:
        self._endpoint.pieces, self._endpoint.stays_open = pieces, stays_open
        self._here.clock.advance(60_000)
        self._runs += 1
        run_id, config = f"run_{self._runs}", replace(store.run().config, model=model, tools=[LOOK])
        await self._here.begin(run_id, config=config, expires_at=store.NOW + 10**9)
        run = await self._here.advance(run_id)
        if run.waits_for == WaitsFor.CLIENT:
            await self._here.cancel(run_id)
        assert not (await self._here.run(run_id)).status.live
        return run


LOOK = FunctionTool(function=FunctionDefinition(name="look"))


@pytest.fixture(scope="module")
def database_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return new_database(Path(tmp_path_factory.mktemp("any")) / "clew.db")


@pytest.fixture(scope="module")
def bench(database_place: Place) -> Iterator[Bench]:
    with start_blocking_portal() as portal:
        endpoint = portal.call(_started)
        patient = {"url": endpoint.url, "retry_for": 0, "timeout": 30}
        impatient = patient | {"timeout": 0.3}
        with portal.wrap_async_context_manager(
            site(database_place, default=patient, impatient=impatient)
        ) as here:
            portal.call(here.cancel)
            yield Bench(portal, here, endpoint)
        portal.call(endpoint.stop)
    assert miscounted_threads(database_place) == []


async def _started() -> BareEndpoint:
    endpoint = BareEndpoint()
    await endpoint.start()
    return endpoint


@pytest.fixture(scope="module")
def tracebacks() -> Iterator[list[logging.LogRecord]]:
    """The records that have an exception with them."""
    found: list[logging.LogRecord] = []

    class Finder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                found.append(record)

    finder = Finder()
    logging.getLogger().addHandler(finder)
    yield found
    logging.getLogger().removeHandler(finder)


# --- what it sends --------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def event(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def frame(delta: Any, finish: Any = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def piece(arguments: str, **more: Any) -> Any:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments, **more}}]}


SPOKEN = [frame({"role": "assistant", "content": ""}), *(frame({"content": text}) for text in "Left.")]
CALLED = [frame(piece("", name="look")), frame(piece('{"at": ')), frame(piece('"n\u00e4he"}'))]
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
DONE = b"data: [DONE]\n\n"
WHOLE = [
    [*SPOKEN, frame({}, "stop"), USAGE, DONE],
    [*CALLED, frame({}, "tool_calls"), USAGE, DONE],
    [*SPOKEN, *CALLED, frame({}, "stop"), DONE],
    [frame({"reasoning_content": "Hm."}), *SPOKEN, DONE],
]

KEYS = st.sampled_from(
    (
        "choices", "index", "delta", "message", "content", "text", "role", "tool_calls", "function", "name",
        "arguments", "id", "type", "finish_reason", "usage", "prompt_tokens", "error", "code", "refusal",
        "function_call", "reasoning_content", "reasoning_details", "detail", "extra_content", "done",
    )
)  # fmt: skip
WORDS = st.sampled_from(
    ("", " ", "stop", "length", "error", "look", "{}", "{", '"', "0", "\0", "\ud83d", "\u00e4")
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def _lenient(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


ODD_FRAMES = st.one_of(
    JSON.map(lambda value: b"data: " + _lenient(value) + b"\n\n"),
    st.tuples(JSON, JSON).map(
        lambda both: (
            b"data: " + _lenient({"choices": [{"delta": both[0], "finish_reason": both[1]}]}) + b"\n\n"
        )
    ),
    st.tuples(JSON, JSON).map(
        lambda both: (
            b"data: "
            + _lenient({"choices": [{"delta": {"tool_calls": both[0], "content": both[1]}}]})
            + b"\n\n"
        )
    ),
    JSON.map(lambda value: b"data: " + _lenient({"choices": [], "usage": value}) + b"\n\n"),
    JSON.map(lambda value: b"event: error\ndata: " + _lenient(value) + b"\n\n"),
    st.sampled_from(
        (b": x\n\n", b"\n", b"\r", b"data:\n\n", b"data: [DONE]\n\n", b"error: x\n", b"<html>", b"{\n")
    ),
    st.binary(max_size=12),
)


OFTEN_CLOSED = st.sampled_from((*(False,) * 7, True))


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    """Draw the events of an answer with some of them lost, doubled, moved, or others among them."""
    events = list(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(events)))
        match draw(st.sampled_from(("add", "add", "drop", "double", "move"))):
            case "add":
                events.insert(at, draw(ODD_FRAMES))
            case "drop":
                events[at : at + 1] = []
            case "double":
                events[at:at] = events[at : at + 1]
            case "move" if events:
                events.insert(at, events.pop(draw(st.integers(0, len(events) - 1))))
    return events


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[bytes], bool]:
    """Draw the pieces of a body, perhaps broken off, and whether the connection stays open."""
    body = b"".join(draw(mutated()))
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    size = draw(st.sampled_from((1, 7, 64, 10**6)))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return pieces, draw(OFTEN_CLOSED)


# --- what comes of it -------------------------------------------------------------------------------------


def check(
    bench: Bench,
    tracebacks: list[logging.LogRecord],
    sent: list[bytes],
    *,
    stays_open: bool = False,
    model: str = "default",
) -> Run:
    """Have a run answered so, and hold it to what must be true of any."""
    tracebacks.clear()
    began = time.monotonic()
    run = bench.answer(sent, stays_open=stays_open, model=model)
    assert time.monotonic() - began < LONGEST
    assert run.status in ("completed", "failed", "incomplete", "requires_action")
    if run.status != "failed":
        assert _END.search(b"".join(sent))
    else:
        assert run.last_error is not None
        assert run.last_error.message
    assert tracebacks == []
    return run


@_any
@given(cut())
@example(([b"".join(WHOLE[0])], True))
def test_any_stream(
    bench: Bench, tracebacks: list[logging.LogRecord], drawn: tuple[list[bytes], bool]
) -> None:
    pieces, stays_open = drawn
    model = "impatient" if stays_open else "default"
    check(bench, tracebacks, [HEAD, *pieces], stays_open=stays_open, model=model)


@_any
@given(
    st.sampled_from(
        (b"", HEAD, b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    ),
    st.lists(st.binary(max_size=40) | ODD_FRAMES, max_size=4),
)
def test_any_bytes(
    bench: Bench, tracebacks: list[logging.LogRecord], head: bytes, pieces: list[bytes]
) -> None:
    check(bench, tracebacks, [head, *pieces])


@_any
@given(
    st.sampled_from((200, 201, 204, 301, 400, 404, 413, 422, 429, 500, 503, 529)),
    st.lists(ODD_FRAMES, max_size=3),
)
def test_any_status(
    bench: Bench, tracebacks: list[logging.LogRecord], status: int, pieces: list[bytes]
) -> None:
    head = HEAD.replace(b"200 OK", b"%d X" % status)
    run = check(bench, tracebacks, [head, *pieces])
    assert status < 300 or run.status == "failed"


@_any
@given(st.sampled_from(WHOLE[:3]), st.data())
def test_an_answer_that_is_cut_before_its_end_is_never_complete(
    bench: Bench, tracebacks: list[logging.LogRecord], events: list[bytes], data: st.DataObject
) -> None:
    body = b"".join(events)
    ends = _END.search(body)
    assert ends is not None
    at, stays_open = data.draw(st.integers(0, ends.start())), data.draw(OFTEN_CLOSED)
    model = "impatient" if stays_open else "default"
    run = check(bench, tracebacks, [HEAD, body[:at]], stays_open=stays_open, model=model)
    assert run.status == "failed"


@_any
@given(st.sampled_from(WHOLE), st.sampled_from((1, 2, 3, 5, 50, 500)), st.booleans())
def test_the_cuts_change_nothing(
    bench: Bench, tracebacks: list[logging.LogRecord], events: list[bytes], size: int, stays_open: bool
) -> None:
    body = b"".join(events)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    run = check(bench, tracebacks, [HEAD, *pieces], stays_open=stays_open)
    assert run.status == ("requires_action" if CALLED[0] in events else "completed")
