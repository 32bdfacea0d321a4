"""What readers are told at once: made once for all who lack the same, exact from any position."""

import gc
import weakref
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from clew.bus.local_events import LocalEvents
from clew.core.entries import CallPiece, Entry, EventKind, TextPiece, joined, trimmed
from tests.support import store

RUN = "run_1"

_VALUES = st.text(st.sampled_from("ab \N{SNOWMAN}\N{GRINNING FACE}"), min_size=1, max_size=4)
_TEXTS = st.builds(
    TextPiece,
    message_id=st.sampled_from(["msg_1", "msg_2"]),
    value=_VALUES,
    first=st.sampled_from([False, False, False, True]),
    refusal=st.sampled_from([False, False, True]),
)
_CALLS = st.builds(
    CallPiece,
    step_id=st.just("step_1"),
    index=st.integers(0, 1),
    id=st.sampled_from([None, None, None, "call_1"]),
    arguments=_VALUES,
)
_SUBJECTS = st.one_of(_TEXTS, _TEXTS, _TEXTS, _CALLS, st.just(store.run()))


def _entries(subjects: Sequence[TextPiece | CallPiece]) -> list[Entry]:
    entries, position = list[Entry](), 1
    for subject in subjects:
        match subject:
            case TextPiece():
                kind = EventKind.MESSAGE_DELTA
            case CallPiece():
                kind = EventKind.STEP_DELTA
            case _:
                kind = EventKind.RUN_IN_PROGRESS
        if isinstance(subject, CallPiece) and subject.id is not None:
            subject = CallPiece(subject.step_id, subject.index, subject.id, "look")
        entries.append(Entry(position, kind, subject))
        position = entries[-1].end + 1
    return entries


def _said(entries: Sequence[Entry]) -> list[tuple[int, object]]:
    """Return what is said at each position, whatever the pieces it is said in."""
    said: list[tuple[int, object]] = []
    for entry in entries:
        match entry.subject:
            case TextPiece(message_id, value, part, _, refusal):
                said += [(entry.position + at, (message_id, part, refusal, c)) for at, c in enumerate(value)]
            case CallPiece(step_id, index, None, _, arguments):
                said += [(entry.position + at, (step_id, index, c)) for at, c in enumerate(arguments)]
            case subject:
                said.append((entry.position, subject))
    return said


@given(subjects=st.lists(_SUBJECTS, max_size=12))
def test_joining_keeps_every_character_at_its_position(subjects: list[TextPiece | CallPiece]) -> None:
    entries = _entries(subjects)
    told = joined(entries)
    assert _said(told) == _said(entries)
    firsts = [entry.position for entry in entries if getattr(entry.subject, "first", False)]
    assert [entry.position for entry in told if getattr(entry.subject, "first", False)] == firsts
    assert joined(told) == told


@given(
    subjects=st.lists(_SUBJECTS, min_size=1, max_size=12),
    batches=st.lists(st.integers(1, 4), max_size=12),
    reads=st.lists(st.booleans(), min_size=12, max_size=12),
    after=st.integers(0, 12),
)
def test_a_reader_is_told_everything_once_in_order_from_any_position(
    subjects: list[TextPiece | CallPiece], batches: list[int], reads: list[bool], after: int
) -> None:
    """It may begin in the middle of a piece, and may read as rarely as it likes."""
    entries = _entries(subjects)
    after = min(after, entries[-1].end)
    events, told, seen = LocalEvents(), list[Entry](), after
    reader = events.subscribe(RUN)

    def read() -> None:
        nonlocal seen
        made = reader.made(seen, tuple)
        if made is not None:
            told.extend(made.value)
            assert made.end == (made.value[-1].end if made.value else seen)
            seen = made.end

    left = list(entries)
    for size, reads_now in zip([*batches, *[1] * 12], [*reads, *reads], strict=False):
        batch, left = left[:size], left[size:]
        events.publish(RUN, batch)
        if reads_now:
            read()
    read()
    expected = [rest for entry in entries if (rest := trimmed(entry, after)) is not None]
    assert _said(told) == _said(expected)


def test_what_many_readers_lack_is_made_once() -> None:
    events, made_of = LocalEvents(), list[int]()

    def make(entries: Sequence[Entry]) -> int:
        made_of.append(len(entries))
        return len(made_of)

    readers = [events.subscribe(RUN) for _ in range(100)]
    behind = events.subscribe(RUN)
    for number in range(5):
        events.publish(RUN, [Entry(1 + number, EventKind.MESSAGE_DELTA, TextPiece("msg_1", "x"))])
        assert {reader.made(number, make) for reader in readers} == {(number + 1, number + 1)}
    assert made_of == [1] * 5
    assert behind.made(0, make) == (5, 6)
    assert made_of == [1] * 5 + [5]


def test_what_was_made_is_not_told_again_when_more_has_come() -> None:
    events = LocalEvents()
    reader = events.subscribe(RUN)
    events.committed(RUN, [Entry(1, EventKind.RUN_IN_PROGRESS, store.run())])
    assert reader.made(0, len) == (1, 1)
    assert reader.made(1, len) == (1, 0)
    events.committed(RUN, [Entry(2, EventKind.RUN_COMPLETED, store.run())])
    assert reader.made(1, len) == (2, 1)
    assert reader.made(0, len) == (2, 2)


def test_what_was_made_for_positions_where_few_stand_is_not_kept() -> None:
    class Frames:
        """What was made of some events."""

    events = LocalEvents()
    pieces = [Entry(1 + at, EventKind.MESSAGE_DELTA, TextPiece("msg_1", "x")) for at in range(1_000)]
    events.publish(RUN, pieces)
    reader = events.subscribe(RUN)
    kept = []
    for position in range(1_000):
        made = reader.made(position, lambda entries: Frames())
        assert made is not None
        kept.append(weakref.ref(made[1]))
    del made
    gc.collect()
    assert sum(each() is not None for each in kept) <= 8
