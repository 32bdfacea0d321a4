"""The embedder behind an endpoint, against a server that gets wrong what servers get wrong."""

import base64
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from clew.search.embedded_embedder import EmbeddedEmbedder
from clew.search.embedder import Unembeddable
from clew.search.embedders import make_embedder
from clew.search.encoding import zero
from clew.search.remote_answer import MOST_DIMENSIONS, WrongAnswer, vectors_of
from clew.search.remote_embedder import MOST_CHARACTERS, MOST_TEXTS, RemoteEmbedder
from clew.settings import Secret, Settings, WrongSettings, load
from clew.testing.scripted_model import ScriptedModel
from tests.search.vectors import floats, likeness
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

KEY = "sk-0123456789abcdefghij"
Answer = tuple[int, dict[str, str], bytes]


class HurriedClock(ManualClock):
    """Whoever sleeps on it finds the time passed."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[int] = []

    async def sleep(self, milliseconds: int) -> None:
        self.slept.append(milliseconds)
        self.advance(milliseconds)


class Endpoint:
    """A server whose answers are given one after another, the last again and again."""

    def __init__(self) -> None:
        self.answers: list[Callable[[list[str]], Answer]] = [numbered]
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                status, more, said = answer(body["input"])
                self.send_response(status)
                for name, value in {"content-length": str(len(said)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @property
    def batches(self) -> list[list[str]]:
        return [body["input"] for _, _, body in self.requests]


def ok(value: object) -> Answer:
    return 200, {}, json.dumps(value).encode()


def entries(*vectors: object) -> object:
    return {"data": [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]}


def numbered(texts: list[str]) -> Answer:
    """A vector that tells a text's number, of those that end in one."""
    return ok(entries(*([1.0, float(text.rsplit(maxsplit=1)[-1])] for text in texts)))


def always(status: int, said: object = None, **headers: str) -> Callable[[list[str]], Answer]:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=lambda: endpoint.server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()
    thread.join()


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
async def embedder(endpoint: Endpoint, clock: HurriedClock) -> AsyncIterator[RemoteEmbedder]:
    async with opened(endpoint.url, clock) as embedder:
        yield embedder


@asynccontextmanager
async def opened(url: str, clock: HurriedClock) -> AsyncIterator[RemoteEmbedder]:
    embedder = RemoteEmbedder(url, "m-1", key=KEY, clock=clock)
    try:
        yield embedder
    finally:
        await embedder.close()


