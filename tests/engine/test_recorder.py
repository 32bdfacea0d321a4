"""What a recorder says of an answer's pace."""

import asyncio

import pytest

from clew.bus.local_events import LocalEvents
from clew.bus.rate import BUSY
from clew.core.records import Usage
from clew.engine.recorder import TurnRecorder
from clew.model.chat import Finished, TextDelta
from tests.support import store
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds


@pytest.mark.anyio
@pytest.mark.parametrize("busy", [True, False])
async def test_only_the_later_words_of_a_busy_process_may_come_together(busy: bool) -> None:
    events = LocalEvents()
    recorder = TurnRecorder(store.run(), ids=CountingIds(), clock=ManualClock(), events=events)
    rate, an_hour_later = events.turnstile.rate, asyncio.get_running_loop().time() + 3600
    rate.count(0, an_hour_later - 1)
    assert rate.count(BUSY * 2 if busy else 0, an_hour_later) is busy  # and so it stays until then
    rests = []
    for word in ("One ", "two ", "three ", "four ", "five"):
        recorder.add([TextDelta(word)])
        rests.append(recorder.may_rest)
    recorder.add([Finished("stop", Usage())])
    assert rests == [False, False, False, busy, busy]
    assert not recorder.may_rest
    assert recorder.turn().said[0].text == "One two three four five"
