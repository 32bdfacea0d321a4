"""Whose turn it is among what is due."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from clew.core.due import Lane, Limits, Load, Turns, Work


def work(lane: Lane, number: int = 0) -> Work:
    return Work(
        kind="k", id=f"{lane.name}/{number}", project=lane.project, lane=lane.name, created_at=0, due=0
    )


def served(
    waiting: dict[Lane, int], limits: Limits, load: Load | None = None, last: str = ""
) -> Sequence[str]:
    """Begin what may begin; return the lanes in the order in which they were served."""
    load, left = load or Load(), dict(waiting)
    turns = Turns(list(waiting), load, limits, last)
    order: list[str] = []
    while (lane := turns.next()) is not None:
        if not left[lane]:
            turns.leave(lane)
            continue
        left[lane] -= 1
        load.add(work(lane))
        order.append(lane.name)
    return order


A1, A2, A3 = (Lane(f"a{n}", "a") for n in (1, 2, 3))
B1 = Lane("b1", "b")


def test_projects_share_before_lanes_do() -> None:
    waiting = {A1: 9, A2: 9, A3: 9, B1: 9}
    assert served(waiting, Limits(6, 9, 9)) == ["a1", "b1", "a2", "b1", "a3", "b1"]


def test_what_is_under_way_counts() -> None:
    load = Load()
    for number in range(3):
        load.add(work(B1, number))
    assert served({A1: 9, B1: 9}, Limits(8, 9, 9), load) == ["a1", "a1", "a1", "a1", "b1"]
    load.remove(work(B1))
    assert load.project("b") == load.lane("b1") == 3


def test_equals_go_round() -> None:
    waiting = {A1: 1, A2: 1, A3: 1}
    assert served(waiting, Limits(1, 9, 9), last="a1") == ["a2"]
    assert served(waiting, Limits(1, 9, 9), last="a3") == ["a1"]


def test_no_more_than_a_lane_and_a_project_may_do_at_once() -> None:
    order = served({A1: 9, A2: 9, A3: 9, B1: 9}, Limits(99, 5, 2))
    assert sorted(order) == ["a1", "a1", "a2", "a2", "a3", "b1", "b1"]


@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), st.integers(0, 5)),
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_no_room_is_left_while_somebody_may_use_it(
    waiting: dict[tuple[str, int], int], in_all: int, per_project: int, per_lane: int
) -> None:
    lanes = {Lane(f"{project}{number}", project): count for (project, number), count in waiting.items()}
    order = served(lanes, Limits(in_all, per_project, per_lane))
    possible: dict[str, int] = {}
    for lane, count in lanes.items():
        possible[lane.project] = possible.get(lane.project, 0) + min(count, per_lane)
    assert len(order) == min(in_all, sum(min(count, per_project) for count in possible.values()))
    assert all(order.count(lane.name) <= min(per_lane, count) for lane, count in lanes.items())
