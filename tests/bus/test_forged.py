"""Somebody who reaches the bus, and has not the secret: nothing that he sends is believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from clew.bus import packets
from clew.bus.local_events import LocalSubscription
from clew.bus.nats_access import BusAddress
from clew.bus.nats_bus import NatsBus
from clew.bus.seal import Seal
from clew.core.decisions import RunState
from clew.core.entries import Entry, EventKind, TextPiece
from tests.support.nats import SECRET, NatsServer, settled
from tests.support.wait import until_async

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


class Recorder:
    """A worker that takes runs and does nothing with them."""

    def __init__(self) -> None:
        self.advanced: list[str] = []
        self.release = asyncio.Event()

    async def advance(self, run_id: str, claimed: RunState | None = None, acknowledge: object = None) -> None:
        self.advanced.append(run_id)
        if callable(acknowledge):
            acknowledge()
        await self.release.wait()

    def interrupt(self, run_id: str) -> bool:
        return run_id in self.advanced


@asynccontextmanager
async def bus(server: NatsServer, prefix: str, worker: Recorder | None = None) -> AsyncIterator[NatsBus]:
    made = NatsBus(
        BusAddress(server.url), prefix=prefix, secret=SECRET, worker="worker_1", limit=5 if worker else 0
    )
    made.dispatch.serve(worker, lambda due: None)
    await made.open(lambda: None)
    try:
        yield made
    finally:
        if worker is not None:
            worker.release.set()
        await made.dispatch.close()
        await made.close()


@asynccontextmanager
async def stranger(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats_client.connect(server.url)
    try:
        yield client
    finally:
        await client.close()


def _piece(position: int, text: str) -> Entry:
    return Entry(position, EventKind.MESSAGE_DELTA, TextPiece("msg_1", text, 0, position == 1))


def _said(reader: LocalSubscription) -> str:
    entries = reader.since(0) or ()
    return "".join(entry.subject.value for entry in entries if isinstance(entry.subject, TextPiece))


async def test_forged_altered_and_moved_events_reach_no_reader(nats: NatsServer) -> None:
    async with (
        bus(nats, "forged-1") as working,
        bus(nats, "forged-1") as reading,
        stranger(nats) as client,
    ):
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        await client.subscribe("forged-1.events.>", cb=heard.put)
        await settled(client)
        reader, other = reading.events.subscribe("run_1"), reading.events.subscribe("run_2")
        listening = reading._link._client._subs
        wanted = {"forged-1.events.run_1", "forged-1.events.run_2"}
        await until_async(lambda: wanted <= {each.subject for each in listening.values()})
        await settled(reading._link._client)

        working.events.publish("run_1", [_piece(1, "true ")])
        seen = await heard.get()
        await until_async(lambda: _said(reader) == "true ")

        lie = packets.encode(5, [_piece(6, "lie")], commit=False)
        altered = seen.data.replace(b"true", b"lies")
        assert altered != seen.data
        for subject, data in (
            ("forged-1.events.run_1", lie),
            (
                "forged-1.events.run_1",
                Seal(b"a secret of somebody else's own").close("forged-1.events.run_1", lie),
            ),
            ("forged-1.events.run_1", altered),
            ("forged-1.events.run_1", b""),
            ("forged-1.events.run_2", seen.data),
        ):
            await client.publish(subject, data)
        await client.publish("forged-1.events.run_1", seen.data, reply="forged-1.events.run_2")
        await settled(client)
        await until_async(lambda: reading.dropped == 6)
        working.events.publish("run_1", [_piece(6, "words")])
        await until_async(lambda: _said(reader) == "true words")
        assert _said(other) == ""
        assert working.dropped == 0


async def test_a_question_sent_again_with_another_place_for_its_answer_has_none(nats: NatsServer) -> None:
    """Else its answer, with a good tag, could be had for a subject of the stranger's choice."""
    worker = Recorder()
    async with bus(nats, "forged-2", worker) as working, bus(nats, "forged-2") as reading:
        working.dispatch.advance("run_1")
        await until_async(lambda: worker.advanced == ["run_1"])
        working.events.publish("run_1", [_piece(1, "true ")])
        async with stranger(nats) as client:
            questions: asyncio.Queue[Msg] = asyncio.Queue()
            answers: asyncio.Queue[Msg] = asyncio.Queue()
            await client.subscribe("forged-2.windows", cb=questions.put)
            await client.subscribe("forged-2.events.run_2", cb=answers.put)
            await settled(client)
            reader = reading.events.subscribe("run_1")
            await until_async(lambda: _said(reader) == "true ")
            question = await questions.get()
            await client.publish("forged-2.windows", question.data, reply="forged-2.events.run_2")
            await until_async(lambda: working.dropped == 1)
            assert answers.empty()


async def test_forged_answers_do_not_stand_in_for_true_ones(nats: NatsServer) -> None:
    worker = Recorder()
    async with bus(nats, "forged-3", worker) as working, bus(nats, "forged-3") as reading:
        working.dispatch.advance("run_1")
        await until_async(lambda: worker.advanced == ["run_1"])
        working.events.publish("run_1", [_piece(1, "true ")])
        async with stranger(nats) as client:
            lie = packets.encode(0, [_piece(1, "lie and more lies")], commit=True)

            async def answer(question: Msg) -> None:
                await client.publish(question.reply, lie)

            await client.subscribe("forged-3.windows", cb=answer)
            await settled(client)
            reader = reading.events.subscribe("run_1")
            await until_async(lambda: _said(reader) == "true ")


async def test_forged_runs_and_interrupts_are_taken_from_nobody(nats: NatsServer) -> None:
    worker = Recorder()
    async with (
        bus(nats, "forged-4", worker) as working,
        bus(nats, "forged-4") as serving,
        stranger(nats) as client,
    ):
        await client.jetstream().publish("forged-4.runs.run_lie", b"run_lie")
        moved = Seal(SECRET).close("forged-4.runs.run_1", b"run_1")
        await client.jetstream().publish("forged-4.runs.run_2", moved)
        await client.publish("forged-4.attention", b"run_1")
        inbox = working.dispatch._inbox
        answers: asyncio.Queue[Msg] = asyncio.Queue()
        await client.subscribe("forged-4.answers", cb=answers.put)
        await client.publish(inbox, Seal(SECRET).close(inbox, b"run_9"), reply="forged-4.answers")
        await settled(client)
        await until_async(lambda: working.dropped == 4)
        serving.dispatch.advance("run_3")
        await until_async(lambda: worker.advanced == ["run_3"])
        while (await client.jetstream().stream_info("forged-4-runs")).state.messages:
            pass  # what is not ours is taken out of the queue too, and what is ours when it has been taken up
        assert answers.empty(), "nobody is told anything who is not JetStream"
