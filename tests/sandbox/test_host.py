"""When sessions at a code worker end, and what a code worker that lies can do to a server: on a real bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from clew.bus.nats_access import BusAddress
from clew.bus.nats_link import NatsLink
from clew.ids import RandomIds
from clew.process import Process
from clew.remote import asks
from clew.remote import driver as remote
from clew.remote.driver import PREFIX
from clew.remote.host import IDLE, LEASE, UNASKED, Host
from clew.sandbox.jailed import Jailed
from clew.sandbox.sandbox import MOST_DISK, SandboxTrouble
from clew.vault import code_key
from tests.support.clock import ManualClock
from tests.support.code_workers import server
from tests.support.nats import SECRET, NatsServer
from tests.support.wait import until_async

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def named() -> str:
    return RandomIds().new("session_")


def _link(nats: NatsServer, prefix: str) -> NatsLink:
    return NatsLink(BusAddress(nats.url), f"{prefix}.{PREFIX}", code_key(SECRET).encode())


# --- when sessions end ----------------------------------------------------------------------------------


@asynccontextmanager
async def hosted(
    nats: NatsServer, prefix: str, driver: Jailed, clock: ManualClock, folder: Path, most: int = 2
) -> AsyncIterator[Host]:
    """Run a code worker here, with a clock that tests move."""
    link = _link(nats, prefix)
    host = Host(link, driver, process=Process(clock, RandomIds()), most=most, folder=folder)
    await link.open(host.name)
    await host.serve()
    await link.ask(f"{prefix}.nobody", b"", 1)
    try:
        yield host
    finally:
        await host.close()
        await link.close()


async def test_the_least_used_ends_where_there_is_no_room(
    nats: NatsServer, bwrap: Jailed, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with hosted(nats, "room", bwrap, clock, tmp_path) as host, server(nats, "room") as driver:
        one = await driver.start(first := named())
        clock.advance(10_000)
        two = await driver.start(named())
        await two.run("x = 2")
        clock.advance(10_000)
        await driver.start(named())
        assert await driver.attach(first, host.name) is None
        assert (await two.run("x")).logs == "2\n"
        with pytest.raises(SandboxTrouble):
            await one.run("1")


async def test_sessions_end_when_nobody_has_used_them_for_an_hour(
    nats: NatsServer, bwrap: Jailed, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with hosted(nats, "idle", bwrap, clock, tmp_path) as host, server(nats, "idle") as driver:
        await driver.start(named())
        for _ in range(IDLE // 25_000):
            clock.advance(25_000)
            assert await driver.missing() is None  # a sign of life
            assert host._held
        clock.advance(25_000)
        await until_async(lambda: not host._held)
        await until_async(lambda: not list(tmp_path.iterdir()))


async def test_sessions_end_when_no_server_is_there_any_more(
    nats: NatsServer, bwrap: Jailed, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with hosted(nats, "alone", bwrap, clock, tmp_path) as host:
        async with server(nats, "alone") as driver:
            await driver.start(named())
        assert host._held
        clock.advance(LEASE + 2_000)
        await until_async(lambda: not host._held)


async def test_a_cell_that_nobody_asks_about_is_called_off(
    nats: NatsServer, bwrap: Jailed, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with hosted(nats, "unasked", bwrap, clock, tmp_path) as host:
        async with server(nats, "unasked") as driver:
            session = await driver.start(name := named())
            await session.run("x = 7")
            cell = asyncio.ensure_future(session.run("import time; time.sleep(50)"))
            await until_async(lambda: not host._held[name].idle)
        # Its server is gone, without a word.
        clock.advance(UNASKED + 2_000)
        await until_async(lambda: host._held[name].idle)
        cell.cancel()
        await asyncio.wait({cell})
        async with server(nats, "unasked") as other:
            found = await other.attach(name, host.name)
            assert found is not None
            assert (await found.run("x")).logs == "7\n"


# --- what a lying code worker can do ---------------------------------------------------------------------

EVIL = "code_evil"
Lies = Callable[[asks.Question], Any]


@asynccontextmanager
async def lying(nats: NatsServer, prefix: str, lies: Lies) -> AsyncIterator[None]:
    """Answer as a code worker that has been taken over: it has the key, and says what it likes."""
    link = _link(nats, prefix)
    await link.open(EVIL)

    async def answer(message: Msg) -> None:
        asked = asks.question(message.data)
        assert asked is not None
        said = asks.Offer(EVIL, "ticket") if isinstance(asked, asks.Room) else lies(asked)
        link.send(message.reply, said if isinstance(said, bytes) else asks.encode(said))

    await link.listen(f"{link.prefix}.room", answer)
    await link.listen(f"{link.prefix}.at.{EVIL}", answer)
    await link.ask(f"{prefix}.nobody", b"", 1)
    try:
        yield
    finally:
        await link.close()


def _cell(**changed: Any) -> asks.Cell:
    told = {"raised": False, "ended": None, "left": [], "unseen": 0, "logs": b"", "sizes": [0], **changed}
    return asks.Cell(**told)


def _to_run(said: Any, to_fetch: Any = None) -> Lies:
    def lies(asked: asks.Question) -> Any:
        if not isinstance(asked, asks.Ask):
            return asks.Done()
        return to_fetch if isinstance(asked.do, asks.Fetch) else said

    return lies


@pytest.mark.parametrize(
    ("number", "said", "to_fetch"),
    [
        (1, b"\xc1 nonsense", None),
        (2, asks.Offer(EVIL, "x"), None),
        (3, asks.Bytes(b"x"), None),
        (4, asks.encode(_cell(unseen=-1)), None),
        (5, asks.encode(_cell(sizes=[10**12])), None),
        (6, asks.encode(_cell(left=[("a", 10**12)])), None),
        (7, _cell(sizes=[100_000]), asks.Bytes(b"x")),
        (8, _cell(sizes=[0, 100]), asks.Bytes(b"<script>".ljust(100))),
        (9, _cell(sizes=[0] + [1] * 50), asks.Bytes(b"x")),
        (10, asks.Busy(), None),
    ],
)
async def test_lies_about_a_cell_end_the_session(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch, number: int, said: Any, to_fetch: Any
) -> None:
    monkeypatch.setattr(remote, "_MORE", 0.3)
    prefix = f"lies-{number}"
    async with lying(nats, prefix, _to_run(said, to_fetch)), server(nats, prefix) as driver:
        session = await driver.start(named())
        ran = await session.run("1", 0.1)
        assert (ran.ended, ran.plots, ran.left, session.over) == ("died", (), (), True)


async def test_names_that_would_surprise_are_not_told(nats: NatsServer) -> None:
    left = [("../x", 1), ("/etc/passwd", 1), ("a\nb", 1), (".x", 1), ("", 1), ("fine.txt", 1)]
    async with lying(nats, "names", _to_run(_cell(left=left))), server(nats, "names") as driver:
        ran = await (await driver.start(named())).run("1")
        assert [each.name for each in ran.left] == ["fine.txt"]


async def test_a_file_without_end_is_not_taken(nats: NatsServer) -> None:
    whole = asks.Bytes(bytes(256 * 1024))
    async with lying(nats, "endless", _to_run(whole)), server(nats, "endless") as driver:
        taking, size = (await driver.start(named())).take("a"), 0
        while size < MOST_DISK:
            size += len(await anext(taking))
        with pytest.raises(SandboxTrouble, match="too large"):
            await anext(taking)


async def test_what_is_wrong_is_shown_without_what_can_not_be(nats: NatsServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    trouble = asks.Trouble("full\x1b[2J\nreally")
    async with lying(nats, "trouble", _to_run(trouble)), server(nats, "trouble") as driver:
        session = await driver.start(named())
        with pytest.raises(SandboxTrouble) as caught:
            await session.put("a", source)
        assert caught.value.message == "full [2J really"


async def test_a_name_that_is_no_code_workers_leads_nowhere(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_ANSWER", 0.5)
    link = _link(nats, "named")
    await link.open("evil")

    async def offer(message: Msg) -> None:
        link.send(message.reply, b"\x93\xa5offer\xa8events.x\xa1t")

    await link.listen(f"{link.prefix}.room", offer)
    driver = remote.Remote(_link(nats, "named"), RandomIds())
    try:
        assert await driver.missing() is not None
    finally:
        await driver.close()
        await link.close()
