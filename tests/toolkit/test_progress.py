"""What is told of a run when its events come again, cut elsewhere, or differ."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from clew.toolkit._time import REAL_TIME
from clew.toolkit.clients.sse import ServerEvent
from clew.toolkit.monitor.events import Event, StatusChanged, TextDelta, TextRestarted
from clew.toolkit.monitor.progress import Progress

_STATES = ["queued", "in_progress", "requires_action", "queued", "in_progress", "completed"]


def _run(status: str) -> ServerEvent:
    return ServerEvent(f"thread.run.{status}", f'{{"id":"run_1","status":"{status}"}}'.encode())


def _created() -> ServerEvent:
    return ServerEvent("thread.message.created", b'{"id":"msg_1"}')


def _piece(text: str) -> ServerEvent:
    part = f'{{"index":0,"type":"text","text":{{"value":"{text}"}}}}'
    return ServerEvent("thread.message.delta", f'{{"id":"msg_1","delta":{{"content":[{part}]}}}}'.encode())


def _pieces(text: str, cuts: list[int]) -> list[ServerEvent]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [_piece(text[begin:end]) for begin, end in itertools.pairwise(places)]


def _told(*streams: list[ServerEvent]) -> list[Event]:
    events: list[Event] = []
    progress = Progress(REAL_TIME, (events.append,))
    for number, stream in enumerate(streams):
        if number:
            progress.begin_again()
        for event in stream:
            progress.saw_event(event)
    return events


def _text(events: list[Event]) -> str:
    text = ""
    for event in events:
        if isinstance(event, TextRestarted):
            text = ""
        elif isinstance(event, TextDelta):
            text += event.text
    return text


_CUTS = st.lists(st.integers(0, 100), max_size=5)
_WORDS = st.text("abc", min_size=1, max_size=20)


@given(_WORDS, _CUTS, st.integers(0, 100), _CUTS, st.integers(0, 100), _CUTS)
def test_text_that_comes_again_is_told_once(
    text: str, first: list[int], heard: int, second: list[int], heard_again: int, third: list[int]
) -> None:
    one = _pieces(text, first)[: heard % 6]
    two = _pieces(text, second)[: heard_again % 6]
    events = _told([_created(), *one], [_created(), *two], [_created(), *_pieces(text, third)])
    assert _text(events) == text
    assert not any(isinstance(event, TextRestarted) for event in events)
    assert all(event.text for event in events if isinstance(event, TextDelta))


@given(_WORDS, _WORDS, _CUTS)
def test_another_text_is_told_from_its_beginning(lost: str, text: str, cuts: list[int]) -> None:
    events = _told([_created(), _piece(lost)], [_created(), *_pieces(text, cuts)])
    if not lost.startswith(text):  # a shorter one can't be told from one that isn't over
        assert _text(events) == text


@given(st.integers(1, 6), st.integers(0, 6))
def test_states_that_come_again_are_told_once(heard: int, heard_again: int) -> None:
    events = _told(
        [_run(status) for status in _STATES[:heard]],
        [_run(status) for status in _STATES[:heard_again]],
        [_run(status) for status in _STATES],
    )
    assert [event.run.status for event in events if isinstance(event, StatusChanged)] == _STATES


def test_states_from_before_the_first_that_was_told_stay_untold() -> None:
    events = _told([_run("in_progress")], [_run(status) for status in ("queued", "in_progress", "completed")])
    states = [event.run.status for event in events if isinstance(event, StatusChanged)]
    assert states == ["in_progress", "completed"]
