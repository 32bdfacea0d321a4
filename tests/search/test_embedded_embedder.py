"""The embedder on this machine, with its real weights."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from clew.search import embedded_embedder, minilm
from clew.search.embedded_embedder import IDLE, EmbeddedEmbedder
from clew.search.embedder import Unembeddable
from clew.search.encoding import zero
from clew.weights import machine
from tests.search.vectors import floats, likeness
from tests.support.clock import ManualClock
from tests.support.wait import until_async
from tests.support.weights import real_minilm

pytestmark = pytest.mark.anyio

RESET = "How do I reset my password?"
ALIKE = [
    (RESET, "I forgot my password, how can I change it?"),
    ("The invoice was paid on Monday.", "On Monday the bill was settled."),
    ("A man is playing a guitar.", "Somebody plays the guitar."),
]
ODD = [
    "\ud800 half a pair",
    "nul\0inside",
    "\U0001f600" * 50,
    "你好 世界",
    "\u0301" * 5000,
    "[CLS] [SEP] [MASK]",
]


@pytest.fixture(scope="module")
def data_dir() -> Path:
    return real_minilm()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def embedder(data_dir: Path, clock: ManualClock) -> AsyncIterator[EmbeddedEmbedder]:
    embedder = EmbeddedEmbedder(data_dir, clock, most_threads=1)
    yield embedder
    await embedder.close()


def running(embedder: EmbeddedEmbedder) -> int:
    assert embedder.pid is not None
    return embedder.pid


@pytest.mark.model
class TestVectors:
    async def test_texts_that_mean_alike_are_near_and_others_are_not(
        self, embedder: EmbeddedEmbedder
    ) -> None:
        ones = await embedder.embed([one for one, _ in ALIKE])
        others = await embedder.embed([other for _, other in ALIKE])
        for row, one in enumerate(ones):
            for column, other in enumerate(others):
                near = likeness(one, other)
                assert near > 0.6 if row == column else near < 0.3, (row, column)

    async def test_a_text_has_one_vector_whatever_comes_with_it(self, embedder: EmbeddedEmbedder) -> None:
        texts = [RESET, "", "Short.", "word " * 300, " \n ", *ODD, *(f"Text number {n}." for n in range(12))]
        vectors = await embedder.embed(texts)
        assert [len(vector) for vector in vectors] == [2 * minilm.DIMENSIONS] * len(texts)
        for number in (0, 2, 3, 7, len(texts) - 1):
            assert likeness((await embedder.embed([texts[number]]))[0], vectors[number]) > 0.999
        blank = zero(minilm.DIMENSIONS)
        assert [n for n, vector in enumerate(vectors) if vector == blank] == [1, 4]
        lengths = [floats(vector) @ floats(vector) for vector in vectors if vector != blank]
        assert lengths == pytest.approx([1] * len(lengths), abs=0.005)

    async def test_a_text_that_is_too_long_is_cut(self, embedder: EmbeddedEmbedder) -> None:
        window = "word " * 254  # with [CLS] and [SEP], what it sees
        exact, longer, endless, short = await embedder.embed(
            [window, window + "Something else.", window + "x" * 1_000_000, window[: 5 * 200]]
        )
        assert likeness(exact, longer) > 0.999
        assert likeness(exact, endless) > 0.999
        assert likeness(exact, short) < 0.9999

    async def test_nothing_is_nothing_and_starts_nothing(self, embedder: EmbeddedEmbedder) -> None:
        assert await embedder.embed([]) == []
        assert await embedder.embed(["", "\n"]) == [zero(minilm.DIMENSIONS)] * 2
        assert embedder.pid is None

    async def test_llama_cpp_cuts_the_same_words_into_the_same_pieces(
        self, embedder: EmbeddedEmbedder
    ) -> None:
        texts = [
            RESET,
            "Na\u00efve caf\u00e9 \u2014 $5.00, x^2",
            "unaffable antidisestablishmentarianism 你好",
        ]
        ours = await embedder.embed(texts)
        opened = embedder._running
        assert opened is not None
        async with aclosing(opened.process.call("embeddings", {"input": texts})) as chunks:
            (theirs,) = [chunk async for chunk in chunks]
        for vector, entry in zip(ours, theirs["data"], strict=True):
            assert floats(vector) @ entry["embedding"] > 0.999


@pytest.mark.model
class TestProcess:
    async def test_one_that_is_killed_over_texts_is_started_again(self, embedder: EmbeddedEmbedder) -> None:
        texts = [f"Text number {n} of many." for n in range(20)]
        expected = await embedder.embed(texts)
        killed = running(embedder)
        os.kill(killed, signal.SIGSTOP)  # so that it is in the middle, however fast it is
        again = asyncio.create_task(embedder.embed(texts))
        await asyncio.sleep(0)
        assert not again.done()
        os.kill(killed, signal.SIGKILL)
        for one, other in zip(expected, await again, strict=True):
            assert likeness(one, other) > 0.999
        assert running(embedder) != killed

    async def test_one_that_always_dies_is_given_up(self, embedder: EmbeddedEmbedder) -> None:
        killed: set[int] = set()

        async def kill() -> None:
            while True:
                await until_async(lambda: embedder.pid not in (None, *killed))
                killed.add(running(embedder))
                os.kill(running(embedder), signal.SIGKILL)

        killing = asyncio.create_task(kill())
        with pytest.raises(Unembeddable, match="twice") as caught:
            await embedder.embed(["word " * 254] * 1000)
        killing.cancel()
        assert caught.value.again
        assert len(killed) >= 2
        assert floats((await embedder.embed([RESET]))[0]).any()

    async def test_one_without_work_is_ended_and_started_again(
        self, embedder: EmbeddedEmbedder, clock: ManualClock
    ) -> None:
        await embedder.embed([RESET])
        first = running(embedder)
        await until_async(lambda: clock.asked == [IDLE])
        clock.advance(IDLE - 1)
        await embedder.embed([RESET])
        clock.advance(1)
        await until_async(lambda: clock.asked == [IDLE - 1])
        assert running(embedder) == first
        clock.advance(IDLE - 1)
        await until_async(lambda: embedder.pid is None)
        await embedder.embed([RESET])
        assert running(embedder) != first

    async def test_closing_ends_it_for_good(self, embedder: EmbeddedEmbedder) -> None:
        await embedder.embed([RESET])
        under_way = asyncio.create_task(embedder.embed(["word " * 254] * 1000))
        await asyncio.sleep(0)
        await embedder.close()
        for ended in (under_way, embedder.embed([RESET])):
            with pytest.raises(Unembeddable) as caught:
                await ended
            assert not caught.value.again
        assert embedder.pid is None

    async def test_a_query_does_not_wait_for_all_of_a_long_batch(self, embedder: EmbeddedEmbedder) -> None:
        await embedder.embed([RESET])
        batch = asyncio.create_task(embedder.embed(["word " * 254] * 40))
        await asyncio.sleep(0)
        await embedder.embed([RESET])
        assert not batch.done()
        batch.cancel()


@pytest.mark.model
class TestFiles:
    async def test_what_was_changed_is_not_used(self, data_dir: Path, tmp_path: Path) -> None:
        shutil.copytree(data_dir / "models", tmp_path / "models", ignore=_others)
        files = minilm.pull(tmp_path)
        for path in (files.weights, files.vocabulary, files.note):
            kept = path.read_bytes()
            assert files.are_right()
            path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
            assert not files.are_right()
            path.write_bytes(kept)

    async def test_weights_that_cannot_be_had_are_said_and_tried_again_after_a_minute(
        self, data_dir: Path, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        embedder = EmbeddedEmbedder(tmp_path, clock)
        with pytest.raises(Unembeddable, match="CLEW_EMBEDDINGS_URL") as caught:
            await embedder.embed([RESET])
        assert caught.value.again
        assert list((tmp_path / "models").glob("*.gguf")) == []
        shutil.copytree(data_dir / "models", tmp_path / "models", dirs_exist_ok=True, ignore=_others)
        with pytest.raises(Unembeddable) as kept:
            await embedder.embed([RESET])
        assert kept.value is caught.value
        clock.advance(60_000)
        assert len(await embedder.embed([RESET])) == 1
        await embedder.close()


def _others(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(minilm.NAME)]


class TestMachine:
    @pytest.mark.parametrize(("load", "expected"), [(0.0, 3), (1.2, 2), (3.5, 1), (40.0, 1)])
    def test_only_idle_processors_compute(
        self, load: float, expected: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_embedder, "threads", lambda: 4)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load), raising=False)
        assert embedded_embedder._idle_processors() == expected

    @pytest.mark.parametrize("missing", ["xllamacpp", "gguf"])
    async def test_a_missing_package_is_said_plainly(
        self, missing: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (machine, embedded_embedder):
            monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
        monkeypatch.setattr(machine, "has_avx2", lambda: True)
        with pytest.raises(Unembeddable, match=r"pip install .*, or set CLEW_EMBEDDINGS_URL") as caught:
            await EmbeddedEmbedder(tmp_path, clock).embed([RESET])
        assert not caught.value.again

    async def test_an_old_processor_is_said_plainly(
        self, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "find_spec", lambda _: object())
        monkeypatch.setattr("clew.weights.machine.platform.machine", lambda: "x86_64")
        monkeypatch.setattr(machine, "has_avx2", lambda: False)
        with pytest.raises(Unembeddable, match=r"AVX2.*: set CLEW_EMBEDDINGS_URL"):
            await EmbeddedEmbedder(tmp_path, clock).embed([RESET])
