"""Sessions at code workers: real processes on a real bus."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nats as nats_client
import pytest
from nats.aio.msg import Msg

from clew.bus.nats_access import BusAddress
from clew.bus.nats_link import NatsLink
from clew.ids import RandomIds
from clew.remote import asks
from clew.remote.driver import PREFIX, Remote
from clew.sandbox.sandbox import Ran, SandboxTrouble, Session
from clew.vault import code_key
from tests.sandbox.conftest import unavailable
from tests.sandbox.processes import alive, descendants
from tests.support.code_workers import CodeWorker, code_worker, server
from tests.support.nats import SECRET, NatsServer, running_nats
from tests.support.wait import until, until_async

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(90),
    pytest.mark.skipif(unavailable("bwrap") is not None, reason=str(unavailable("bwrap"))),
]


@pytest.fixture(scope="module")
def worker(nats: NatsServer) -> Iterator[CodeWorker]:
    """A code worker that no test kills."""
    with code_worker(nats, "far") as made:
        yield made


@pytest.fixture
async def far(nats: NatsServer, worker: CodeWorker) -> AsyncIterator[Remote]:
    """A server's driver."""
    async with server(nats, "far") as made:
        yield made


def named() -> str:
    return RandomIds().new("session_")


async def busy(cell: "asyncio.Future[Ran]") -> None:
    """Return when a cell is under way: those that are short would have ended."""
    assert not (await asyncio.wait({cell}, timeout=1.3))[0]


async def _taken(session: Session, name: str) -> bytes:
    return b"".join([piece async for piece in session.take(name)])


async def test_cells_keep_variables_and_say_all_that_came_of_them(
    far: Remote, tell: Callable[[str], None]
) -> None:
    began = time.perf_counter()
    session = await far.start(named())
    started = time.perf_counter() - began
    assert (await session.run("x = 40\nprint('ü')")).logs == "ü\n"
    ran = await session.run("x + 2")
    assert (ran.logs, ran.raised, ran.left) == ("42\n", False, ())
    ran = await session.run("1 / 0")
    assert ran.raised
    assert "ZeroDivisionError" in ran.logs
    times = []
    for _ in range(30):
        began = time.perf_counter()
        await session.run("1")
        times.append(time.perf_counter() - began)
    tell(
        f"code worker over the bus: session start {started * 1000:.0f} ms, "
        f"cell {sorted(times)[len(times) // 2] * 1000:.1f} ms (median of 30)"
    )
    await session.end()
    assert session.over


async def test_much_is_carried_in_pieces(far: Remote) -> None:
    session = await far.start(named())
    ran = await session.run("print('a' * 900_000)")
    assert ran.logs == "a" * 900_000 + "\n"
    long = "x = '" + "b" * 900_000 + "'\nlen(x)"
    assert (await session.run(long)).logs == "900000\n"
    assert "longer than" in (await session.run("#" * 1_100_000)).logs
    code = "for n in range(12):\n    open(f'{n}.txt', 'w').write('x' * n)"
    assert len((await session.run(code)).left) == 12
    await session.end()


