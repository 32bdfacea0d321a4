"""The state table against what is written of it, move by move.

Source: OpenAI's guide "How Assistants work", section "Run lifecycle".
"""

import itertools

import pytest

from clew.core.states import LIVE, MOVES, IllegalMove, RunStatus, move
from tests.support.life import WRITTEN


@pytest.mark.parametrize(("source", "target"), list(itertools.product(RunStatus, RunStatus)))
def test_a_run_makes_the_moves_that_are_written_and_no_others(source: RunStatus, target: RunStatus) -> None:
    if target in WRITTEN[source]:
        assert move(source, target) is target
    else:
        with pytest.raises(IllegalMove, match=f"from {source} to {target}"):
            move(source, target)


def test_every_move_has_one_cause() -> None:
    assert len(MOVES) == len({(each.source, each.target) for each in MOVES})
    assert all(each.cause for each in MOVES)


def test_the_states_that_lock_a_thread_are_those_that_may_still_move() -> None:
    assert {status for status in RunStatus if WRITTEN[status]} == LIVE
    assert all(status.live == (status in LIVE) for status in RunStatus)


def test_every_state_can_be_reached_from_the_first() -> None:
    reached = {RunStatus.QUEUED}
    while more := {each.target for each in MOVES if each.source in reached} - reached:
        reached |= more
    assert reached == set(RunStatus)


def test_the_states_are_those_of_the_wire() -> None:
    assert {str(status) for status in RunStatus} == set(WRITTEN)
