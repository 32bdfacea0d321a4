"""The waiting faces: they wait, clean up when interrupted, and never block their own loop."""

import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from clew.daemons import in_daemon_thread
from clew.toolkit._blocking import blocking, iterate, run


class Both:
    """Something with two faces."""

    async def adouble(self, number: int, *, plus: int = 0) -> int:
        """Double a number."""
        await anyio.lowlevel.checkpoint()
        return 2 * number + plus

    double = blocking(adouble)


class Louder(Both):
    async def adouble(self, number: int, *, plus: int = 0) -> int:
        return 10 * await super().adouble(number, plus=plus)


def test_both_faces_are_one() -> None:
    assert Both().double(4, plus=1) == 9
    assert Louder().double(4) == 80
    assert Both.double.__name__ == "double"
    assert (Both.double.__doc__ or "").startswith("Double a number.")


def test_waiting_inside_the_loop_is_refused_instead_of_hanging() -> None:
    async def inside() -> int:
        return Both().double(1)

    with pytest.raises(RuntimeError, match=r"await the a\.\.\. form"):
        run(inside())


def test_an_interruption_cancels_and_cleans_up_first() -> None:
    begun, cleaned = threading.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned.append("cleaned")

    def interrupt() -> None:
        begun.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert cleaned == ["cleaned"]


def test_a_time_out_of_the_work_itself_is_told() -> None:
    async def work() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        run(work())


def test_a_loop_iterates_over_a_stream() -> None:
    left: list[str] = []

    @asynccontextmanager
    async def source() -> AsyncIterator[AsyncIterator[int]]:
        async def numbers() -> AsyncIterator[int]:
            for number in range(3):
                yield number

        yield numbers()
        left.append("left")

    with iterate(source()) as items:
        assert list(items) == [0, 1, 2]
    assert left == ["left"]


def test_a_thread_that_exits_takes_nobody_with_it() -> None:
    async def work() -> None:
        with pytest.raises(RuntimeError, match="SystemExit"):
            await in_daemon_thread(exit)

    run(work())
    run(work())
