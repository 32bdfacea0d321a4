"""Shares in memory: limits divided by the workers that live, and counts that always come back."""

from clew.core.projects import Project, ProjectLimits
from clew.engine.shares import Shares


def _project(**limits: int) -> Project:
    return Project(name="a", created_at=0, limits=ProjectLimits(**limits))


def test_a_limit_is_divided_by_the_workers_and_is_never_nothing() -> None:
    shares = Shares()
    for workers, room in ((1, 5), (2, 2), (3, 1), (9, 1)):
        shares.set([_project(runs=5)], workers)
        entered = [shares.enter(f"run_{number}", "a") for number in range(6)]
        assert sum(entered) == room
        for number in range(6):
            shares.leave(f"run_{number}")
        assert shares.room() == {"a": room}


def test_a_run_counts_once_and_one_that_goes_on_counts_whatever_the_limit() -> None:
    shares, told = Shares(), []
    shares.set([_project(runs=1)], 1)
    shares.on_room = lambda: told.append("room")
    assert shares.enter("run_1", "a")
    assert shares.enter("run_1", "a")
    shares.note("run_2", "a")
    assert not shares.enter("run_3", "a")
    shares.leave("run_3")
    assert told == []
    shares.leave("run_1")
    shares.leave("run_1")
    assert told == ["room"]
    assert not shares.enter("run_3", "a")
    shares.leave("run_2")
    assert shares.enter("run_3", "a")


def test_projects_without_a_limit_are_not_counted() -> None:
    shares = Shares()
    shares.set([_project(streams=1)], 1)
    assert all(shares.enter(f"run_{number}", "a") for number in range(9))
    assert all(shares.enter(f"run_{number}", "b") for number in range(9))
    assert shares._at_work == {}
    assert shares.set([_project(runs=1)], 1) == []
    assert shares.set([], 1) == ["a"]
    assert (shares.knows("a"), shares.knows("b")) == (False, False)
