"""The line of runs that wait for a place: projects take turns."""

from clew.bus.fair_line import FairLine


def test_projects_take_turns_and_runs_of_one_stay_in_order() -> None:
    line = FairLine()
    for number in range(4):
        line.add(f"flood_{number}", None, "flood")
    line.add("calm_0", None, "calm")
    line.add("calm_1", None, "calm")
    came = [line.next()[0] for _ in range(len(line))]
    assert came == ["flood_0", "calm_0", "flood_1", "calm_1", "flood_2", "flood_3"]
    assert not line


def test_a_run_waits_once_and_can_be_taken_out() -> None:
    line = FairLine()
    line.add("run_1", None, "a")
    line.add("run_2", None, "a")
    line.add("run_1", None, "")  # told again, by somebody who does not know whose it is
    assert len(line) == 2
    assert "run_1" in line
    line.remove("run_1")
    line.remove("run_1")
    assert "run_1" not in line
    assert line.next()[0] == "run_2"


def test_a_full_line_is_full_for_those_who_have_their_part_of_it() -> None:
    line = FairLine()
    for number in range(10):
        line.add(f"flood_{number}", None, "flood")
    assert line.has_share("flood", 10)
    assert not line.has_share("calm", 10)
    for number in range(5):
        line.add(f"calm_{number}", None, "calm")
    assert line.has_share("calm", 10)
    assert not line.has_share("third", 10)
