"""A loop that is behind lets so much through in one step, in order, and lets others in between."""

import asyncio
from collections import Counter

import pytest

from clew.bus.local_events import LocalEvents
from clew.bus.turnstile import Turnstile
from clew.core.entries import Entry, EventKind, TextPiece

pytestmark = pytest.mark.anyio
RUN = "run_1"


def _text(position: int, value: str) -> Entry:
    return Entry(position, EventKind.MESSAGE_DELTA, TextPiece("msg_1", value))


async def test_nobody_waits_while_there_is_room() -> None:
    turnstile, went = Turnstile(width=2), list[int]()
    for step in range(3):
        turnstile.enter(lambda step=step: went.append(step))  # type: ignore[misc]
        assert went[-1] == step
        await asyncio.sleep(0)


async def test_who_comes_to_a_full_turnstile_waits_in_order() -> None:
    turnstile, went, step = Turnstile(width=2), list[tuple[int, int]](), 0
    for number in range(7):
        turnstile.enter(lambda number=number: went.append((number, step)))  # type: ignore[misc]
    assert (went, turnstile.full) == ([(0, 0), (1, 0)], True)
    while len(went) < 7:
        step += 1
        await asyncio.sleep(0)
    assert [number for number, _ in went] == list(range(7))
    assert max(Counter(step for _, step in went).values()) == 2
    await asyncio.wait_for(turnstile.through(), 5)


async def test_a_place_that_is_given_up_holds_up_nobody() -> None:
    turnstile = Turnstile(width=1)

    async def wait() -> None:
        turnstile.enter(lambda: None)
        await turnstile.through()

    given_up, kept = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait_for(kept, 5)
    assert given_up.cancelled()


async def test_what_comes_while_a_reader_waits_is_one_piece() -> None:
    events = LocalEvents()
    events.turnstile = Turnstile(width=1)
    reader = events.subscribe(RUN)
    reading = asyncio.ensure_future(reader.wait())
    await asyncio.sleep(0)
    events.turnstile.enter(lambda: None)  # nothing more goes through in this step
    position = 1
    for word in ("one ", "two ", "three "):
        events.publish(RUN, [_text(position, word)])
        position += len(word)
        assert not reading.done()
    await asyncio.wait_for(reading, 5)
    made = reader.made(0, list)
    assert made is not None
    assert (made.end, made.value) == (position - 1, [_text(1, "one two three ")])
