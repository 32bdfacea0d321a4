"""The process that reads a file: alone, limited, and gone when it should be."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.reading.child import Child, Nonsense, taken
from clew.reading.reader import CannotRead, Image, Reader, Section
from tests.support.wait import until_async

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


class Slow:
    """A file of which nothing comes until somebody writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._end: int | None = os.open(path, os.O_RDWR)

    def readers(self) -> list[int]:
        """Return the processes that are reading it: children of this one that have it as their input."""
        return [pid for pid in _children() if _input_of(pid) == self.path]

    def write(self, content: bytes) -> None:
        """Write all of it."""
        assert self._end is not None
        os.write(self._end, content)
        self.close()

    def close(self) -> None:
        """Leave it as it is."""
        if self._end is not None:
            os.close(self._end)
        self._end = None


def _children() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[1]) == os.getpid() and _is_worker(folder):
                yield int(folder.name)


def _is_worker(folder: Path) -> bool:
    return b"reading/worker.py" in (folder / "cmdline").read_bytes()


def _input_of(pid: int) -> Path | None:
    with suppress(OSError):
        return Path(os.readlink(f"/proc/{pid}/fd/0"))
    return None


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    """A slow file."""
    file = Slow(tmp_path / "slow")
    yield file
    file.close()


def _reading(reader: Reader, file: Slow) -> "asyncio.Task[list[Section]]":
    return asyncio.ensure_future(reader.text(file.path, "slow.txt"))


async def _code(task: "asyncio.Task[list[Section]]") -> str:
    with pytest.raises(CannotRead) as caught:
        await task
    return caught.value.code


async def test_it_knows_nothing_and_is_limited(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_SECRET_KEY", "nobody's business")
    monkeypatch.setenv("HOME", "/home/somebody")
    async with Reader() as reader:
        task = _reading(reader, slow)
        await until_async(slow.readers)
        (pid,) = slow.readers()
        limits = Path(f"/proc/{pid}/limits")
        await until_async(lambda: "1073741824" in limits.read_text(encoding="utf-8"))
        await until_async(lambda: _limits(limits)["Max core file size"] == "0")
        found = _limits(limits)
        assert found["Max cpu time"] == "60"
        assert found["Max file size"] == "0"
        assert found["Max open files"] == "64"
        environment = (limits.parent / "environ").read_bytes()
        assert {each.partition(b"=")[0] for each in environment.split(b"\0")} <= {b"", b"LD_LIBRARY_PATH"}
        assert os.getsid(pid) == pid
        assert (limits.parent / "oom_score_adj").read_text(encoding="utf-8") == "1000\n"
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        # Its input, its outputs, and the pipe to here: what it loads itself by is open for moments only.
        await until_async(lambda: len(os.listdir(limits.parent / "fd")) <= 4)
        slow.write(b"text")
        assert await task == [Section("text")]


def _limits(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line[:25].strip(): line[25:].split()[0] for line in lines}


async def test_killed_from_outside_it_reads_once_more(slow: Slow) -> None:
    async with Reader() as reader:
        task = _reading(reader, slow)
        await until_async(slow.readers)
        (first,) = slow.readers()
        os.kill(first, signal.SIGKILL)
        await until_async(lambda: slow.readers() not in ([], [first]))
        slow.write(b"text")
        assert await task == [Section("text")]


async def test_killed_twice_it_gives_up(slow: Slow) -> None:
    async with Reader() as reader:
        task = _reading(reader, slow)
        seen: list[int] = []
        for _ in range(2):
            await until_async(lambda: set(slow.readers()) - set(seen))
            (pid,) = slow.readers()
            seen.append(pid)
            os.kill(pid, signal.SIGKILL)
        assert await _code(task) == "server_error"


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGXCPU, "too long"), (signal.SIGSEGV, "damaged"), (signal.SIGABRT, "memory")],
)
async def test_a_reader_that_dies_blames_the_file(slow: Slow, number: int, told: str) -> None:
    async with Reader() as reader:
        task = _reading(reader, slow)
        await until_async(slow.readers)
        os.kill(slow.readers()[0], number)
        with pytest.raises(CannotRead, match=told) as caught:
            await task
    assert caught.value.code == "invalid_file"


