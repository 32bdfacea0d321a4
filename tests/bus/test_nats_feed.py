"""The feed across processes: who listens hears, and to whom nobody listens says nothing."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from clew.bus import nats_feed
from clew.bus.feed import FeedReader
from clew.bus.nats_access import BusAddress
from clew.bus.nats_feed import NatsFeed
from clew.bus.nats_link import NatsLink
from clew.core.entries import Entry, EventKind
from tests.support import store
from tests.support.nats import SECRET, NatsServer, running_nats

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

_TIMEOUT = 15.0


def _now() -> int:
    return store.NOW


class Process:
    """One process's end of the bus; it remembers which changes it has sent."""

    def __init__(self, url: str, prefix: str) -> None:
        self.link = NatsLink(BusAddress(url), prefix, SECRET)
        self.feed = NatsFeed(self.link)
        self.sent: list[str] = []
        send = self.link.send

        def counted(subject: str, payload: bytes) -> None:
            if ".feed." in subject and payload:
                self.sent.append(subject)
            send(subject, payload)

        self.link.send = counted  # type: ignore[method-assign]

    def commit(self, number: int, project: str = store.PROJECT) -> None:
        """Do as a commit does that changes a run."""
        if self.feed.wanted:
            run = store.run(f"run_{number}", project=project)
            self.feed.tell([Entry(number + 1, EventKind.RUN_IN_PROGRESS, run)])


@asynccontextmanager
async def process(url: str, prefix: str) -> AsyncIterator[Process]:
    made = Process(url, prefix)
    await made.link.open("test")
    await made.feed.start()
    try:
        yield made
    finally:
        await made.link.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_TIMEOUT):
        for pause in itertools.repeat(0.01):
            if condition():
                return
            await asyncio.sleep(pause)


async def _taken(reader: FeedReader) -> list[str] | None:
    async with asyncio.timeout(_TIMEOUT):
        await reader.wait()
    taken = reader.take()
    return None if taken is None else [change.run for change, _ in taken]


async def test_who_reads_hears_what_another_process_commits(nats: NatsServer) -> None:
    async with process(nats.url, "feed-1") as here, process(nats.url, "feed-1") as there:
        there.commit(1)
        reader = here.feed.subscribe(store.PROJECT, _now)
        async with asyncio.timeout(_TIMEOUT):
            await reader.ready.wait()
        there.commit(2)
        there.commit(3, project="another.one")
        here.commit(4)
        heard: list[str] = []
        while len(heard) < 2:
            heard += await _taken(reader) or ["lost"]
        assert sorted(heard) == ["run_2", "run_4"]
        assert len(there.sent) == 1, "of another project, and before anybody read, nothing is sent"
        assert here.sent == [], "nobody reads there"
        reader.close()


async def test_a_process_that_starts_later_learns_who_reads_and_the_readers_look_again(
    nats: NatsServer,
) -> None:
    async with process(nats.url, "feed-2") as here:
        reader = here.feed.subscribe(store.PROJECT, _now)
        await reader.ready.wait()
        async with process(nats.url, "feed-2") as later:
            assert await _taken(reader) is None
            later.commit(1)
            assert await _taken(reader) == ["run_1"]
        reader.close()


async def test_when_the_last_reader_has_gone_nothing_is_sent_any_more(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_feed, "ANNOUNCED_EVERY", 0.1)
    monkeypatch.setattr(nats_feed, "_EXPIRES", 0.5)
    async with process(nats.url, "feed-3") as here, process(nats.url, "feed-3") as there:
        readers = [here.feed.subscribe(store.PROJECT, _now) for _ in range(2)]
        await _until(lambda: bool(there.feed.wanted))
        readers[0].close()
        async with asyncio.timeout(_TIMEOUT):
            await readers[1].ready.wait()
        there.commit(1)
        assert await _taken(readers[1]) == ["run_1"]
        readers[1].close()
        assert here.feed.wanted == {}
        await _until(lambda: not there.feed.wanted)
        there.commit(2)
        assert len(there.sent) == 1


async def test_an_interest_lasts_as_long_as_it_is_announced(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_feed, "ANNOUNCED_EVERY", 0.05)
    monkeypatch.setattr(nats_feed, "_EXPIRES", 1.0)
    async with process(nats.url, "feed-4") as here, process(nats.url, "feed-4") as there:
        reader = here.feed.subscribe(store.PROJECT, _now)
        await _until(lambda: bool(there.feed._elsewhere))
        first = there.feed._elsewhere[store.PROJECT]
        await _until(lambda: there.feed._elsewhere[store.PROJECT] > first + 1.0)
        there.commit(1)
        assert await _taken(reader) == ["run_1"]
        reader.close()


async def test_after_the_bus_was_away_readers_look_again_and_hear_on() -> None:
    with running_nats() as own:
        async with process(own.url, "feed-5") as here, process(own.url, "feed-5") as there:
            reader = here.feed.subscribe(store.PROJECT, _now)
            await reader.ready.wait()
            await _until(lambda: bool(there.feed.wanted))
            own.kill()
            await _until(lambda: not here.link.up and not there.link.up)
            await asyncio.get_running_loop().run_in_executor(None, own.start)
            await _until(lambda: here.link.up and there.link.up)
            assert await _taken(reader) is None
            heard: list[str] = []
            number = 0
            async with asyncio.timeout(_TIMEOUT):
                while not heard:
                    number += 1
                    there.commit(number)
                    await asyncio.sleep(0.01)
                    heard = [change.run for change, _ in reader.take() or ()]
            assert heard
            reader.close()


async def test_what_cannot_be_understood_is_left_out(nats: NatsServer) -> None:
    async with process(nats.url, "feed-6") as here, process(nats.url, "feed-6") as there:
        reader = here.feed.subscribe(store.PROJECT, _now)
        await reader.ready.wait()
        there.link.send(there.feed._subject_of(store.PROJECT), b"\xff\xff")
        there.commit(1)
        assert await _taken(reader) == ["run_1"]
        reader.close()
