"""Events across processes: every reader sees the one order, whatever the bus loses and whenever it joins.

Two nodes share a PostgreSQL database and a NATS server: one works, the other only reads. The reader's
network drops messages, and readers leave and come back anywhere, also in the middle of a word.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from clew.bus.nats_access import BusAddress
from clew.bus.nats_bus import NatsBus
from clew.bus.nats_link import Handler
from clew.clock import SystemClock
from clew.core.entries import ENDINGS, Entry, TextPiece
from clew.core.records import Message, Run
from clew.engine.assemble import this_process
from clew.engine.engine import Engine
from clew.model.catalogue import one_model
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.process import system_process
from clew.service.context import Services
from clew.service.following import Follower, RunKeys
from clew.store import agents, messages, runs, threads
from clew.store.postgres import PostgresDatabase
from clew.store.statement import Transaction
from clew.testing.scripted_model import ScriptedModel
from clew.tools.searcher import Searcher
from clew.tools.toolbox import Toolbox
from tests.support import store
from tests.support.blobs import NO_BLOBS
from tests.support.nats import SECRET, NatsServer
from tests.support.store import PROJECT, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

Drop = Callable[[], bool]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


class Node:
    """One process's database connections, bus and engine."""

    def __init__(self, url: str, nats: NatsServer, model: ScriptedModel, *, works: bool, drop: Drop) -> None:
        process = system_process()
        clock = process.clock
        self.db = PostgresDatabase(url, clock=clock, alone=False)
        row = this_process(process, works=works)
        prefix = url.rpartition("/")[2]
        bus = NatsBus(
            BusAddress(nats.url), prefix=prefix, secret=SECRET, worker=row.id, limit=100 if works else 0
        )
        _lose_events(bus, drop)
        models = one_model(RemoteModel(Endpoint(url=model.url), timeout=10, clock=clock))
        self.engine = Engine(self.db, row=row, process=process, bus=bus, models=models, toolbox=Toolbox({}))
        self.services = Services(
            db=self.db,
            dispatch=self.engine.dispatch,
            events=self.engine.events,
            process=process,
            models=models,
            blobs=NO_BLOBS,
            searcher=Searcher(self.db, None, SystemClock()),
            run_expiry=600_000,
        )

    async def start(self) -> None:
        await self.db.open()
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop(0)
        await self.db.close()


def _lose_events(bus: NatsBus, drop: Drop) -> None:
    """Let this node's network lose events that others publish."""
    link = bus.events.link
    listen = link.listen

    async def lossy(subject: str, handler: Handler) -> object:
        async def receive(message: object) -> None:
            if not (".events." in subject and drop()):
                await handler(message)  # type: ignore[arg-type]

        return await listen(subject, receive)

    link.listen = lossy  # type: ignore[method-assign, assignment]


@asynccontextmanager
async def nodes(
    url: str, nats: NatsServer, model: ScriptedModel, drop: Drop
) -> AsyncIterator[tuple[Node, Node]]:
    working = Node(url, nats, model, works=True, drop=lambda: False)
    reading = Node(url, nats, model, works=False, drop=drop)
    await working.start()
    await reading.start()
    try:
        yield working, reading
    finally:
        await reading.stop()
        await working.stop()


async def _add_run(tx: Transaction, number: int) -> RunKeys:
    keys = RunKeys(PROJECT, f"thread_{number}", f"run_{number}")
    await threads.add(tx, store.thread(keys.thread_id))
    await messages.add(tx, store.message(f"msg_{number}", keys.thread_id))
    await runs.add(tx, store.run(keys.run_id, keys.thread_id, expires_at=4_000_000_000_000, position=2))
    return keys


async def _read_to_the_end(node: Node, keys: RunKeys, chance: random.Random, cuts: bool) -> list[Entry]:
    """Follow a run from its start to its end; with ``cuts``, leave and come back again and again."""
    told: list[Entry] = []
    seen = 0
    silent = False
    while True:
        follower = Follower(node.services, keys, seen)
        try:
            for _ in range(chance.randint(1, 6) if cuts else 10**9):
                entries = await (follower.look() if silent else follower.take(list))
                silent = False
                told += entries
                if follower.over or (entries and entries[-1].kind in ENDINGS):
                    return told
                if not entries:
                    try:
                        async with asyncio.timeout(0.5):
                            await follower.wait()
                    except TimeoutError:
                        silent = True
        finally:
            follower.close()
        if told:
            # Come back somewhere before the end of what was seen, also in the middle of a piece.
            back = chance.randint(0, min(3, told[-1].size - 1)) if told[-1].size > 1 else 0
            seen = told[-1].end - back
            told[-1:] = _shortened(told[-1], back)