class TestAsking:
    async def test_what_is_sent(self, endpoint: Endpoint, clock: HurriedClock) -> None:
        async with opened(f"{endpoint.url}/?api-version=7", clock) as embedder:
            assert embedder.name == "m-1"
            await embedder.embed(["Text 1"])
        path, headers, body = endpoint.requests[0]
        assert path == "/v1/embeddings?api-version=7"
        assert headers["authorization"] == f"Bearer {KEY}"
        assert body == {"model": "m-1", "input": ["Text 1"]}

    async def test_many_texts_are_asked_in_batches_and_stay_in_order(
        self, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        texts = [f"Text {n}" for n in range(2 * MOST_TEXTS + 5)]
        texts[3] = texts[100] = " "
        vectors = await embedder.embed(texts)
        told = [round(float(floats(v)[1] / floats(v)[0])) if v != zero(2) else None for v in vectors[:20]]
        assert told == [0, 1, 2, None, *range(4, 20)]
        assert vectors[100] == zero(2)
        assert len(vectors) == len(texts)
        assert [len(batch) for batch in endpoint.batches] == [MOST_TEXTS, MOST_TEXTS, 3]

    async def test_long_texts_are_cut_and_asked_in_smaller_batches(
        self, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        endpoint.answers = [lambda texts: ok(entries(*[[1, 0]] * len(texts)))]
        await embedder.embed(["x" * 1_000_000] * 20)
        for batch in endpoint.batches:
            assert sum(map(len, batch)) <= MOST_CHARACTERS
            assert {len(text) for text in batch} == {16 * embedder.window_tokens}

    async def test_blank_texts_are_not_sent(self, endpoint: Endpoint, embedder: RemoteEmbedder) -> None:
        endpoint.answers = [lambda texts: ok(entries(*[[1, 0, 0]] * len(texts)))]
        assert await embedder.embed([]) == []
        assert await embedder.embed(["", "\n"]) == [zero(3)] * 2  # asks once, for how long vectors are
        assert await embedder.embed([""]) == [zero(3)]
        assert all(text.strip() for batch in endpoint.batches for text in batch)
        assert len(endpoint.requests) == 1

    async def test_vectors_may_come_in_any_order_and_as_base64(
        self, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        packed = base64.b64encode(np.array([0, 2], "<f4").tobytes()).decode()
        data = [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [3, 0], "object": "embedding"}]
        endpoint.answers = [always(200, {"data": data, "usage": None})]
        first, second = await embedder.embed(["a", "b"])
        assert (floats(first).tolist(), floats(second).tolist()) == ([1, 0], [0, 1])


class TestTrouble:
    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_a_busy_endpoint_is_asked_again(
        self, status: int, endpoint: Endpoint, embedder: RemoteEmbedder, clock: HurriedClock
    ) -> None:
        endpoint.answers = [always(status), always(status, retry_after="7"), always(status), numbered]
        assert len(await embedder.embed(["Text 1"])) == 1
        assert clock.slept == [500, 7000, 2000]

    async def test_for_a_minute(
        self, endpoint: Endpoint, embedder: RemoteEmbedder, clock: HurriedClock
    ) -> None:
        endpoint.answers = [always(503, {"error": {"message": f"Busy with {KEY}\r\n."}})]
        with pytest.raises(Unembeddable) as caught:
            await embedder.embed(["Text 1"])
        assert caught.value.again
        assert caught.value.message == "The embeddings endpoint answered 503: Busy with [key] ."
        assert 50_000 < sum(clock.slept) <= 60_000

    async def test_one_that_wants_to_rest_longer_is_left_alone(
        self, endpoint: Endpoint, embedder: RemoteEmbedder, clock: HurriedClock
    ) -> None:
        endpoint.answers = [always(429, retry_after="61")]
        with pytest.raises(Unembeddable, match="429"):
            await embedder.embed(["Text 1"])
        assert clock.slept == []

    @pytest.mark.parametrize(
        ("status", "said", "told"),
        [
            (400, {"error": {"message": "No such model"}}, "answered 400: No such model"),
            (404, {"detail": "Not Found"}, "answered 404: Not Found"),
            (401, {"error": {"message": f"Incorrect key {KEY[:6]}***"}}, "401: see CLEW_EMBEDDINGS_KEY."),
            (307, None, "307: redirects are not followed"),
            (413, b"<html>" + b"x" * 1_000_000, "answered 413."),
            (422, b"[" * 100_000, "answered 422."),
            (400, {"error": {"message": "x" * 10_000}}, "x" * 300),
        ],
    )
    async def test_a_refusal_is_final(
        self, status: int, said: object, told: str, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        endpoint.answers = [always(status, said, location="/elsewhere")]
        with pytest.raises(Unembeddable) as caught:
            await embedder.embed(["Text 1"])
        assert told in caught.value.message
        assert len(caught.value.message) < 400
        assert not caught.value.again
        assert len(endpoint.requests) == 1
        assert KEY[:6] not in repr(caught.value)

    async def test_one_that_is_not_there(self, endpoint: Endpoint, clock: HurriedClock) -> None:
        endpoint.server.socket.close()
        async with opened(endpoint.url, clock) as embedder:
            with pytest.raises(Unembeddable, match="could not be reached") as caught:
                await embedder.embed(["Text 1"])
        assert caught.value.again

    async def test_one_that_speaks_no_tls(self, endpoint: Endpoint, clock: HurriedClock) -> None:
        async with opened(endpoint.url.replace("http:", "https:"), clock) as embedder:
            with pytest.raises(Unembeddable, match="REQUESTS_CA_BUNDLE") as caught:
                await embedder.embed(["Text 1"])
        assert not caught.value.again
        assert clock.slept == []

    async def test_one_that_breaks_off(
        self, endpoint: Endpoint, embedder: RemoteEmbedder, clock: HurriedClock
    ) -> None:
        endpoint.answers = [always(200, b'{"data":', content_length="100", connection="close"), numbered]
        assert len(await embedder.embed(["Text 1"])) == 1
        assert clock.slept == [500]

    async def test_an_answer_without_end_is_not_read(
        self, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        endpoint.answers = [always(200, b" " * 330_000)]
        with pytest.raises(Unembeddable, match="sent more than 327680 bytes"):
            await embedder.embed(["Text 1"])

    async def test_another_model_behind_the_same_name(
        self, endpoint: Endpoint, embedder: RemoteEmbedder
    ) -> None:
        await embedder.embed(["Text 1"])
        endpoint.answers = [lambda _: ok(entries([1, 2, 3]))]
        with pytest.raises(Unembeddable, match="of 3 dimensions, and of 2 before"):
            await embedder.embed(["Text 1"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "something else"),
        (b"[]", "something else"),
        (b"[" * 100_000, "something else"),
        (b'{"data": [{"embedding": [1, NaN]}]}', "something else"),
        (b'{"data": [{"embedding": [1, 1e999]}]}', r"something else|no finite number"),
        (b'{"data": [{"embedding": [1, "2"]}]}', "something else"),
        (b'{"data": [{"embedding": [1, null]}]}', "something else"),
        (b'{"data": [{"embedding": [1, true]}]}', "something else"),
        (b'{"data": [{"embedding": [[1]]}]}', "something else"),
        (b'{"data": [{"index": 0}]}', "something else"),
        (b'{"data": []}', "0 vectors for 1 texts"),
        (b'{"data": [{"embedding": []}]}', "vectors of 0 dimensions"),
        (b'{"data": [{"embedding": "AAAA"}]}', "no base64 of float32s"),
        (b'{"data": [{"embedding": "A AA="}]}', "no base64 of float32s"),
        (b'{"data": [{"embedding": "AADAfw=="}]}', "no finite number"),
        (b'{"data": [{"embedding": [1], "index": 1}]}', "indexes"),
        (b'{"data": [{"embedding": [%b1]}]}' % (b"1," * MOST_DIMENSIONS), "vectors of 8193 dimensions"),
    ],
)
def test_vectors_that_would_spoil_an_index_are_refused(said: bytes, told: str) -> None:
    with pytest.raises(WrongAnswer, match=told):
        vectors_of(said, 1)


def test_texts_without_their_own_vector_are_noticed() -> None:
    two = msgspec.json.encode(entries([1, 0], [1, 0, 0]))
    with pytest.raises(WrongAnswer, match="of 2 and of 3 dimensions"):
        vectors_of(two, 2)
    with pytest.raises(WrongAnswer, match="2 vectors for 3 texts"):
        vectors_of(two, 3)
    with pytest.raises(WrongAnswer, match="indexes"):
        vectors_of(b'{"data": [{"embedding": [1], "index": 0}, {"embedding": [1], "index": 0}]}', 2)


class TestSettings:
    async def test_a_scripted_model_embeds_too(self, clock: HurriedClock, tmp_path: Path) -> None:
        with ScriptedModel(api_key=KEY) as model:
            settings = Settings(
                data_dir=tmp_path, embeddings_url=model.url, embeddings_model="m", embeddings_key=Secret(KEY)
            )
            embedder = make_embedder(settings, clock)
            assert isinstance(embedder, RemoteEmbedder)
            one, other, third = await embedder.embed(
                ["The cat sat on the mat.", "The dog sat on the mat?", "Invoices are due in May."]
            )
            again = await embedder.embed(["THE CAT sat on the mat"])
            await embedder.close()
        assert likeness(one, again[0]) > 0.999
        assert likeness(one, other) > 0.6
        assert abs(likeness(one, third)) < 0.4

    async def test_it_goes_the_way_that_the_environment_says(
        self, endpoint: Endpoint, clock: HurriedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("NO_PROXY", "no_proxy", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", endpoint.url.removesuffix("/v1"))
        url = "http://embeddings.invalid/v1"
        embedder = make_embedder(Settings(data_dir=tmp_path, embeddings_url=url, embeddings_model="m"), clock)
        assert embedder is not None
        await embedder.embed(["Text 1"])
        await embedder.close()
        assert [path for path, _, _ in endpoint.requests] == [f"{url}/embeddings"]

    async def test_none_and_the_default(self, clock: HurriedClock, tmp_path: Path) -> None:
        assert make_embedder(Settings(data_dir=tmp_path, embeddings_url="none"), clock) is None
        assert isinstance(make_embedder(Settings(data_dir=tmp_path), clock), EmbeddedEmbedder)

    def test_an_endpoint_needs_the_name_of_its_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLEW_EMBEDDINGS_URL", "https://example.com/v1")
        with pytest.raises(WrongSettings, match="needs CLEW_EMBEDDINGS_MODEL"):
            load()
        monkeypatch.setenv("CLEW_EMBEDDINGS_MODEL", "m")
        assert load().embeddings_model == "m"
        monkeypatch.setenv("CLEW_EMBEDDINGS_URL", "nowhere")
        with pytest.raises(WrongSettings, match="CLEW_EMBEDDINGS_URL: must look like"):
            load()