async def test_cancelling_ends_it_and_frees_its_place(slow: Slow, tmp_path: Path) -> None:
    async with Reader(at_once=1) as reader:
        task = _reading(reader, slow)
        await until_async(slow.readers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not slow.readers()
        other = Slow(tmp_path / "other")
        other_task = _reading(reader, other)
        await until_async(other.readers)
        other.write(b"text")
        assert await other_task == [Section("text")]


async def test_cancelled_before_its_turn_it_never_starts(slow: Slow, tmp_path: Path) -> None:
    second = Slow(tmp_path / "second")
    async with Reader(at_once=1) as reader:
        first_task, second_task = _reading(reader, slow), _reading(reader, second)
        await until_async(slow.readers)
        second_task.cancel()
        slow.write(b"text")
        await first_task
        with pytest.raises(asyncio.CancelledError):
            await second_task
        assert not second.readers()
    second.close()


async def test_two_at_once_and_the_others_in_order(tmp_path: Path) -> None:
    files = [Slow(tmp_path / f"{number}") for number in range(4)]
    async with Reader() as reader:
        tasks = [_reading(reader, file) for file in files]
        await until_async(lambda: files[0].readers() and files[1].readers())
        assert not files[2].readers()
        files[1].write(b"second")
        await until_async(files[2].readers)
        assert not files[3].readers()
        for file in (files[0], files[2]):
            file.write(b"text")
        await until_async(files[3].readers)
        files[3].write(b"last")
        assert [(await task)[0].text for task in tasks] == ["text", "second", "text", "last"]


async def test_closing_ends_what_reads_and_what_waits(slow: Slow, tmp_path: Path) -> None:
    waiting = Slow(tmp_path / "waiting")
    reader = Reader(at_once=1)
    tasks = [_reading(reader, slow), _reading(reader, waiting)]
    await until_async(slow.readers)
    await reader.close()
    assert not slow.readers()
    assert [await _code(task) for task in tasks] == ["server_error", "server_error"]
    await reader.close()
    waiting.close()


async def test_it_is_given_so_long_and_no_longer(slow: Slow) -> None:
    with pytest.raises(CannotRead, match="too long to read"):
        await asyncio.to_thread(Child("text", "text", slow.path, wall=0.2).run)
    assert not slow.readers()


async def test_killed_before_it_starts_it_does_not_start(slow: Slow) -> None:
    child = Child("text", "text", slow.path)
    child.kill()
    with pytest.raises(CannotRead, match="stopped"):
        child.run()


@given(
    st.binary()
    | st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "text": st.text(max_size=3) | st.integers(),
                "new": st.booleans(),
                "end": st.booleans(),
                "code": st.sampled_from(["invalid_file", "anything", None]),
                "image": st.sampled_from(["image/png", "text/html", None]),
                "size": st.integers(-2, 5),
            },
        )
    ).map(lambda lines: b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
)
def test_whatever_it_says_is_an_answer_or_none(said: bytes) -> None:
    with suppress(CannotRead, Nonsense, msgspec.DecodeError):
        answer = taken(io.BytesIO(said))
        assert answer is None or isinstance(answer, list | Image)


def test_what_it_counts_is_counted_again() -> None:
    line = msgspec.json.encode({"text": "x" * 65_000, "new": True}) + b"\n"
    with pytest.raises(Nonsense):
        taken(io.BytesIO(line * 400))
    with pytest.raises(msgspec.DecodeError):
        taken(io.BytesIO(msgspec.json.encode({"text": "x" * 1_000_000}) + b"\n"))
