"""Bodies that are no answers: what an endpoint refuses with, and its list of models, over real sockets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from clew.model.chat import ChatRequest, ModelError
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(model="m", messages=({"role": "user", "content": "Which way?"},))


@asynccontextmanager
async def answering(
    status: int, *pieces: bytes, missing: int = 0, after: str = "", **described: Any
) -> AsyncIterator[RemoteModel]:
    """Yield a gateway to an endpoint that answers in pieces, and leaves out the last bytes."""

    answers: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        size = sum(map(len, pieces)) + missing
        writer.write(b"HTTP/1.1 %d Said\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, size))
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(url=f"http://127.0.0.1:{port}/v1{after}", **described)
        gateway = RemoteModel(endpoint, timeout=5, clock=ManualClock())
        yield gateway
        await gateway.aclose()
        await asyncio.gather(*filter(None, answers))


async def refusal(gateway: RemoteModel) -> ModelError:
    with pytest.raises(ModelError) as raised:
        async for _ in gateway.stream(REQUEST):
            pass
    return raised.value


async def test_a_refusal_that_comes_in_pieces_is_read_whole() -> None:
    async with answering(403, b'{"error": {"mess', b'age": "Not', b' you."}}') as gateway:
        assert (await refusal(gateway)).message == "The model endpoint answered 403: Not you."


async def test_a_refusal_that_breaks_off_keeps_its_status() -> None:
    async with answering(503, b"Being upd", missing=10) as gateway:
        error = await refusal(gateway)
        assert error.again
        assert error.message == "The model endpoint answered 503: Being upd"


@pytest.mark.parametrize(
    ("seconds", "delay"), [(b"2.5", 2_500), (b"1" + b"0" * 400, 3_600_000), (b"true", None), (b"-1", None)]
)
async def test_a_time_to_wait_is_read_whatever_its_size(seconds: bytes, delay: int | None) -> None:
    async with answering(503, b'{"error": "Loading", "estimated_time": %b}' % seconds) as gateway:
        assert (await refusal(gateway)).delay == delay


async def test_a_list_of_models_that_comes_in_pieces_is_read_whole() -> None:
    async with answering(200, b'{"data": [{"id": "a"}', b', {"id": "b"}]}') as gateway:
        assert await gateway.models() == ["a", "b"]


async def test_a_long_list_of_models_is_read() -> None:
    entries = b", ".join(b'{"id": "m%d", "is": "%b"}' % (number, b"x" * 4_000) for number in range(500))
    async with answering(200, b'{"data": [', entries, b"]}") as gateway:
        assert len(await gateway.models()) == 500


@pytest.mark.parametrize(
    "said", [b"[" * 100_000, b"<html>", b'{"data": 7}', b"\xff", b'{"data": [{"id": [1]}]}']
)
async def test_what_is_no_list_of_models_has_none(said: bytes) -> None:
    async with answering(200, said) as gateway:
        assert await gateway.models() == []


async def test_half_a_character_in_a_list_of_models_harms_nobody() -> None:
    async with answering(200, b'{"data": [{"id": "a", "owner": "\xff"}]}') as gateway:
        assert await gateway.models() == ["a"]


# --- secrets ------------------------------------------------------------------------------------------

KEY = "hYq27mPzUw93kLsTbVr4"


@pytest.mark.parametrize(
    "described",
    [
        {"key": KEY},
        {"key_command": [sys.executable, "-c", f"print('{KEY}')"]},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"query": {"code": KEY}},
        {"after": f"?code={KEY}"},
    ],
)
@pytest.mark.parametrize("before", [0, 480, 490, 580])
async def test_a_key_is_never_repeated_wherever_it_stands(described: dict[str, Any], before: int) -> None:
    said = b"x" * before + f" {KEY} is wrong".encode()
    async with answering(403, said, **described) as gateway:
        message = (await refusal(gateway)).message
        assert KEY[:8] not in message
        assert len(message) <= 600


async def test_a_key_that_is_refused_is_asked_for_once_more(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = f"open({str(asked)!r}, 'a').write('x'); print({KEY!r})"
    async with answering(401, b"No.", key_command=[sys.executable, "-c", program]) as gateway:
        assert "401: No." in (await refusal(gateway)).message
    assert asked.read_text() == "xx"
