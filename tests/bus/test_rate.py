"""When a process counts as busy with words."""

from clew.bus.rate import BUSY, CALM, Rate


def _after(rate: Rate, begin: float, seconds: float, a_second: float) -> bool:
    """Count so many pieces a second for so long, ten times a second; return whether it is busy then."""
    for tenth in range(1, round(seconds * 10) + 1):
        rate.count(round(a_second / 10), begin + tenth / 10)
    return rate.busy


def test_it_is_busy_above_one_rate_until_it_is_below_another() -> None:
    rate = Rate()
    assert not _after(rate, 0, 5, BUSY * 0.9)
    assert _after(rate, 5, 1, BUSY * 1.2)
    assert _after(rate, 6, 5, CALM * 1.2)
    assert not _after(rate, 11, 1, CALM * 0.8)
    assert not _after(rate, 12, 5, BUSY * 0.9)


def test_one_answer_that_comes_all_at_once_is_not_busy_for_long() -> None:
    rate = Rate()
    rate.count(0, 10.0)
    rate.count(10_000, 10.3)
    rate.count(1, 60.0)
    assert not rate.busy
