"""Events come out of a stream the same, wherever its pieces are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.toolkit.clients.sse import EventParser, ServerEvent

_STREAM = (
    b": keep-alive\nevent: thread.run.created\ndata: {}\n\n"
    b"id: 7\nevent:thread.message.delta\r\ndata:  a\xc3\xa9\r\n\r\n"
    b"data: first\ndata: second\n\nretry: 3\n\nevent: nothing\n\nevent: done\ndata: [DONE]\n\n"
)
_EVENTS = [
    ServerEvent("thread.run.created", b"{}"),
    ServerEvent("thread.message.delta", " aé".encode(), "7"),
    ServerEvent("message", b"first\nsecond", "7"),
    ServerEvent("done", b"[DONE]", "7"),
]


def _parsed(pieces: list[bytes]) -> list[ServerEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@given(st.lists(st.integers(0, len(_STREAM)), max_size=20))
def test_pieces_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(_STREAM)]
    pieces = [_STREAM[begin:end] for begin, end in itertools.pairwise(places)]
    assert _parsed(pieces) == _EVENTS


@given(st.binary())
def test_nothing_breaks_the_parser(data: bytes) -> None:
    _parsed([data])


def test_an_unfinished_event_is_not_told() -> None:
    assert _parsed([b"event: thread.run.completed\ndata: {}\n"]) == []


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.toolkit.clients.sse._LIMIT", 10)
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        _parsed([b"data: 12345678"])
