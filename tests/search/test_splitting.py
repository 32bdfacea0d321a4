"""Documents are cut the same in a thread and in a process, and neither holds the event loop."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from clew.search import splitting
from clew.search.chunks import MOST_TOKENS, Split, TooLong, split
from clew.search.splitting import Splitter, SplitterBroke
from clew.search.tokens import Tokens

pytestmark = pytest.mark.anyio

SIZES = (200, 100, 128)


class Section(Struct, frozen=True):
    text: str
    page: int | None = None


def cut(sections: list[Section]) -> Split:
    return split(sections, chunk_tokens=200, overlap_tokens=100, window_tokens=128, tokens=Tokens())


def document(words: int) -> list[Section]:
    some = random.Random(1)
    text = " ".join(
        some.choice(["thread", "maze", "\U0001f9f6", "Knossos.\n", '"\x0b\\']) for _ in range(words)
    )
    return [
        Section(text[: len(text) // 3], 1),
        Section(text[len(text) // 3 :], 2),
        Section("", 3),
        Section("End."),
    ]


async def test_a_thread_and_a_process_cut_alike() -> None:
    for words in (500, 20_000):
        sections = document(words)
        assert (sum(len(each.text) for each in sections) > splitting._SHORT) == (words > 500)
        assert await Splitter().split(sections, *SIZES) == cut(sections)


async def test_many_short_ones_at_once_are_counted_as_one_alone() -> None:
    """What counts tokens is loaded by the first, and the others wait for it."""
    sections = document(100)
    splitter = Splitter()
    found = await asyncio.gather(*(splitter.split(sections, *SIZES) for _ in range(8)))
    assert found == [cut(sections)] * 8


async def test_what_is_too_long_says_so() -> None:
    with pytest.raises(TooLong) as raised:
        await Splitter().split([Section(("\U0001f9f6" * 8 + " ") * (MOST_TOKENS // 8))], *SIZES)
    assert raised.value.tokens > MOST_TOKENS


@pytest.mark.parametrize(
    "command", ["pass", "print('no JSON')", "print('{}')", "import os; os.kill(os.getpid(), 9)"]
)
async def test_a_process_that_ends_without_an_answer_is_told(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec

    async def other(program: str, *_: str, **options: Any) -> asyncio.subprocess.Process:
        return await start(program, "-c", command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", other)
    with pytest.raises(SplitterBroke):
        await Splitter().split(document(20_000), *SIZES)


async def test_so_many_processes_at_once_and_no_more_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, started = asyncio.create_subprocess_exec, list[asyncio.subprocess.Process]()
    alive = list[int]()
    another = asyncio.Semaphore(0)

    async def counted(*command: str, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*command, **options))
        alive.append(sum(each.returncode is None for each in started))
        another.release()
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
    splitter = Splitter()
    work = [asyncio.create_task(splitter.split(document(20_000), *SIZES)) for _ in range(4)]
    async with asyncio.timeout(30):
        for _ in range(splitting._AT_ONCE):
            await another.acquire()
        for each in work:
            each.cancel()
            await asyncio.wait([each])
    assert max(alive) == splitting._AT_ONCE
    assert all(each.returncode is not None for each in started)


async def test_the_event_loop_encodes_and_decodes_small_pieces_of_a_long_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = list[int]()
    encode, decode = msgspec.json.encode, msgspec.json.decode

    def encoding(value: Any) -> bytes:
        sizes.append(len(encoded := encode(value)))
        return encoded

    def decoding(data: bytes, *, type: Any) -> Any:
        sizes.append(len(data))
        return decode(data, type=type)

    monkeypatch.setattr(msgspec.json, "encode", encoding)
    monkeypatch.setattr(msgspec.json, "decode", decoding)
    await Splitter().split([Section("the clew is a ball of thread. " * 20_000)], *SIZES)
    assert sum(sizes) > 1_000_000
    assert max(sizes) < 100_000
