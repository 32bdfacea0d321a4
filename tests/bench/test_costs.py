"""A turn may not come to cost more by accident: ``make bench-check`` says what has grown."""

import asyncio

import pytest

from bench import costs


@pytest.mark.parametrize("store", ["full", "postgres"])
def test_nothing_costs_more_than_was_recorded(store: str) -> None:
    now = asyncio.run(costs.measure(store))
    grown = costs.grown_since_recorded(store, now)
    assert grown == [], "if that is worth it: make bench-check ARGS=--record"
    assert (now["a poll"]["statements"], now["an append"]["commits"]) == (1, 1)


def test_growth_is_found_in_each_count_and_nothing_else_is() -> None:
    recorded = {"a turn": {"calls": 1000.0, "statements": 19.0, "commits": 4.0, "bytes": 100_000.0}}
    same = {"a turn": {"calls": 1020.0, "statements": 19.0, "commits": 4.0, "bytes": 105_000.0}}
    more = {"a turn": {"calls": 1100.0, "statements": 20.0, "commits": 5.0, "bytes": 120_000.0}}
    assert costs.compare(recorded, same, calls=True) == []
    assert [growth.counted for growth in costs.compare(recorded, more, calls=True)] == list(
        recorded["a turn"]
    )
    assert str(costs.compare(recorded, more, calls=True)[1]) == "a turn: statements were 19 and are 20"


def test_calls_of_another_python_are_not_compared() -> None:
    recorded, now = {"a turn": {"calls": 1000.0}}, {"a turn": {"calls": 2000.0}}
    assert costs.compare(recorded, now, calls=False) == []


def test_what_was_not_recorded_has_grown() -> None:
    assert len(costs.compare({}, {"a turn": {"commits": 1.0}}, calls=True)) == 1