def _shortened(entry: Entry, by: int) -> list[Entry]:
    """Return a piece of text without its last characters."""
    if by == 0 or not isinstance(entry.subject, TextPiece):
        return [entry]
    piece = entry.subject
    return [
        Entry(
            entry.position,
            entry.kind,
            TextPiece(piece.message_id, piece.value[:-by], piece.part, piece.first),
        )
    ]


def _check(told: list[Entry], said: str) -> None:
    """Hold a reader's events against the one order."""
    assert told[0].position <= 3
    ends = 0
    for entry in told:
        assert entry.position == ends + 1, "there is a gap, or something came twice"
        ends = entry.end
    assert isinstance(told[-1].subject, Run)
    assert told[-1].kind == "run.completed"
    assert "".join(e.subject.value for e in told if isinstance(e.subject, TextPiece)) == said
    finished = [e.subject for e in told if isinstance(e.subject, Message) and e.kind == "message.completed"]
    assert [text_of(m) for m in finished] == [said]


WORDS = [f"word{number} " for number in range(120)]


async def _agent(working: Node) -> None:
    await working.db.write(agents.add, store.agent())


@pytest.mark.parametrize("loss", [0.0, 0.2, 0.9, 1.0])
async def test_every_reader_sees_the_one_order(
    postgres_url: str, nats: NatsServer, model: ScriptedModel, loss: float
) -> None:
    chance = random.Random(f"loss {loss}")
    async with nodes(postgres_url, nats, model, lambda: chance.random() < loss) as (working, reading):
        await _agent(working)
        for number in range(3):
            held = model.hold("".join(WORDS[:20]), *WORDS[20:])
            keys = await working.db.write(_add_run, number)
            readers = [
                asyncio.ensure_future(_read_to_the_end(node, keys, chance, cuts))
                for node in (reading, working)
                for cuts in (False, True, True)
            ]
            working.engine.dispatch.advance(keys.run_id)
            await held.gates[0].reached.wait_async()
            late = asyncio.ensure_future(_read_to_the_end(reading, keys, chance, True))
            for gate in held.gates:
                gate.release()
                await asyncio.sleep(0)
            for told in await asyncio.gather(*readers, late):
                _check(told, "".join(WORDS))
            _check(await _read_to_the_end(reading, keys, chance, True), "".join(WORDS))


async def test_text_is_seen_while_it_is_being_said_though_a_piece_was_lost(
    postgres_url: str, nats: NatsServer, model: ScriptedModel
) -> None:
    """What is missing is asked for, and does not have to wait for the commit."""
    dropped: list[int] = []

    def drop() -> bool:
        dropped.append(len(dropped))
        return len(dropped) in (4, 5)

    async with nodes(postgres_url, nats, model, drop) as (working, reading):
        await _agent(working)
        held = model.hold("one ", "two ", "three ", "four ", "five ")
        keys = await working.db.write(_add_run, 1)
        follower = Follower(reading.services, keys, 0)
        working.engine.dispatch.advance(keys.run_id)
        said = ""
        for number, gate in enumerate(held.gates):
            await gate.reached.wait_async()
            if number == len(held.gates) - 1:
                async with asyncio.timeout(10):
                    while said != "one two three four five ":
                        entries = await follower.take(list)
                        said += "".join(e.subject.value for e in entries if isinstance(e.subject, TextPiece))
                        if not entries:
                            await follower.wait()
            gate.release()
        follower.close()
        assert len(dropped) > 5


async def test_nothing_is_kept_of_runs_that_nobody_reads(
    postgres_url: str, nats: NatsServer, model: ScriptedModel
) -> None:
    chance = random.Random(1)
    async with nodes(postgres_url, nats, model, lambda: False) as (working, reading):
        await _agent(working)
        for number in range(5):
            keys = await working.db.write(_add_run, number)
            reader = asyncio.ensure_future(_read_to_the_end(reading, keys, chance, True))
            working.engine.dispatch.advance(keys.run_id)
            await reader
        await working.engine.stop()
        for node in (working, reading):
            events = node.engine.events
            assert not events._remote  # type: ignore[attr-defined]
            assert not events._ends  # type: ignore[attr-defined]
            assert not events._private  # type: ignore[attr-defined]
        assert not reading.engine.events.local._windows  # type: ignore[attr-defined]