async def test_files_go_in_and_come_out_whole(
    far: Remote, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    session = await far.start(named())
    source = tmp_path / "source"
    for content in (b"", b"short", os.urandom(far.most), os.urandom(5 * 1024 * 1024)):
        source.write_bytes(content)
        began = time.perf_counter()
        await session.put("in ü.bin", source)
        put = time.perf_counter() - began
        ran = await session.run("import shutil\nshutil.copy('in ü.bin', 'out.bin');")
        assert [(each.name, each.size) for each in ran.left] == [("out.bin", len(content))]
        began = time.perf_counter()
        assert await _taken(session, "out.bin") == content
    took = time.perf_counter() - began
    tell(f"code worker over the bus: 5 MB in {put * 1000:.0f} ms, out {took * 1000:.0f} ms")
    with pytest.raises(SandboxTrouble, match="can't be taken"):
        await _taken(session, "nothing")
    for name in ("../x", "a/b", ".hidden", "a\nb"):
        with pytest.raises(SandboxTrouble, match="no plain name"):
            await session.put(name, source)
    assert (await session.run("1")).logs == "1\n"
    await session.end()


async def test_a_cell_that_is_called_off_stops_and_its_session_goes_on(far: Remote) -> None:
    session = await far.start(named())
    await session.run("x = 1")
    cell = asyncio.ensure_future(session.run("import time; time.sleep(50)"))
    await busy(cell)
    began = time.monotonic()
    cell.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cell
    assert time.monotonic() - began < 1.5
    assert not session.over
    assert (await session.run("x")).logs == "1\n"
    await session.end()
    with pytest.raises(SandboxTrouble):
        await session.run("1")


async def test_a_cell_that_does_not_stop_ends_its_session(far: Remote) -> None:
    session = await far.start(named())
    ran = await session.run("9**9**8", 0.3)
    assert ran.ended == "time"
    assert session.over


async def test_a_code_worker_that_is_killed_ends_its_cells_within_seconds(nats: NatsServer) -> None:
    with code_worker(nats, "killed") as one:
        async with server(nats, "killed") as driver:
            session = await driver.start(named())
            below = descendants(one.pid)
            cell = asyncio.ensure_future(session.run("import time; time.sleep(50)"))
            await busy(cell)
            began = time.monotonic()
            one.kill()
            ran = await cell
            assert time.monotonic() - began < 8
            assert (ran.ended, ran.raised, session.over) == ("died", True, True)
            assert below
            until(lambda: not any(map(alive, below)))
            with pytest.raises(SandboxTrouble, match="no code worker answers"):
                await driver.start(named())


async def test_two_servers_have_one_session(nats: NatsServer, worker: CodeWorker, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    async with server(nats, "far") as one, server(nats, "far") as other:
        first = await one.start(named_id := named())
        assert first.place == worker.name
        await first.run("x = 7")
        stuck = asyncio.ensure_future(first.run("import time; time.sleep(50)"))
        await busy(stuck)
        second = await other.attach(named_id, worker.name)
        assert second is not None
        assert (await second.run("x")).logs == "7\n"
        # The former asker is told that it is not his any more, and does nothing to it.
        with pytest.raises(SandboxTrouble):
            await stuck
        with pytest.raises(SandboxTrouble):
            await first.put("a", source)
        await first.end()
        assert (await second.run("x")).logs == "7\n"
        third = await one.attach(named_id, worker.name)
        assert third is not None
        assert (await third.run("x")).logs == "7\n"
        assert await one.attach(named_id, "code_someoneelse") is None
        assert await one.attach(named_id, "code_>.events") is None
        assert await one.attach(named_id, "worker_abc") is None
        await third.end()
        assert await other.attach(named_id, worker.name) is None


async def test_a_session_outlives_its_server(nats: NatsServer, worker: CodeWorker) -> None:
    async with server(nats, "far") as one:
        session = await one.start(named_id := named())
        await session.run("x = 7")
    async with server(nats, "far") as other:
        found = await other.attach(named_id, worker.name)
        assert found is not None
        assert (await found.run("x")).logs == "7\n"
        await found.end()


async def test_what_strangers_say_is_not_believed(nats: NatsServer, worker: CodeWorker, far: Remote) -> None:
    """Forged with another key, the installation's own among them; and recorded, and said again."""
    session = await far.start(named())
    await session.run("x = 0")
    heard: list[Msg] = []
    client = await nats_client.connect(nats.url)
    try:

        async def hear(message: Msg) -> None:
            heard.append(message)

        await client.subscribe("far.code.at.>", cb=hear)
        await client.flush()
        await session.run("x += 1")
        await until_async(lambda: bool(heard))
        for message in heard[:]:
            await client.publish(message.subject, message.data, message.reply)
            await client.publish(message.subject, message.data, "stranger.inbox")
            await client.publish("far.code.room", message.data, "stranger.inbox")
        await client.flush()
        assert (await session.run("x")).logs == "1\n"
    finally:
        await client.close()
    for key in (SECRET, b"guessed" * 8):
        link = NatsLink(BusAddress(nats.url), f"far.{PREFIX}", key)
        await link.open("stranger")
        try:
            assert await link.ask("far.code.room", asks.encode(asks.Room()), 0.5) is None
            assert await link.ask(f"far.code.at.{worker.name}", b"\x00", 0.5) is None
        finally:
            await link.close()
    assert "dropped" in worker.log
    await session.end()


def _environment(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


async def test_a_code_worker_holds_nothing_but_its_own_key(nats: NatsServer, worker: CodeWorker) -> None:
    environment = _environment(worker.pid)
    assert code_key(SECRET).encode() in environment
    named_there = {each.partition(b"=")[0] for each in environment.split(b"\0") if each.startswith(b"CLEW_")}
    assert named_there == {b"CLEW_DATA_DIR", b"CLEW_BUS_URL", b"CLEW_BUS_PREFIX", b"CLEW_CODE_KEY"}
    assert SECRET not in environment
    # What is sealed with its key is no message of the installation.
    link = NatsLink(BusAddress(nats.url), "far", code_key(SECRET).encode())
    theirs = NatsLink(BusAddress(nats.url), "far", SECRET)
    await link.open("taken over")
    await theirs.open("server")
    try:
        got: list[Msg] = []

        async def hear(message: Msg) -> None:
            got.append(message)

        await theirs.listen("far.events.run_1", hear)
        # Asking anything comes behind listening: then the server of the bus knows who listens.
        assert await theirs.ask("far.nobody", b"", 5) is None
        link.send("far.events.run_1", b"forged")
        await until_async(lambda: theirs.dropped.count == 1)
        assert got == []
    finally:
        await link.close()
        await theirs.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLEW_SECRET_KEY", "x" * 40),
        ("CLEW_DATABASE_URL", "postgresql://clew@db/clew"),
        ("CLEW_MODEL_API_KEY_FILE", __file__),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ],
)
def test_it_does_not_start_with_what_it_must_not_have(
    nats: NatsServer, tmp_path: Path, variable: str, value: str
) -> None:
    settings = {"CLEW_BUS_URL": nats.url, "CLEW_CODE_KEY": code_key(SECRET), variable: value}
    made = CodeWorker(tmp_path, settings)
    assert made.process.wait(60) == 2
    assert f"must not have {variable}" in made.log
    assert value not in made.log


def _of_the_documents() -> str:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    block = re.search(r"```\n( +\{\n +nkey: UCODEWORKERPUBLICKEY\n.*?)```", page, re.DOTALL)
    assert block is not None
    return block[1]


async def test_the_user_of_the_documents_can_do_what_it_must_and_no_more() -> None:
    its = _of_the_documents().replace("nkey: UCODEWORKERPUBLICKEY", 'user: "code", password: "pw"')
    servers = '{ user: "clew", password: "pw", permissions { publish = ["clew.>"], subscribe = ["clew.>"] } }'
    with running_nats(f"authorization {{ users = [ {servers}\n{its} ] }}") as bus:
        at = bus.url.replace("nats://", "nats://code:pw@")
        with code_worker(bus, "clew", bus_url=at):
            link = NatsLink(
                BusAddress(bus.url.replace("nats://", "nats://clew:pw@")),
                f"clew.{PREFIX}",
                code_key(SECRET).encode(),
            )
            driver = Remote(link, RandomIds())
            assert await driver.missing() is None
            session = await driver.start(named())
            assert (await session.run("1")).logs == "1\n"
            await session.end()
            await driver.close()
        refused: list[str] = []

        async def told(error: Exception) -> None:
            refused.append(str(error))

        client = await nats_client.connect(at, error_cb=told)
        try:
            await client.publish("clew.events.run_1", b"forged")
            await client.subscribe("clew.events.>")
            await until_async(lambda: len(refused) == 2)
            assert all("permissions violation" in each.lower() for each in refused)
        finally:
            await client.close()
