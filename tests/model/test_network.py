"""How endpoints are reached: proxies, authorities, keys in their headers, redirects, silence."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clew.cli import certificates
from clew.model import body
from clew.model.chat import ChatRequest, Chunk, Finished, ModelError, TextDelta, one_by_one
from clew.model.endpoint import Endpoint
from clew.model.reach import Reach
from clew.model.remote import RemoteModel
from clew.network import DIRECT, Network, network_for
from clew.testing.scripted_model import ScriptedModel
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(model="scripted", messages=({"role": "user", "content": "Which way?"},))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def ask(
    endpoint: Endpoint, *, network: Network = DIRECT, timeout: float = 5, clock: ManualClock | None = None
) -> list[Chunk]:
    back_end = RemoteModel(endpoint, timeout=timeout, clock=clock or ManualClock(), network=network)
    try:
        return [chunk async for chunk in one_by_one(back_end.stream(REQUEST))]
    finally:
        await back_end.aclose()


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


@contextmanager
def listening(*answers: bytes, close: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Serve these bytes, a connection each, whatever is asked; give the URL and what was asked."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            asked.append(connection.recv(65536))
            connection.sendall(answer)
            if close:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", asked
    finally:
        listener.close()
        for connection in kept:
            connection.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
LEFT = b'data: {"choices": [{"delta": {"content": "Left."}}]}\n\n'
STOP = (
    b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
)


# --- keys -----------------------------------------------------------------------------------------


async def test_azure_gets_its_key_in_a_header_of_its_own() -> None:
    with listening(HEAD + LEFT + STOP) as (url, asked):
        azure = url.replace("/v1", "/openai/deployments/gpt")
        await ask(Endpoint(url=azure, key="k-1", query={"api-version": "2025-01-01"}))
    request = asked[0].lower()
    assert request.startswith(b"post /openai/deployments/gpt/chat/completions?api-version=2025-01-01 ")
    assert b"api-key: k-1" in request
    assert b"authorization" not in request


async def test_an_owners_headers_win(model: ScriptedModel) -> None:
    await ask(Endpoint(url=model.url, key="k-1", headers={"authorization": "Basic x", "X-Title": "clew"}))
    assert model.requests[0].headers["authorization"] == "Basic x"
    assert model.requests[0].headers["x-title"] == "clew"


async def test_a_key_that_is_refused_is_got_anew(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    with ScriptedModel(api_key="new") as model:
        back_end = RemoteModel(Endpoint(url=model.url, key_file=str(path)), timeout=5, clock=ManualClock())
        with pytest.raises(ModelError, match="401"):
            _ = [chunk async for chunk in one_by_one(back_end.stream(REQUEST))]
        path.write_text("new")
        assert text([chunk async for chunk in one_by_one(back_end.stream(REQUEST))]) == "You said: Which way?"
        await back_end.aclose()


async def test_a_new_key_that_is_refused_too_is_the_end(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    path = tmp_path / "key"
    path.write_text("wrong")
    with listening(*[answer] * 5) as (url, asked):
        with pytest.raises(ModelError, match="401"):
            await ask(Endpoint(url=url, key_file=str(path)))
        assert len(asked) == 2


async def test_what_an_endpoint_lists_is_asked_once_in_a_minute_whoever_asks() -> None:
    said = b'{"data": [{"id": "a"}, {"id": 3}, null]}'
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)
    clock = ManualClock()
    with listening(*[answer] * 5) as (url, asked):
        back_end = RemoteModel(Endpoint(url=url), timeout=5, clock=clock)
        assert await asyncio.gather(*[back_end.models() for _ in range(5)]) == [["a"]] * 5
        assert len(asked) == 1
        clock.advance(60_000)
        assert await back_end.models() == ["a"]
        assert len(asked) == 2
        await back_end.aclose()


# --- proxies and authorities -----------------------------------------------------------------------


async def test_a_proxy_of_the_environment_is_used_and_can_be_gone_round(
    monkeypatch: pytest.MonkeyPatch, model: ScriptedModel
) -> None:
    with listening(HEAD + LEFT + STOP) as (url, asked):
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/v1"))
        elsewhere = Endpoint(url="http://models.example/v1", key="k-1")
        assert text(await ask(elsewhere, network=network_for(elsewhere.url))) == "Left."
        assert asked[0].startswith(b"POST http://models.example/v1/chat/completions ")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert network_for(model.url).proxy is None
        assert network_for(elsewhere.url).proxy is not None


async def test_a_proxy_that_is_away_is_named() -> None:
    with pytest.raises(ModelError, match="HTTP_PROXY") as failed:
        await ask(Endpoint(url="http://models.example/v1"), network=Network("http://127.0.0.1:1"))
    assert failed.value.unreachable


async def test_an_authority_of_the_environment_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = certificates.ensure(tmp_path, "127.0.0.1", int(time.time() * 1000))
    with _tls(made, HEAD + LEFT + STOP) as url:
        with pytest.raises(ModelError, match="SSL_CERT_FILE") as failed:
            await ask(Endpoint(url=url), network=network_for(url))
        assert not failed.value.again
    with _tls(made, HEAD + LEFT + STOP) as url:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.ca))
        assert text(await ask(Endpoint(url=url), network=network_for(url))) == "Left."


@contextmanager
def _tls(made: certificates.Certificates, answer: bytes) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65536)
                secured.sendall(answer)
        except OSError:
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.close()


# --- ends ------------------------------------------------------------------------------------------


async def test_an_answer_is_over_when_it_says_so() -> None:
    with listening(HEAD + LEFT + b"data: [DONE]\n\n", close=False) as (url, _):
        assert text(await ask(Endpoint(url=url), timeout=30)) == "Left."


async def test_after_its_end_an_answer_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_GRACE", 0.05)
    with listening(HEAD + LEFT + STOP, close=False) as (url, _):
        assert text(await ask(Endpoint(url=url), timeout=30)) == "Left."


async def test_a_connection_that_breaks_behind_the_end_breaks_nothing() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: 100000\r\n\r\n")
    with listening(head + LEFT + STOP) as (url, _):
        chunks = await ask(Endpoint(url=url))
        assert isinstance(chunks[-1], Finished)
        assert chunks[-1].usage.prompt_tokens == 3
    with listening(head + LEFT) as (url, _):
        with pytest.raises(ModelError, match="hung up") as failed:
            await ask(Endpoint(url=url))
        assert not failed.value.again


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "hung up"),
        (HEAD, "empty answer"),
        (HEAD + b"\n\n: hi\n\n", "empty answer"),
        (HEAD + b"upstream connect error", "upstream connect error"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP"),
        (b"HTTP/1.1 520 \r\ncontent-length: 4\r\n\r\nOops", "520: Oops"),
        (b"HTTP/1.1 503 x\r\n\r\ndata: {\"error\": {\"message\": \"It is full.\"}}\n\n", "503: It is full."),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_may_be_asked_for_again(answer: bytes, said: str) -> None:
    with listening(answer) as (url, _), pytest.raises(ModelError, match=said) as failed:
        await ask(Endpoint(url=url))
    assert failed.value.again


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 307 x\r\nlocation: /v2/chat\r\ncontent-length: 0\r\n\r\n", "/v2/chat"),
        (b"HTTP/1.1 301 x\r\nlocation: https://a.example/b?c=d\r\ncontent-length: 0\r\n\r\n", "a.example/b"),
        (HEAD + b"<html><title>Sign in</title>", "Sign in"),
        (HEAD + b'{"model": "m", "response": "Hi", "done": false}\n', "Ollama"),
    ],
)  # fmt: skip
async def test_what_is_set_wrong_is_said_with_the_setting(answer: bytes, said: str) -> None:
    with listening(answer) as (url, _), pytest.raises(ModelError, match=said) as failed:
        await ask(Endpoint(url=url))
    assert "CLEW_MODEL_URL" in failed.value.message
    assert not failed.value.again


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", "application/x-ndjson"])
async def test_what_comes_counts_and_not_its_label(status: int, kind: str) -> None:
    head = f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\n\r\n".encode()
    whole = b'{"choices": [{"message": {"content": "Left."}, "finish_reason": "stop"}]}'
    for answer in (LEFT + STOP, whole):
        with listening(head + answer) as (url, _):
            assert text(await ask(Endpoint(url=url))) == "Left."


# --- whether it can be reached -----------------------------------------------------------------------


def test_one_caller_at_a_time_finds_out_whether_an_endpoint_is_back() -> None:
    clock = ManualClock()
    reach = Reach(clock)
    first = reach.admit()
    assert reach.failed("away").unreachable
    first.leave()
    with pytest.raises(ModelError, match="away") as refused:
        reach.admit()
    assert refused.value.delay == 1_000
    clock.advance(1_000)
    trying = reach.admit()
    with pytest.raises(ModelError, match="away"):
        reach.admit()
    trying.reached()
    reach.admit().leave()
    assert not reach.lost


def test_of_many_callers_few_find_out_whether_an_endpoint_is_there() -> None:
    reach = Reach(ManualClock())
    tries = [reach.admit() for _ in range(32)]
    with pytest.raises(ModelError) as refused:
        reach.admit()
    assert refused.value.delay == 200
    tries[0].reached()
    for _ in range(100):
        reach.admit()
