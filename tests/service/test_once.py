"""Doing things once: what is answered from a receipt is what was answered at first, and is not done again."""

import msgspec
import pytest

from clew.core.content import text_content
from clew.core.errors import KeyReused, NotFound
from clew.core.tools import FunctionDefinition, FunctionTool
from clew.service import agents, messages, runs, threads
from clew.service.commands import NewMessage, NewThread, StartRun
from clew.service.context import Services
from clew.service.following import RunKeys
from clew.service.once import Key
from clew.service.starting import start
from clew.store.pages import PageRequest
from clew.wire import objects
from tests.support.clock import ManualClock
from tests.support.store import PROJECT

pytestmark = pytest.mark.anyio

FIELDS = {
    "model": "scripted",
    "temperature": 0.1,
    "tools": [FunctionTool(function=FunctionDefinition(name="look", parameters={"maximum": 1e300}))],
    "metadata": {"ключ": "\x00 \u2028 🧶"},
}


def key(asked: str = "this", *, window: int | None = None, value: str = "key_1") -> Key:
    return Key(value=value, fingerprint=lambda: asked, window=window)


async def test_an_agent_is_made_once_and_shown_with_the_same_bytes(services: Services) -> None:
    first, again = [await agents.create(services, PROJECT, FIELDS, key()) for _ in range(2)]
    assert msgspec.json.encode(objects.agent(first)) == msgspec.json.encode(objects.agent(again))
    assert len((await agents.page(services, PROJECT, PageRequest())).items) == 1


async def test_a_run_is_started_once_and_cancelled_once(services: Services) -> None:
    agent = await agents.create(services, PROJECT, FIELDS)
    new = NewThread(messages=[NewMessage(role="user", content=[text_content("Go.")])])
    command = StartRun(agent_id=agent.id, thread=new)
    first, again = [await start(services, PROJECT, command, key()) for _ in range(2)]
    assert first == again
    assert first.thread is not None
    assert len((await threads.page(services, PROJECT, PageRequest(), {})).items) == 1
    keys = RunKeys(PROJECT, first.run.thread_id, first.run.id)
    cancelled, repeated = [await runs.cancel(services, keys, key(value="key_2")) for _ in range(2)]
    assert cancelled == repeated
    assert cancelled.status == "cancelling"


async def test_a_key_serves_one_request(services: Services) -> None:
    await threads.create(services, PROJECT, NewThread(), key("this"))
    with pytest.raises(KeyReused) as refused:
        await threads.create(services, PROJECT, NewThread(), key("that"))
    assert refused.value.key == "key_1"
    assert len((await threads.page(services, PROJECT, PageRequest(), {})).items) == 1
    await threads.create(services, "beta", NewThread(), key("that"))


async def test_a_key_that_serves_other_purposes_counts_for_a_while(
    services: Services, own_clock: ManualClock
) -> None:
    first = await threads.create(services, PROJECT, NewThread(), key(window=1000))
    own_clock.advance(1000)
    assert await threads.create(services, PROJECT, NewThread(), key(window=1000)) == first
    assert await threads.create(services, PROJECT, NewThread(), key("that", window=1000)) != first
    second = await threads.create(services, PROJECT, NewThread(), key(window=1000))
    own_clock.advance(1001)
    assert await threads.create(services, PROJECT, NewThread(), key(window=1000)) != second


async def test_what_is_refused_leaves_no_receipt(services: Services) -> None:
    new = NewMessage(role="user", content=[text_content("Hello.")])
    for _ in range(2):
        with pytest.raises(NotFound):
            await messages.add(services, PROJECT, "thread_none", new, key=key())
    thread = await threads.create(services, PROJECT, NewThread())
    added = await messages.add(services, PROJECT, thread.id, new, key=key())
    assert await messages.read(services, PROJECT, thread.id, added.id) == added
