"""Windows of live events: a reader is never told past what it has missed."""

from clew.bus.local_events import LocalEvents
from clew.core.entries import Entry, EventKind, TextPiece
from clew.core.journal import JUMP
from tests.support import store

RUN = "run_1"


def _lasting(position: int, kind: EventKind = EventKind.RUN_IN_PROGRESS) -> Entry:
    return Entry(position, kind, store.run())


def _text(position: int, value: str) -> Entry:
    return Entry(position, EventKind.MESSAGE_DELTA, TextPiece("msg_1", value))


def test_a_window_goes_on_where_it_ended() -> None:
    events = LocalEvents()
    reader = events.subscribe(RUN)
    events.committed(RUN, [_lasting(1), _lasting(2)])
    events.publish(RUN, [_text(3, "Hello"), _text(8, "!")])
    told = reader.since(1)
    assert told is not None
    assert [entry.position for entry in told] == [2, 3, 8]
    assert reader.since(8) == []


def test_a_reader_who_stands_before_a_gap_is_sent_to_the_rows() -> None:
    """Another process had committed 3 and died before it told; this one takes over, further on."""
    events = LocalEvents()
    reader = events.subscribe(RUN)
    events.committed(RUN, [_lasting(1), _lasting(2)])
    events.publish(RUN, [_text(3 + JUMP + 1, "Hello")])
    assert reader.since(2) is None
    told = reader.since(3 + JUMP)
    assert told is not None
    assert [entry.position for entry in told] == [4 + JUMP]


def test_a_commit_behind_a_gap_is_no_different() -> None:
    events = LocalEvents()
    reader = events.subscribe(RUN)
    events.committed(RUN, [_lasting(1), _lasting(2)])
    events.committed(RUN, [_lasting(4)])
    assert reader.since(2) is None
    events.committed(RUN, [_lasting(5), _lasting(6)])
    told = reader.since(3)
    assert told is not None
    assert [entry.position for entry in told] == [4, 5, 6]
