"""The feed in one process: a reader that lags is told so, and where nobody reads nothing is done."""

from clew.bus.feed import MOST_WAITING, Feed
from clew.bus.local_events import LocalEvents
from clew.core.entries import Entry, EventKind
from clew.core.records import Run
from tests.support import store


def _entries(number: int = 1) -> list[Entry]:
    return [Entry(number, EventKind.RUN_IN_PROGRESS, store.run(f"run_{number}"))]


def _now() -> int:
    return store.NOW


def test_a_reader_with_a_thousand_waiting_is_told_once_that_it_has_missed_some() -> None:
    feed = Feed()
    slow, quick = (feed.subscribe(store.PROJECT, _now) for _ in range(2))
    for number in range(1, MOST_WAITING + 1):
        feed.tell(_entries(number))
        assert quick.take() is not None
    feed.tell(_entries(1001))
    feed.tell(_entries(1002))
    assert slow.take() is None
    assert slow.take() == []
    feed.tell(_entries(1003))
    taken = slow.take()
    assert taken is not None
    assert [change.run for change, _ in taken] == ["run_1003"]
    assert [change.run for change, _ in quick.take() or ()] == ["run_1001", "run_1002", "run_1003"]


def test_a_thousand_waiting_are_no_loss() -> None:
    feed = Feed()
    reader = feed.subscribe(store.PROJECT, _now)
    for number in range(1, MOST_WAITING + 1):
        feed.tell(_entries(number))
    assert len(reader.take() or ()) == MOST_WAITING


def test_a_commit_that_leaves_its_run_as_it_was_is_not_told() -> None:
    feed = Feed()
    reader = feed.subscribe(store.PROJECT, _now)
    feed.tell([Entry(5, EventKind.STEP_COMPLETED, store.step())])
    assert reader.take() == []


def test_the_version_is_the_rows_after_the_commit() -> None:
    feed = Feed()
    reader = feed.subscribe(store.PROJECT, _now)
    run = store.run(version=3)
    feed.tell([Entry(1, EventKind.RUN_CREATED, store.run()), Entry(2, EventKind.RUN_QUEUED, store.run())])
    feed.tell([Entry(3, EventKind.RUN_IN_PROGRESS, run)])
    assert [change.version for change, _ in reader.take() or ()] == [0, 4]


def test_with_no_reader_a_commit_costs_one_look() -> None:
    events = LocalEvents()
    reader = events.feed.subscribe(store.PROJECT, _now)
    reader.close()
    assert events.feed.wanted == {}
    calls: list[object] = []
    events.feed.tell = calls.append  # type: ignore[method-assign, assignment]
    for number in range(1, 100):
        events.committed("run_1", _entries(number))
    assert calls == []
    events.feed.subscribe(store.PROJECT, _now)
    events.committed("run_1", _entries(100))
    assert len(calls) == 1
    assert isinstance(calls[0][0].subject, Run)  # type: ignore[index]


def test_every_reader_is_let_go_at_the_end() -> None:
    feed = Feed()
    readers = [feed.subscribe(project, _now) for project in ("p", "p", "q")]
    feed.end()
    assert [reader.ended for reader in readers] == [True] * 3
